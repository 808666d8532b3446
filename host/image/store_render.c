/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendered roots and their cache.
 *
 * A root is named by a key: the hash of what it is made of. For an image without dependencies the
 * key follows from its ID; for others the plan (which image each dependency means) is worked
 * out once and stays valid until an image enters or leaves the store. So a cached root costs
 * two look-ups and opening its files.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/image/erofs.h"
#include "host/image/store_db.h"
#include "host/image/store_depend.h"

/* Part of every key: count it up when the writer's output changes. */
#define RENDER_VERSION "1-"
#define KEY_LEN        (sizeof(RENDER_VERSION) - 1 + 2 * ACI_DIGEST_LEN)

struct key {
    char text[KEY_LEN + 1];
};

/* An image alone has its own digest as the key: no hashing, so that a cached start has none. */
static void key_of_image(const char *id, struct key *ret)
{
    snprintf(ret->text, sizeof(ret->text), RENDER_VERSION "%s", id + sizeof(ACI_ID_PREFIX) - 1);
}

static void key_of_text(const struct buf *b, struct key *ret)
{
    uint8_t digest[ACI_DIGEST_LEN];
    if (!EVP_Digest(b->data, b->len, digest, NULL, EVP_sha512(), NULL))
        abort(); /* fails for want of memory only */
    memcpy(ret->text, RENDER_VERSION, sizeof(RENDER_VERSION) - 1);
    hex_encode(digest, sizeof(digest), ret->text + sizeof(RENDER_VERSION) - 1);
}

/* The image that a whitelist belongs to: its ID stands for the list. */
static const char *owner(const struct render_plan *p, const struct ac_strings *whitelist)
{
    for (size_t i = 0; i < p->nimages; i++)
        if (&p->images[i].manifest->path_whitelist == whitelist)
            return p->images[i].id;
    return "";
}

/* A line for each layer: its ID, and those of the images above it whose whitelists filter it. */
static void key_of_plan(const struct render_plan *p, struct key *ret)
{
    cleanup_with(buf_free) struct buf b = {0};
    if (p->nlayers == 1) {
        key_of_image(p->images[0].id, ret);
        return;
    }
    for (size_t i = 0; i < p->nlayers; i++) {
        const struct render_layer *layer = &p->layers[i];
        const char *id = p->images[layer->blob].id;
        buf_adds(&b, id);
        for (size_t k = 0; k < layer->nwhitelists; k++) {
            const char *filter = owner(p, layer->whitelists[k]);
            if (strcmp(filter, id) != 0)
                buf_printf(&b, " %s", filter);
        }
        buf_addc(&b, '\n');
    }
    key_of_text(&b, ret);
}

static void plan_freep(struct render_plan **p)
{
    render_plan_free(*p);
}

static int make_plan(struct store_depend *d, const struct render_image *root,
                     struct render_plan **ret, struct err *err)
{
    if (render_plan_make(root, store_depend_resolve, d, ret, err) == 0)
        return 0;
    return err_prefix(err, "image %s", root->manifest->name);
}

static int plan_key(struct store *s, const struct aci_id *id, int64_t generation, struct key *ret,
                    struct err *err)
{
    cleanup_with(store_depend_done) struct store_depend d = {.store = s};
    cleanup_with(plan_freep) struct render_plan *plan = NULL;
    struct render_image root;
    if (store_depend_get(&d, id, &root, err) < 0 || make_plan(&d, &root, &plan, err) < 0)
        return -1;
    key_of_plan(plan, ret);
    return store_db_run(s, err, "INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", "tti", id->text,
                        ret->text, generation);
}

/* The key of an image's root, from the index when it is known there. */
static int find_key(struct store *s, const struct aci_id *id, struct key *ret, struct err *err)
{
    int64_t generation;
    {
        cleanup_stmt sqlite3_stmt *stmt = store_db_prepare(
            s, err,
            "SELECT i.dependencies, g.n, p.key FROM images i JOIN generation g LEFT JOIN plans p"
            " ON p.image = i.id AND p.generation = g.n WHERE i.id = ?",
            "t", id->text);
        int r = stmt ? store_db_step(s, stmt, err) : -1;
        if (r == 0)
            return store_errnum(err, ENOENT,
                                err_set(err, 0, "image %s is not in the store", id->text));
        if (r < 0)
            return -1;
        const char *known = store_db_text(stmt, 2);
        generation = sqlite3_column_int64(stmt, 1);
        if (sqlite3_column_int64(stmt, 0) == 0) {
            key_of_image(id->text, ret);
            return 0;
        }
        if (strlen(known) == KEY_LEN) {
            memcpy(ret->text, known, sizeof(ret->text));
            return 0;
        }
    }
    return plan_key(s, id, generation, ret, err);
}

