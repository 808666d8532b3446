/* SPDX-License-Identifier: Apache-2.0 */
/* The blobs of the store: entering one, opening one, and telling whether it was changed. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/store_db.h"

#define HASH_BYTES (1u << 20)

static int hash_file(int fd, EVP_MD_CTX *hash, uint8_t digest[ACI_DIGEST_LEN])
{
    cleanup_free char *data = xmalloc(HASH_BYTES);
    off_t at = 0;
    for (;;) {
        ssize_t n = pread(fd, data, HASH_BYTES, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        if (!EVP_DigestUpdate(hash, data, (size_t)n)) {
            errno = EIO;
            return -1;
        }
        at += n;
    }
    errno = EIO;
    return EVP_DigestFinal_ex(hash, digest, NULL) ? 0 : -1;
}

int store_check_hash(int fd, const struct aci_id *id, struct err *err)
{
    uint8_t digest[ACI_DIGEST_LEN];
    struct aci_id found;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (!hash)
        die_oom();
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    int r = EVP_DigestInit_ex(hash, EVP_sha512(), NULL) ? hash_file(fd, hash, digest) : -1;
    int saved = errno;
    EVP_MD_CTX_free(hash);
    if (r < 0)
        return err_set(err, saved, "can't read image %s", id->text);
    aci_id_set(&found, digest);
    if (strcmp(found.text, id->text) != 0)
        return store_errnum(
            err, EBADMSG,
            err_set(err, 0,
                    "image %s is damaged: its tar has the SHA-512 of %.24s...; fetch it again",
                    id->text, found.text));
    return 0;
}

static int read_stamp(struct store *s, const struct aci_id *id, struct store_stamp *ret,
                      struct err *err)
{
    cleanup_stmt sqlite3_stmt *stmt = store_db_prepare(
        s, err, "SELECT size, ino, mtime, ctime FROM images WHERE id = ?", "t", id->text);
    int r = stmt ? store_db_step(s, stmt, err) : -1;
    if (r > 0)
        *ret = (struct store_stamp){
            sqlite3_column_int64(stmt, 0),
            sqlite3_column_int64(stmt, 1),
            sqlite3_column_int64(stmt, 2),
            sqlite3_column_int64(stmt, 3),
        };
    return r;
}

static int write_stamp(struct store *s, const struct aci_id *id, const struct store_stamp *stamp,
                       struct err *err)
{
    return store_db_run(
        s, err, "UPDATE images SET size = ?, ino = ?, mtime = ?, ctime = ? WHERE id = ?", "iiiit",
        stamp->size, stamp->ino, stamp->mtime_ns, stamp->ctime_ns, id->text);
}

/* Opens and locks; *ret_same says whether the file is as the index remembers it. */
static int open_blob(struct store *s, const struct aci_id *id, int *ret_fd,
                     struct store_stamp *ret_stamp, bool *ret_same, struct err *err)
{
    struct store_stamp noted;
    struct stat st;
    int r = read_stamp(s, id, &noted, err);
    if (r == 0)
        return store_errnum(err, ENOENT, err_set(err, 0, "image %s is not in the store", id->text));
    if (r < 0)
        return -1;
    cleanup_close int fd = openat(s->blobs_fd, id->text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return store_errnum(
            err, ENOENT,
            err_set(err, 0, "image %s is damaged: its tar is gone; fetch it again", id->text));
    if (fd < 0 || flock(fd, LOCK_SH) < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open image %s", id->text);
    store_stamp_of(&st, ret_stamp);
    *ret_same = store_stamp_equal(&noted, ret_stamp);
    *ret_fd = take_fd(fd);
    return 0;
}

static int open_checked(struct store *s, const struct aci_id *id, bool always, int *ret_fd,
                        uint64_t *ret_size, struct err *err)
{
    struct store_stamp stamp;
    bool same;
    cleanup_close int fd = -1;
    if (open_blob(s, id, &fd, &stamp, &same, err) < 0)
        return -1;
    if ((always || !same) && store_check_hash(fd, id, err) < 0)
        return -1;
    if (!same && write_stamp(s, id, &stamp, err) < 0)
        return -1;
    *ret_fd = take_fd(fd);
    *ret_size = (uint64_t)stamp.size;
    return 0;
}

int store_blob(struct store *s, const struct aci_id *id, int *ret_fd, uint64_t *ret_size,
               struct err *err)
{
    return open_checked(s, id, false, ret_fd, ret_size, err);
}

int store_blob_checked(struct store *s, const struct aci_id *id, int *ret_fd, uint64_t *ret_size,
                       struct err *err)
{
    return open_checked(s, id, true, ret_fd, ret_size, err);
}

/* Whether the blob that is there is as the index remembers it. */
static bool blob_is_good(struct store *s, const struct aci_id *id)
{
    struct store_stamp noted, found;
    struct stat st;
    if (read_stamp(s, id, &noted, NULL) <= 0 ||
        fstatat(s->blobs_fd, id->text, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    store_stamp_of(&st, &found);
    return store_stamp_equal(&noted, &found);
}

/* The signature of an import that was checked stays when the same image comes without. */
static int freshen(struct store *s, const struct store_new *n, struct err *err)
{
    int64_t now = time(NULL);
    return store_db_run(s, err,
                        "UPDATE images SET imported = ?, used = max(used, ?), origin = ?,"
                        " archive_size = ?, signer = coalesce(?, signer) WHERE id = ?",
                        "iititt", now, now, n->origin, (int64_t)n->archive_size, n->signer,
                        n->id.text);
}

static int insert_labels(struct store *s, const struct store_new *n, struct err *err)
{
    const struct ac_pairs *labels = &n->manifest->labels;
    for (size_t i = 0; i < labels->n; i++)
        if (store_db_run(s, err, "INSERT INTO labels VALUES (?, ?, ?, ?)", "titt", n->id.text,
                         (int64_t)i, labels->v[i].name, labels->v[i].value) < 0)
            return -1;
    return 0;
}

static int insert(struct store *s, const struct store_new *n, const struct store_stamp *stamp,
                  struct err *err)
{
    int64_t now = time(NULL);
    if (store_db_run(s, err, "DELETE FROM images WHERE id = ?", "t", n->id.text) < 0 ||
        store_db_run(s, err,
                     "INSERT INTO images (id, name, archive_size, imported, used, origin, signer,"
                     " dependencies, size, ino, mtime, ctime)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                     "ttiiittiiiii", n->id.text, n->manifest->name, (int64_t)n->archive_size, now,
                     now, n->origin, n->signer, (int64_t)n->manifest->ndependencies, stamp->size,
                     stamp->ino, stamp->mtime_ns, stamp->ctime_ns) < 0 ||
        store_db_run(s, err, "INSERT INTO manifests VALUES (?, ?)", "tb", n->id.text,
                     (const void *)n->manifest_text, n->manifest_len) < 0)
        return -1;
    return insert_labels(s, n, err);
}

/* Under the write lock: the name and the row appear together. */
static int add_locked(struct store *s, const struct store_new *n, int fd, const char *temp,
                      struct err *err)
{
    struct store_stamp stamp;
    struct stat st;
    if (store_db_changed(s, err) < 0)
        return -1;
    if (blob_is_good(s, &n->id)) {
        if (unlinkat(s->blobs_fd, temp, 0) < 0)
            return err_set(err, errno, "can't remove %s/blobs/%s", s->dir, temp);
        return freshen(s, n, err);
    }
    if (renameat(s->blobs_fd, temp, s->blobs_fd, n->id.text) < 0 || fsync(s->blobs_fd) < 0 ||
        fstat(fd, &st) < 0)
        return err_set(err, errno, "can't store image %s", n->id.text);
    store_stamp_of(&st, &stamp);
    return insert(s, n, &stamp, err);
}

int store_add(struct store *s, const struct store_new *n, int fd, const char *temp, bool *ret_added,
              struct err *err)
{
    struct store_stamp unused;
    if (store_db_begin(s, err) < 0)
        return -1;
    int there = read_stamp(s, &n->id, &unused, err);
    if (there < 0 || add_locked(s, n, fd, temp, err) < 0) {
        store_db_rollback(s);
        return -1;
    }
    if (store_db_commit(s, err) < 0)
        return -1;
    *ret_added = there == 0;
    return 0;
}
