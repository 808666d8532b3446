/* SPDX-License-Identifier: Apache-2.0 */
/* Removing images from the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/store_db.h"

static bool among(const char *id, const struct aci_id *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(ids[i].text, id) == 0)
            return true;
    return false;
}

/* Fails when `user`, which is not among the images, has one of them as a dependency. */
static int check_dependencies(struct store *s, const char *user, const struct aci_id *ids, size_t n,
                              struct err *err)
{
    struct aci_id id, found;
    cleanup_free char *text = NULL;
    size_t len;
    struct ac_image_manifest *m;
    struct ac_fault fault;
    memcpy(id.text, user, sizeof(id.text));
    if (store_manifest(s, &id, &text, &len, err) < 0)
        return -1;
    if (ac_image_manifest_parse(text, len, &m, &fault) < 0) {
        ac_fault_to_err(&fault, user, err);
        return -1;
    }
    int r = 0;
    for (size_t i = 0; r == 0 && i < m->ndependencies; i++)
        if (store_dependency(s, &m->dependencies[i], &found, NULL) == 0 &&
            among(found.text, ids, n))
            r = store_errnum(
                err, EBUSY,
                err_set(err, 0, "%s is a dependency of %s (%s); remove that too, or use --force",
                        found.text, m->name, user));
    ac_image_manifest_free(m);
    return r;
}

static int check_users(struct store *s, const struct aci_id *ids, size_t n, struct err *err)
{
    cleanup_stmt sqlite3_stmt *stmt =
        store_db_prepare(s, err, "SELECT id FROM images WHERE dependencies > 0", "");
    if (!stmt)
        return -1;
    int r;
    while ((r = store_db_step(s, stmt, err)) > 0) {
        const char *id = store_db_text(stmt, 0);
        if (aci_id_valid(id) && !among(id, ids, n) && check_dependencies(s, id, ids, n, err) < 0)
            return -1;
    }
    return r;
}

/* Whoever uses a file has it locked. What is gone is in nobody's use. */
bool store_file_in_use(int dirfd, const char *name)
{
    cleanup_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static int check_lock(struct store *s, const struct aci_id *id, struct err *err)
{
    if (!store_file_in_use(s->blobs_fd, id->text))
        return 0;
    return store_errnum(
        err, EBUSY,
        err_set(err, 0, "image %s is in use by a pod or another command; stop it, or use --force",
                id->text));
}

int store_delete_rows(struct store *s, const struct aci_id *id, struct err *err)
{
    if (store_db_run(s, err,
                     "DELETE FROM rendered WHERE key IN (SELECT key FROM layers WHERE image = ?)",
                     "t", id->text) < 0 ||
        store_db_run(s, err, "DELETE FROM images WHERE id = ?", "t", id->text) < 0)
        return -1;
    if (sqlite3_changes(s->db) == 0)
        return store_errnum(err, ENOENT, err_set(err, 0, "image %s is not in the store", id->text));
    return 0;
}

static int remove_locked(struct store *s, const struct aci_id *ids, size_t n, bool force,
                         struct err *err)
{
    if (!force && check_users(s, ids, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if ((!force && check_lock(s, &ids[i], err) < 0) || store_delete_rows(s, &ids[i], err) < 0)
            return -1;
    return store_db_changed(s, err);
}

static int remove_rows(struct store *s, const struct aci_id *ids, size_t n, bool force,
                       struct err *err)
{
    if (store_db_begin(s, err) < 0)
        return -1;
    if (remove_locked(s, ids, n, force, err) < 0) {
        store_db_rollback(s);
        return -1;
    }
    return store_db_commit(s, err);
}

/*
 * The files go after the rows, by sweeping: under the lock again, as another process may have
 * brought the image back by now. What a crash leaves is swept later.
 */
int store_remove(struct store *s, const struct aci_id *ids, size_t n, bool force, struct err *err)
{
    struct err why;
    int r = remove_rows(s, ids, n, force, &why);
    if (r < 0 && why.errnum == ENOSPC && store_make_room(s) == 0)
        r = remove_rows(s, ids, n, force, &why);
    if (r < 0) {
        if (err)
            *err = why;
        return -1;
    }
    return store_sweep(s, err);
}