int store_root_key(struct store *s, const struct aci_id *id, char ret[STORE_KEY_MAX],
                   struct err *err)
{
    struct key key;
    _Static_assert(sizeof(key.text) <= STORE_KEY_MAX, "the key fits");
    if (find_key(s, id, &key, err) < 0)
        return -1;
    memcpy(ret, key.text, sizeof(key.text));
    return 0;
}

void store_root_done(struct store_root *r)
{
    for (size_t i = 0; i < r->nparts; i++)
        if (r->parts[i].fd >= 0)
            close(r->parts[i].fd);
    free(r->parts);
    if (r->index_fd >= 0)
        close(r->index_fd);
    *r = (struct store_root){.index_fd = -1};
}

/* 1 when the file is as the index remembers it, 0 when it is gone or changed. */
static int open_index(struct store *s, const char *key, const struct store_stamp *noted,
                      struct store_root *root, struct err *err)
{
    cleanup_free char *name = xasprintf("%s.erofs", key);
    struct store_stamp found;
    struct stat st;
    cleanup_close int fd = openat(s->rendered_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || flock(fd, LOCK_SH) < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open %s/rendered/%s", s->dir, name);
    store_stamp_of(&st, &found);
    if (!store_stamp_equal(noted, &found))
        return 0;
    root->index_fd = take_fd(fd);
    root->index_length = (uint64_t)found.size;
    return 1;
}

static int open_part(struct store *s, sqlite3_stmt *stmt, struct store_root *root, size_t *cap,
                     struct err *err)
{
    struct store_part part = {
        .offset = (uint64_t)sqlite3_column_int64(stmt, 1),
        .length = (uint64_t)sqlite3_column_int64(stmt, 2),
    };
    const char *id = store_db_text(stmt, 0);
    if (!aci_id_valid(id))
        return err_set(err, 0, "%s/index.db is damaged: \"%s\" is no image ID", s->dir, id);
    memcpy(part.image.text, id, sizeof(part.image.text));
    if (store_blob(s, &part.image, &part.fd, &part.size, err) < 0)
        return -1;
    array_grow(&root->parts, root->nparts, cap, sizeof(*root->parts));
    root->parts[root->nparts++] = part;
    return 0;
}

static int open_parts(struct store *s, const char *key, struct store_root *root, struct err *err)
{
    size_t cap = 0;
    int r = 0;
    cleanup_stmt sqlite3_stmt *stmt = store_db_prepare(
        s, err, "SELECT image, offset, length FROM parts WHERE key = ? ORDER BY position", "t",
        key);
    if (!stmt)
        return -1;
    while (r >= 0 && (r = store_db_step(s, stmt, err)) > 0)
        r = open_part(s, stmt, root, &cap, err);
    return r;
}

/* 1 with *ret, 0 when it has to be rendered. */
static int open_cached(struct store *s, const struct key *key, struct store_root *ret,
                       struct err *err)
{
    struct store_root root = {.index_fd = -1, .cached = true};
    struct store_stamp noted;
    {
        cleanup_stmt sqlite3_stmt *stmt = store_db_prepare(
            s, err, "SELECT size, ino, mtime, ctime, total FROM rendered WHERE key = ?", "t",
            key->text);
        int r = stmt ? store_db_step(s, stmt, err) : -1;
        if (r <= 0)
            return r;
        noted = (struct store_stamp){
            sqlite3_column_int64(stmt, 0),
            sqlite3_column_int64(stmt, 1),
            sqlite3_column_int64(stmt, 2),
            sqlite3_column_int64(stmt, 3),
        };
        root.total = (uint64_t)sqlite3_column_int64(stmt, 4);
    }
    int r = open_index(s, key->text, &noted, &root, err);
    if (r <= 0)
        return r;
    if (open_parts(s, key->text, &root, err) < 0) {
        store_root_done(&root);
        return -1;
    }
    *ret = root;
    return 1;
}

static int insert_rows(struct store *s, const struct key *key, const struct render_plan *plan,
                       const struct erofs_index *index, const struct store_stamp *stamp,
                       struct err *err)
{
    int64_t now = time(NULL);
    if (store_db_run(s, err, "DELETE FROM rendered WHERE key = ?", "t", key->text) < 0 ||
        store_db_run(s, err,
                     "INSERT INTO rendered (key, total, created, used, size, ino, mtime, ctime)"
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                     "tiiiiiii", key->text, (int64_t)index->total, now, now, stamp->size,
                     stamp->ino, stamp->mtime_ns, stamp->ctime_ns) < 0)
        return -1;
    for (size_t i = 0; i < index->nparts; i++) {
        const struct erofs_part *p = &index->parts[i];
        if (store_db_run(s, err, "INSERT INTO parts VALUES (?, ?, ?, ?, ?)", "titii", key->text,
                         (int64_t)i, plan->images[p->blob].id, (int64_t)p->offset,
                         (int64_t)p->length) < 0)
            return -1;
    }
    for (size_t i = 0; i < plan->nimages; i++)
        if (store_db_run(s, err, "INSERT INTO layers VALUES (?, ?)", "tt", key->text,
                         plan->images[i].id) < 0)
            return -1;
    return 0;
}

/* Under the write lock: of two processes that render the same, the later wins with file and row. */
static int enter_locked(struct store *s, const struct key *key, const struct render_plan *plan,
                        const struct erofs_index *index, int fd, const char *temp, struct err *err)
{
    cleanup_free char *name = xasprintf("%s.erofs", key->text);
    struct store_stamp stamp;
    struct stat st;
    if (renameat(s->rendered_fd, temp, s->rendered_fd, name) < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't store %s/rendered/%s", s->dir, name);
    store_stamp_of(&st, &stamp);
    return insert_rows(s, key, plan, index, &stamp, err);
}

static int enter(struct store *s, const struct key *key, const struct render_plan *plan,
                 const struct erofs_index *index, int fd, const char *temp, struct err *err)
{
    if (fsync(fd) < 0)
        return err_set(err, errno, "can't store a root in %s/rendered", s->dir);
    if (store_db_begin(s, err) < 0)
        return -1;
    if (enter_locked(s, key, plan, index, fd, temp, err) < 0) {
        store_db_rollback(s);
        return -1;
    }
    return store_db_commit(s, err);
}

static int write_index(const struct render_plan *plan, int fd, struct erofs_index *ret,
                       struct err *err)
{
    struct render *r;
    if (render_compose(plan->layers, plan->nlayers, &r, err) < 0)
        return -1;
    int result = erofs_write(r, fd, ret, err);
    render_free(r);
    return result;
}

/* Writes the root that a plan with trees describes, and enters it. */
static int render_plan_to_store(struct store *s, const struct render_plan *plan, struct err *err)
{
    cleanup_free char *temp = NULL;
    struct erofs_index index;
    struct key key;
    cleanup_close int fd = -1;
    key_of_plan(plan, &key);
    if (store_temp(s->rendered_fd, &fd, &temp, err) < 0)
        return -1;
    int r = write_index(plan, fd, &index, err);
    if (r == 0) {
        r = enter(s, &key, plan, &index, fd, temp, err);
        erofs_index_done(&index);
    }
    if (r < 0)
        (void)unlinkat(s->rendered_fd, temp, 0);
    return r;
}

static int render_new(struct store *s, const struct aci_id *id, struct err *err)
{
    cleanup_with(store_depend_done) struct store_depend d = {.store = s, .with_trees = true};
    cleanup_with(plan_freep) struct render_plan *plan = NULL;
    struct render_image root;
    if (store_depend_get(&d, id, &root, err) < 0 || make_plan(&d, &root, &plan, err) < 0)
        return -1;
    return render_plan_to_store(s, plan, err);
}

/* A use is a hint for cleaning up: not being able to note it stops nobody. */
static void note_use(struct store *s, const struct aci_id *id, const struct key *key)
{
    int64_t now = time(NULL);
    store_touch(s, id);
    (void)store_db_run(s, NULL, "UPDATE rendered SET used = ? WHERE key = ? AND used < ?", "iti",
                       now, key->text, now - STORE_TOUCH_SECONDS);
}

int store_render(struct store *s, const struct aci_id *id, struct store_root *ret, struct err *err)
{
    struct key key;
    if (find_key(s, id, &key, err) < 0)
        return -1;
    int r = open_cached(s, &key, ret, err);
    if (r < 0)
        return -1;
    if (r == 0) {
        if (render_new(s, id, err) < 0 || find_key(s, id, &key, err) < 0)
            return -1;
        r = open_cached(s, &key, ret, err);
        if (r == 0)
            return err_set(err, EAGAIN, "the store changed while image %s was rendered", id->text);
        if (r < 0)
            return -1;
        ret->cached = false;
    }
    note_use(s, id, &key);
    return 0;
}

int store_render_imported(struct store *s, const struct aci_id *id, const struct aci_image *image,
                          struct err *err)
{
    cleanup_with(store_depend_done) struct store_depend d = {.store = s, .with_trees = true};
    cleanup_with(plan_freep) struct render_plan *plan = NULL;
    struct render_image root;
    struct store_root cached;
    struct key key;
    key_of_image(id->text, &key);
    int r = open_cached(s, &key, &cached, NULL);
    if (r > 0) {
        store_root_done(&cached);
        return 0;
    }
    store_depend_lend(&d, id, image, &root);
    if (make_plan(&d, &root, &plan, err) < 0)
        return -1;
    return render_plan_to_store(s, plan, err);
}

/* 1 when the two files have the same bytes. */
static int same_bytes(int a, int b, struct err *err)
{
    static const size_t chunk = 1u << 16;
    cleanup_free char *pa = xmalloc(2 * chunk);
    char *pb = pa + chunk;
    for (off_t at = 0;; at += (off_t)chunk) {
        ssize_t na = pread(a, pa, chunk, at), nb = pread(b, pb, chunk, at);
        if (na < 0 || nb < 0)
            return err_set(err, errno, "can't read a rendered root");
        if (na != nb || memcmp(pa, pb, (size_t)na) != 0)
            return 0;
        if (na == 0)
            return 1;
    }
}

/* 1 when the cached root, at whose start `cached` stands, is what the plan gives. */
static int compare_root(struct store *s, const struct render_plan *plan, int cached,
                        struct err *err)
{
    cleanup_free char *temp = NULL;
    struct erofs_index index;
    cleanup_close int fd = -1;
    if (store_temp(s->rendered_fd, &fd, &temp, err) < 0)
        return -1;
    (void)unlinkat(s->rendered_fd, temp, 0);
    if (write_index(plan, fd, &index, err) < 0)
        return -1;
    erofs_index_done(&index);
    return same_bytes(fd, cached, err);
}

int store_render_check(struct store *s, const struct aci_id *id, const struct aci_image *image,
                       bool *ret_dropped, struct err *err)
{
    cleanup_with(store_depend_done) struct store_depend d = {.store = s, .with_trees = true};
    cleanup_with(plan_freep) struct render_plan *plan = NULL;
    struct render_image root;
    struct key key;
    *ret_dropped = false;
    if (find_key(s, id, &key, NULL) < 0) /* a dependency is missing: there is no root */
        return 0;
    cleanup_free char *name = xasprintf("%s.erofs", key.text);
    cleanup_close int fd = openat(s->rendered_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(err, errno, "can't open %s/rendered/%s", s->dir, name);
    store_depend_lend(&d, id, image, &root);
    if (make_plan(&d, &root, &plan, err) < 0)
        return -1;
    int same = compare_root(s, plan, fd, err);
    if (same != 0)
        return same < 0 ? -1 : 0;
    *ret_dropped = true;
    if (store_db_run(s, err, "DELETE FROM rendered WHERE key = ?", "t", key.text) < 0)
        return -1;
    return store_sweep(s, err);
}
