/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the store share: the open store, and SQLite with our kind of errors. */
#ifndef APPC_HOST_IMAGE_STORE_DB_H
#define APPC_HOST_IMAGE_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/err.h"
#include "host/image/store.h"

struct store {
    char *dir; /* absolute */
    int dirfd;
    int blobs_fd;
    int rendered_fd;
    sqlite3 *db;
    int hold_fd; /* store_hold(), or -1 */
    char *hold;
};

#define STORE_TOUCH_SECONDS 60 /* a use is not noted again within this time */

/*
 * What tells that a file was written to since we looked: the change time can't be set back by
 * whoever is not root.
 */
struct store_stamp {
    int64_t size;
    int64_t ino;
    int64_t mtime_ns;
    int64_t ctime_ns;
};

void store_stamp_of(const struct stat *st, struct store_stamp *ret);
bool store_stamp_equal(const struct store_stamp *a, const struct store_stamp *b);

/*
 * Marks an error for callers that tell errors apart, without the text of errno at its end: ENOENT
 * not in the store, EBADMSG damaged, EBUSY in use. Returns `r`, which is the err_set().
 */
static inline int store_errnum(struct err *err, int errnum, int r)
{
    if (err)
        err->errnum = errnum;
    return r;
}

/* Opens dir/index.db and brings its schema up to date. */
int store_db_open(struct store *s, struct err *err);

/* Fills *err from the state of the database; -1. */
int store_db_error(struct store *s, const char *doing, struct err *err);

/* SQL without parameters and rows. */
int store_db_exec(struct store *s, const char *sql, struct err *err);

/* Take the write lock for several statements, and end it. A rollback never fails. */
int store_db_begin(struct store *s, struct err *err);
int store_db_commit(struct store *s, struct err *err);
void store_db_rollback(struct store *s);

/*
 * Prepares a statement and binds its parameters: `types` has a letter for each: t (const char *,
 * NULL allowed), i (int64_t), b (const void *, size_t). The values must stay until the statement
 * is finalised. NULL on failure.
 */
sqlite3_stmt *store_db_prepare(struct store *s, struct err *err, const char *sql, const char *types,
                               ...);

/* The next row: 1, 0 behind the last, -1. */
int store_db_step(struct store *s, sqlite3_stmt *stmt, struct err *err);

/* Prepare, run to the end without looking at rows, finalise. */
int store_db_run(struct store *s, struct err *err, const char *sql, const char *types, ...);

static inline void cleanup_stmtp(sqlite3_stmt **stmt)
{
    sqlite3_finalize(*stmt);
}
#define cleanup_stmt __attribute__((cleanup(cleanup_stmtp)))

/* Column texts are never NULL here: "" instead. The pointer lives until the next step. */
const char *store_db_text(sqlite3_stmt *stmt, int column);

/*
 * Every change of what is in the store counts the generation up, so that what was worked out
 * from it (which image a dependency means) is known to be old.
 */
int store_db_changed(struct store *s, struct err *err);

/* Sweeps temporary files without an owner, and files that no row knows (store_sweep.c). */
int store_sweep(struct store *s, struct err *err);

/* A file that store_sweep() would remove, in the folder "blobs" or "rendered". */
typedef int store_leftover_fn(void *arg, const char *folder, const char *name, uint64_t bytes,
                              bool temporary, struct err *err);

/* Only looks for them, inside the transaction of the caller if there is one. */
int store_leftovers(struct store *s, store_leftover_fn *found, void *arg, struct err *err);

/*
 * Since when a process has been writing to the store or holding it (store_hold()), in seconds since
 * 1970; INT64_MAX when there is none.
 */
int store_busy_since(struct store *s, int64_t *ret, struct err *err);

/* Deletes the row of an image, and those of the roots that it is in; ENOENT when it has none. */
int store_delete_rows(struct store *s, const struct aci_id *id, struct err *err);

/* Whether another process has the blob or root open that is a file of this name. */
bool store_file_in_use(int dirfd, const char *name);

/* The name of a root in <data>/rendered, without ".erofs". */
#define STORE_KEY_MAX 160

/* The key of the root that an image has now: 0, or -1, such as for want of a dependency. */
int store_root_key(struct store *s, const struct aci_id *id, char ret[STORE_KEY_MAX],
                   struct err *err);

/*
 * A new temporary file in a folder of the store, locked as long as its descriptor is open, so
 * that sweeping knows that it is in use. The caller closes *ret_fd and frees *ret_name.
 */
int store_temp(int dirfd, int *ret_fd, char **ret_name, struct err *err);

/* An image that is about to enter the store. */
struct store_new {
    struct aci_id id;
    const struct ac_image_manifest *manifest;
    const char *manifest_text;
    size_t manifest_len;
    uint64_t archive_size;
    const char *origin;
    const char *signer; /* or NULL */
};

/*
 * Gives the synced temporary file its name and enters the row. When the image is there already,
 * its row is freshened; a blob that looks changed is replaced. The file `temp` is gone
 * afterwards, but on failure. *ret_added says whether the image is new.
 */
int store_add(struct store *s, const struct store_new *n, int fd, const char *temp, bool *ret_added,
              struct err *err);

/* Hashes a file from its start and compares; 0, or -1 with the message that it is damaged. */
int store_check_hash(int fd, const struct aci_id *id, struct err *err);

/* store_blob(), but the tar is always hashed. */
int store_blob_checked(struct store *s, const struct aci_id *id, int *ret_fd, uint64_t *ret_size,
                       struct err *err);

struct aci_image;

/*
 * Renders an image that has no dependencies and whose tar was just hashed (import), unless its
 * root is there already.
 */
int store_render_imported(struct store *s, const struct aci_id *id, const struct aci_image *image,
                          struct err *err);

/*
 * Compares the cached root of the image alone with a new one and drops it when it differs:
 * *ret_dropped says so.
 */
int store_render_check(struct store *s, const struct aci_id *id, const struct aci_image *image,
                       bool *ret_dropped, struct err *err);

#endif
