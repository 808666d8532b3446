/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Temporary files of the store, and sweeping what dead processes left.
 *
 * A temporary file is locked by whoever writes it, so a file that can be locked has lost its
 * owner. A file that has its final name but no row comes from a crash between the two; as both
 * happen under the database's write lock, it is looked for under that lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/image/store_db.h"

#define TEMP_PREFIX ".tmp-"
#define TEMP_TRIES  100

int store_temp(int dirfd, int *ret_fd, char **ret_name, struct err *err)
{
    for (int i = 0; i < TEMP_TRIES; i++) {
        uint64_t random;
        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
            return err_set(err, errno, "can't get random bytes");
        cleanup_free char *name = xasprintf(TEMP_PREFIX "%ld-%016" PRIx64, (long)getpid(), random);
        cleanup_close int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
        if (fd < 0 && errno == EEXIST)
            continue;
        if (fd < 0)
            return err_set(err, errno, "can't create a file in the store");
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) /* somebody sweeps at this very moment */
            continue;
        struct stat st;
        if (fstat(fd, &st) < 0)
            return err_set(err, errno, "can't create a file in the store");
        if (st.st_nlink == 0)
            continue;
        *ret_fd = take_fd(fd);
        *ret_name = take_ptr(name);
        return 0;
    }
    return err_set(err, EAGAIN, "can't create a file in the store");
}

static void sweep_temp(int dirfd, const char *name)
{
    cleanup_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(dirfd, name, 0);
}

/* 1 when a row knows the file, 0 when none does. */
static int known(struct store *s, int dirfd, const char *name, struct err *err)
{
    bool blob = dirfd == s->blobs_fd;
    cleanup_free char *key = xstrdup(name);
    if (!blob && str_ends(key, ".erofs"))
        key[strlen(key) - strlen(".erofs")] = '\0';
    cleanup_stmt sqlite3_stmt *stmt = store_db_prepare(
        s, err, blob ? "SELECT 1 FROM images WHERE id = ?" : "SELECT 1 FROM rendered WHERE key = ?",
        "t", key);
    return stmt ? store_db_step(s, stmt, err) : -1;
}

static int sweep_unknown(struct store *s, int dirfd, const char *name, struct err *err)
{
    int r = known(s, dirfd, name, err);
    if (r != 0)
        return r < 0 ? -1 : 0;
    if (store_db_begin(s, err) < 0)
        return -1;
    r = known(s, dirfd, name, err);
    if (r == 0)
        (void)unlinkat(dirfd, name, 0);
    store_db_rollback(s);
    return r < 0 ? -1 : 0;
}

static int sweep_dir(struct store *s, int dirfd, struct err *err)
{
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_dir DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d)
        return err_set(err, errno, "can't read %s", s->dir);
    for (struct dirent *e; (e = readdir(d));) {
        if (str_starts(e->d_name, TEMP_PREFIX))
            sweep_temp(dirfd, e->d_name);
        else if (e->d_name[0] != '.' && sweep_unknown(s, dirfd, e->d_name, err) < 0)
            return -1;
    }
    return 0;
}

int store_sweep(struct store *s, struct err *err)
{
    if (sweep_dir(s, s->blobs_fd, err) < 0)
        return -1;
    return sweep_dir(s, s->rendered_fd, err);
}

/* A look at one file: is it one that a sweep would remove? */
static int look(struct store *s, int dirfd, const char *folder, const char *name,
                store_leftover_fn *found, void *arg, struct err *err)
{
    struct stat st;
    bool temporary = str_starts(name, TEMP_PREFIX);
    if (name[0] == '.' && !temporary)
        return 0;
    int r = temporary ? store_file_in_use(dirfd, name) : known(s, dirfd, name, err);
    if (r != 0)
        return r < 0 ? -1 : 0;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) /* somebody was faster */
        return 0;
    return found(arg, folder, name, (uint64_t)st.st_size, temporary, err);
}

static int look_in(struct store *s, int dirfd, const char *folder, store_leftover_fn *found,
                   void *arg, struct err *err)
{
    int copy = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_dir DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d)
        return err_set(err, errno, "can't read %s/%s", s->dir, folder);
    for (struct dirent *e; (e = readdir(d));)
        if (look(s, dirfd, folder, e->d_name, found, arg, err) < 0)
            return -1;
    return 0;
}

int store_leftovers(struct store *s, store_leftover_fn *found, void *arg, struct err *err)
{
    if (look_in(s, s->blobs_fd, "blobs", found, arg, err) < 0)
        return -1;
    return look_in(s, s->rendered_fd, "rendered", found, arg, err);
}

int store_busy_since(struct store *s, int64_t *ret, struct err *err)
{
    int64_t since = INT64_MAX;
    int copy = openat(s->blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_dir DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d)
        return err_set(err, errno, "can't read %s/blobs", s->dir);
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (str_starts(e->d_name, TEMP_PREFIX) && store_file_in_use(s->blobs_fd, e->d_name) &&
            fstatat(s->blobs_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtime < since)
            since = st.st_mtime;
    }
    *ret = since;
    return 0;
}
