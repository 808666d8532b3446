/* SPDX-License-Identifier: Apache-2.0 */
/* The master key behind the pods' identities, tokens, and bundles for metadata services. */
#include "host/pod/mdkey.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#define TOKEN_SIZE 32

static int random_bytes(void *data, size_t len, struct err *err)
{
    if (getrandom(data, len, 0) != (ssize_t)len)
        return err_set(err, errno, "can't get random bytes");
    return 0;
}

/* The user who runs pods and nobody else may know the key. */
static int check_file(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_set(err, errno, "can't examine %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, 0, "%s is no regular file", path);
    if (st.st_uid != geteuid())
        return err_set(err, 0, "%s belongs to user %u; the master key has to belong to user %u",
                       path, st.st_uid, geteuid());
    if (st.st_mode & 077)
        return err_set(err, 0,
                       "%s has mode %04o, so that others can use the master key; "
                       "chmod 600 it, or replace it if they may have read it",
                       path, st.st_mode & 07777);
    if (st.st_size != IDENTITY_MASTER_SIZE)
        return err_set(err, 0, "%s has %lld bytes; a master key has %d", path,
                       (long long)st.st_size, IDENTITY_MASTER_SIZE);
    return 0;
}

/* 0; 1 when there is no such file; -1. */
static int read_key(const char *path, uint8_t ret[IDENTITY_MASTER_SIZE], struct err *err)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOENT)
        return 1;
    if (fd < 0)
        return err_set(err, errno, "can't open %s", path);
    if (check_file(fd, path, err) < 0)
        return -1;
    if (read_all(fd, ret, IDENTITY_MASTER_SIZE) < 0)
        return err_set(err, errno, "can't read %s", path);
    return 0;
}

static int write_key(int dir, const char *name, struct err *err)
{
    uint8_t key[IDENTITY_MASTER_SIZE];
    cleanup_close int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, errno, "can't create %s", name);
    if (random_bytes(key, sizeof(key), err) < 0)
        return -1;
    int r = write_all(fd, key, sizeof(key)) < 0 || fsync(fd) < 0 ? -1 : 0;
    explicit_bzero(key, sizeof(key));
    return r < 0 ? err_set(err, errno, "can't write %s", name) : 0;
}

/* A link, unlike a rename, leaves the key alone that somebody else made meanwhile. */
static int publish_key(int dir, const char *tmp, struct err *err)
{
    if (linkat(dir, tmp, dir, MDKEY_FILE, 0) < 0 && errno != EEXIST)
        return err_set(err, errno, "can't create %s", MDKEY_FILE);
    return fsync(dir) < 0 ? err_set(err, errno, "can't write %s", MDKEY_FILE) : 0;
}

static int create_key(const char *data_dir, struct err *err)
{
    uint64_t number;
    if (mkdir_parents_at(AT_FDCWD, data_dir, 0700, err) < 0 ||
        random_bytes(&number, sizeof(number), err) < 0)
        return -1;
    cleanup_close int dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return err_set(err, errno, "can't open %s", data_dir);
    cleanup_free char *tmp = xasprintf(".%s.%016llx", MDKEY_FILE, (unsigned long long)number);
    int r = write_key(dir, tmp, err);
    if (r == 0)
        r = publish_key(dir, tmp, err);
    unlinkat(dir, tmp, 0);
    return r < 0 ? err_prefix(err, "%s", data_dir) : 0;
}

int mdkey_load(const char *data_dir, const char *key_file, bool create,
               uint8_t ret[IDENTITY_MASTER_SIZE], struct err *err)
{
    cleanup_free char *path =
        key_file ? xstrdup(key_file) : xasprintf("%s/%s", data_dir, MDKEY_FILE);
    int r = read_key(path, ret, err);
    if (r == 1 && create && !key_file) {
        if (create_key(data_dir, err) < 0)
            return -1;
        r = read_key(path, ret, err);
    }
    if (r == 1)
        return err_set(err, ENOENT, "there is no master key %s", path);
    return r;
}

int mdkey_token(char ret[MDKEY_TOKEN_TEXT], struct err *err)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t r[TOKEN_SIZE + 1] = {0}; /* 43 digits of 6 bits are 258 bits */
    if (random_bytes(r, TOKEN_SIZE, err) < 0)
        return -1;
    for (size_t i = 0; i < MDKEY_TOKEN_TEXT - 1; i++) {
        size_t bit = 6 * i;
        unsigned two = (unsigned)r[bit / 8] << 8 | r[bit / 8 + 1];
        ret[i] = digits[two >> (10 - bit % 8) & 63];
    }
    ret[MDKEY_TOKEN_TEXT - 1] = '\0';
    return 0;
}

/* Nobody who gets the descriptor can change what others read from it. */
static int make_memfd(const char *text, size_t len, int *ret_fd, struct err *err)
{
    const int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    cleanup_close int fd = memfd_create("appc-mds-bundle", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || write_all(fd, text, len) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
        fcntl(fd, F_ADD_SEALS, seals) < 0)
        return err_set(err, errno, "can't write the bundle of the metadata service");
    *ret_fd = take_fd(fd);
    return 0;
}

int mdkey_bundle(const char *uuid, const char *token, const uint8_t master[IDENTITY_MASTER_SIZE],
                 const struct ac_pod_manifest *pod, const struct bundle_image *images, int *ret_fd,
                 struct err *err)
{
    char *text;
    size_t len;
    if (bundle_encode(uuid, token, master, pod, images, &text, &len, err) < 0)
        return -1;
    int r = make_memfd(text, len, ret_fd, err);
    explicit_bzero(text, len);
    free(text);
    return r;
}
