/* SPDX-License-Identifier: Apache-2.0 */
/* The image store: opening it, and the questions that its index answers. */
#include "host/image/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/store_db.h"
#include "schema/label.h"

static int open_dir(const char *dir, int *ret, struct err *err)
{
    struct stat st;
    if (mkdir_parents_at(AT_FDCWD, dir, 0700, err) < 0)
        return -1;
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open the data directory %s", dir);
    if (st.st_uid != geteuid())
        return err_set(err, 0,
                       "the data directory %s belongs to user %u, not to you (%u); choose another "
                       "one with --dir=DIR",
                       dir, st.st_uid, geteuid());
    if (st.st_mode & 022)
        return err_set(err, 0,
                       "others can write to the data directory %s; \"chmod go-w\" it, or choose "
                       "another one with --dir=DIR",
                       dir);
    *ret = take_fd(fd);
    return 0;
}

static int open_subdir(struct store *s, const char *name, int *ret, struct err *err)
{
    if (mkdirat(s->dirfd, name, 0700) < 0 && errno != EEXIST)
        return err_set(err, errno, "can't create %s/%s", s->dir, name);
    *ret = openat(s->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (*ret < 0)
        return err_set(err, errno, "can't open %s/%s", s->dir, name);
    return 0;
}

static int open_all(struct store *s, const char *dir, enum store_access access, struct err *err)
{
    int pods = -1;
    if (open_dir(dir, &s->dirfd, err) < 0)
        return -1;
    s->dir = realpath(dir, NULL);
    if (!s->dir)
        return err_set(err, errno, "can't open the data directory %s", dir);
    if (open_subdir(s, "blobs", &s->blobs_fd, err) < 0 ||
        open_subdir(s, "rendered", &s->rendered_fd, err) < 0 ||
        open_subdir(s, "pods", &pods, err) < 0)
        return -1;
    close(pods);
    if (store_db_open(s, err) < 0)
        return -1;
    return access == STORE_WRITE ? store_sweep(s, err) : 0;
}

int store_open(const char *dir, enum store_access access, struct store **ret, struct err *err)
{
    struct store *s = xcalloc(1, sizeof(*s));
    s->dirfd = s->blobs_fd = s->rendered_fd = s->hold_fd = -1;
    if (open_all(s, dir, access, err) < 0) {
        store_close(s);
        return -1;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    sqlite3_close(s->db);
    if (s->hold)
        (void)unlinkat(s->blobs_fd, s->hold, 0);
    free(s->hold);
    for (size_t i = 0; i < 4; i++) {
        int fd = (int[]){s->hold_fd, s->dirfd, s->blobs_fd, s->rendered_fd}[i];
        if (fd >= 0)
            close(fd);
    }
    free(s->dir);
    free(s);
}

int store_dirfd(const struct store *s)
{
    return s->dirfd;
}

void store_image_done(struct store_image *i)
{
    for (size_t k = 0; k < i->labels.n; k++) {
        free(i->labels.v[k].name);
        free(i->labels.v[k].value);
    }
    free(i->labels.v);
    free(i->name);
    free(i->origin);
    free(i->signer);
    *i = (struct store_image){0};
}

void store_images_free(struct store_image *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_image_done(&v[i]);
    free(v);
}

static int read_labels(struct store *s, struct store_image *image, struct err *err)
{
    size_t cap = 0;
    int r;
    cleanup_stmt sqlite3_stmt *stmt =
        store_db_prepare(s, err, "SELECT name, value FROM labels WHERE image = ? ORDER BY position",
                         "t", image->id.text);
    if (!stmt)
        return -1;
    while ((r = store_db_step(s, stmt, err)) > 0) {
        array_grow(&image->labels.v, image->labels.n, &cap, sizeof(*image->labels.v));
        image->labels.v[image->labels.n++] = (struct ac_pair){
            xstrdup(store_db_text(stmt, 0)),
            xstrdup(store_db_text(stmt, 1)),
        };
    }
    return r;
}

#define IMAGE_COLUMNS "id, name, size, archive_size, imported, used, origin, signer"

static int read_image(struct store *s, sqlite3_stmt *stmt, struct store_image *ret, struct err *err)
{
    const char *id = store_db_text(stmt, 0);
    if (!aci_id_valid(id))
        return err_set(err, 0, "%s/index.db is damaged: \"%s\" is no image ID", s->dir, id);
    *ret = (struct store_image){
        .name = xstrdup(store_db_text(stmt, 1)),
        .size = (uint64_t)sqlite3_column_int64(stmt, 2),
        .archive_size = (uint64_t)sqlite3_column_int64(stmt, 3),
        .imported = sqlite3_column_int64(stmt, 4),
        .used = sqlite3_column_int64(stmt, 5),
        .origin = xstrdup(store_db_text(stmt, 6)),
    };
    memcpy(ret->id.text, id, sizeof(ret->id.text));
    if (sqlite3_column_type(stmt, 7) != SQLITE_NULL)
        ret->signer = xstrdup(store_db_text(stmt, 7));
    ret->insecure = !ret->signer;
    if (read_labels(s, ret, err) == 0)
        return 0;
    store_image_done(ret);
    return -1;
}

static int read_images(struct store *s, sqlite3_stmt *stmt, struct store_image **ret, size_t *ret_n,
                       struct err *err)
{
    struct store_image *v = NULL;
    size_t n = 0, cap = 0;
    int r;
    while ((r = store_db_step(s, stmt, err)) > 0) {
        array_grow(&v, n, &cap, sizeof(*v));
        r = read_image(s, stmt, &v[n], err);
        if (r < 0)
            break;
        n++;
    }
    if (r < 0) {
        store_images_free(v, n);
        return -1;
    }
    *ret = v;
    *ret_n = n;
    return 0;
}

int store_get(struct store *s, const struct aci_id *id, struct store_image *ret, struct err *err)
{
    cleanup_stmt sqlite3_stmt *stmt = store_db_prepare(
        s, err, "SELECT " IMAGE_COLUMNS " FROM images WHERE id = ?", "t", id->text);
    int r = stmt ? store_db_step(s, stmt, err) : -1;
    if (r == 0)
        return store_errnum(err, ENOENT, err_set(err, 0, "image %s is not in the store", id->text));
    return r < 0 ? -1 : read_image(s, stmt, ret, err);
}

static int best_first(const void *a, const void *b)
{
    const struct store_image *x = a, *y = b;
    int r = -imgref_better(&x->labels, x->imported, &y->labels, y->imported);
    return r ? r : strcmp(x->id.text, y->id.text);
}

static int by_name(const void *a, const void *b)
{
    const struct store_image *x = a, *y = b;
    int r = strcmp(x->name, y->name);
    return r ? r : best_first(a, b);
}

int store_list(struct store *s, struct store_image **ret, size_t *ret_n, struct err *err)
{
    cleanup_stmt sqlite3_stmt *stmt =
        store_db_prepare(s, err, "SELECT " IMAGE_COLUMNS " FROM images", "");
    if (!stmt || read_images(s, stmt, ret, ret_n, err) < 0)
        return -1;
    if (*ret_n)
        qsort(*ret, *ret_n, sizeof(**ret), by_name);
    return 0;
}

/* Drops those whose labels do not fit. */
static void filter(struct store_image *v, size_t *n, const struct ac_pairs *labels)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        if (ac_labels_match(labels, &v[i].labels))
            v[kept++] = v[i];
        else
            store_image_done(&v[i]);
    }
    *n = kept;
}

static int match_name(struct store *s, const char *name, const struct ac_pairs *labels,
                      struct store_image **ret, size_t *ret_n, struct err *err)
{
    cleanup_stmt sqlite3_stmt *stmt =
        store_db_prepare(s, err, "SELECT " IMAGE_COLUMNS " FROM images WHERE name = ?", "t", name);
    if (!stmt || read_images(s, stmt, ret, ret_n, err) < 0)
        return -1;
    filter(*ret, ret_n, labels);
    if (*ret_n)
        qsort(*ret, *ret_n, sizeof(**ret), best_first);
    return 0;
}

/* "sha512-abc" up to, but not including, "sha512-abcg": "g" follows the hex digits. */
static int match_prefix(struct store *s, const char *prefix, struct store_image **ret,
                        size_t *ret_n, struct err *err)
{
    cleanup_free char *end = xasprintf("%sg", prefix);
    cleanup_stmt sqlite3_stmt *stmt = store_db_prepare(
        s, err, "SELECT " IMAGE_COLUMNS " FROM images WHERE id >= ? AND id < ? ORDER BY id", "tt",
        prefix, end);
    return stmt ? read_images(s, stmt, ret, ret_n, err) : -1;
}

int store_match(struct store *s, const struct imgref *ref, struct store_image **ret, size_t *ret_n,
                struct err *err)
{
    switch (ref->kind) {
    case IMGREF_ID:
        return match_prefix(s, ref->text, ret, ret_n, err);
    case IMGREF_NAME:
        return match_name(s, ref->text, &ref->labels, ret, ret_n, err);
    case IMGREF_FILE:
    case IMGREF_URL:
        break;
    }
    return err_set(err, 0,
                   "%s is not in the store; \"appc-vm fetch\" it first and use its name or ID",
                   ref->text);
}

/* "can't tell" with the first candidates. */
static int ambiguous(const struct imgref *ref, const struct store_image *v, size_t n,
                     struct err *err)
{
    cleanup_with(buf_free) struct buf list = {0};
    size_t shown = n < 4 ? n : 4;
    for (size_t i = 0; i < shown; i++)
        buf_printf(&list, "%s%.*s (%s)", i ? ", " : "", 32, v[i].id.text, v[i].name);
    return err_set(err, 0, "%s fits %zu images: %s%s", ref->text, n, list.data,
                   shown < n ? ", ..." : "");
}

static int not_found(const struct imgref *ref, struct err *err)
{
    cleanup_with(buf_free) struct buf labels = {0};
    for (size_t i = 0; i < ref->labels.n; i++)
        buf_printf(&labels, ",%s=%s", ref->labels.v[i].name, ref->labels.v[i].value);
    return store_errnum(err, ENOENT,
                        err_set(err, 0, "no image in the store is %s%s; see \"appc-vm image list\"",
                                ref->text, labels.data ? labels.data : ""));
}

int store_resolve(struct store *s, const struct imgref *ref, struct aci_id *ret, struct err *err)
{
    struct store_image *v = NULL;
    size_t n = 0;
    int r = 0;
    if (store_match(s, ref, &v, &n, err) < 0)
        return -1;
    if (n == 0)
        r = not_found(ref, err);
    else if (n > 1 && ref->kind == IMGREF_ID)
        r = ambiguous(ref, v, n, err);
    else
        *ret = v[0].id;
    store_images_free(v, n);
    return r;
}

int store_find(struct store *s, const char *text, struct aci_id *ret, struct err *err)
{
    struct imgref ref;
    if (imgref_parse(text, &ref, err) < 0)
        return -1;
    int r = store_resolve(s, &ref, ret, err);
    imgref_done(&ref);
    return r;
}

int store_manifest(struct store *s, const struct aci_id *id, char **ret_text, size_t *ret_len,
                   struct err *err)
{
    cleanup_stmt sqlite3_stmt *stmt =
        store_db_prepare(s, err, "SELECT text FROM manifests WHERE image = ?", "t", id->text);
    int r = stmt ? store_db_step(s, stmt, err) : -1;
    if (r == 0)
        return store_errnum(err, ENOENT, err_set(err, 0, "image %s is not in the store", id->text));
    if (r < 0)
        return -1;
    size_t len = (size_t)sqlite3_column_bytes(stmt, 0);
    char *text = xmalloc(len + 1);
    if (len)
        memcpy(text, sqlite3_column_blob(stmt, 0), len);
    text[len] = '\0';
    *ret_text = text;
    *ret_len = len;
    return 0;
}

void store_touch(struct store *s, const struct aci_id *id)
{
    int64_t now = time(NULL);
    (void)store_db_run(s, NULL, "UPDATE images SET used = ? WHERE id = ? AND used < ?", "iti", now,
                       id->text, now - STORE_TOUCH_SECONDS);
}

/* A temporary file: its lock shows that we live, its time since when. */
int store_hold(struct store *s, struct err *err)
{
    if (s->hold_fd >= 0)
        return 0;
    return store_temp(s->blobs_fd, &s->hold_fd, &s->hold, err);
}
