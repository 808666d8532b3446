/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning the store up, least recently used first. */
#include "host/image/store_gc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/store_db.h"

struct node {
    size_t *deps; /* indexes of the images that it depends on, as they are found now */
    size_t ndeps, cap;
    int64_t used; /* by itself, or by what depends on it */
    bool needed;
    bool gone;
};

struct current {
    char key[STORE_KEY_MAX];
    bool needed; /* as the image is */
};

struct gc {
    struct store *store;
    const struct store_gc_options *opt;
    struct store_image *images;
    struct node *nodes; /* one for each image */
    size_t n;
    struct aci_id *pods; /* images that pods need */
    size_t npods;
    struct current *current; /* roots of the images that stay */
    size_t ncurrent;
};

static void gc_done(struct gc *g)
{
    for (size_t i = 0; i < g->n && g->nodes; i++)
        free(g->nodes[i].deps);
    free(g->nodes);
    store_images_free(g->images, g->n);
    free(g->pods);
    free(g->current);
}

static void tell(const struct gc *g, const struct store_gc_item *item)
{
    if (g->opt->removed)
        g->opt->removed(g->opt->arg, item);
}

static size_t index_of(const struct gc *g, const struct aci_id *id)
{
    size_t i = 0;
    while (i < g->n && strcmp(g->images[i].id.text, id->text) != 0)
        i++;
    return i;
}

/* A dependency that is not in the store is nobody's. */
static int read_dependencies(struct gc *g, size_t at, struct err *err)
{
    struct node *node = &g->nodes[at];
    cleanup_free char *text = NULL;
    size_t len;
    struct ac_image_manifest *m;
    struct ac_fault fault;
    struct aci_id id;
    if (store_manifest(g->store, &g->images[at].id, &text, &len, err) < 0)
        return -1;
    if (ac_image_manifest_parse(text, len, &m, &fault) < 0) /* image verify's concern, not ours */
        return 0;
    for (size_t i = 0; i < m->ndependencies; i++) {
        if (store_dependency(g->store, &m->dependencies[i], &id, NULL) < 0)
            continue;
        size_t k = index_of(g, &id);
        if (k == g->n || k == at)
            continue;
        array_grow(&node->deps, node->ndeps, &node->cap, sizeof(*node->deps));
        node->deps[node->ndeps++] = k;
    }
    ac_image_manifest_free(m);
    return 0;
}

static bool pod_needs(const struct gc *g, const struct aci_id *id)
{
    for (size_t i = 0; i < g->npods; i++)
        if (strcmp(g->pods[i].text, id->text) == 0)
            return true;
    return false;
}

/* What an image needs and when it was used holds for its dependencies too. */
static void inherit(struct gc *g)
{
    bool changed = true;
    for (size_t round = 0; changed && round < g->n; round++) {
        changed = false;
        for (size_t i = 0; i < g->n; i++)
            for (size_t k = 0; k < g->nodes[i].ndeps; k++) {
                struct node *from = &g->nodes[i], *to = &g->nodes[from->deps[k]];
                if (from->used > to->used || (from->needed && !to->needed)) {
                    to->used = from->used > to->used ? from->used : to->used;
                    to->needed |= from->needed;
                    changed = true;
                }
            }
    }
}

static int look(struct gc *g, struct err *err)
{
    int64_t busy;
    /* In this order: a pod that is prepared is in its directory before the store is let go. */
    if (store_busy_since(g->store, &busy, err) < 0 ||
        (g->opt->pods && g->opt->pods(g->opt->arg, &g->pods, &g->npods, err) < 0) ||
        store_list(g->store, &g->images, &g->n, err) < 0)
        return -1;
    g->nodes = xcalloc(g->n + 1, sizeof(*g->nodes));
    for (size_t i = 0; i < g->n; i++) {
        const struct store_image *image = &g->images[i];
        g->nodes[i].used = image->used;
        g->nodes[i].needed = (busy != INT64_MAX && image->used >= busy - STORE_TOUCH_SECONDS) ||
                             pod_needs(g, &image->id) ||
                             store_file_in_use(g->store->blobs_fd, image->id.text);
        if (read_dependencies(g, i, err) < 0)
            return -1;
    }
    inherit(g);
    return 0;
}

static bool has_user(const struct gc *g, size_t at)
{
    for (size_t i = 0; i < g->n; i++)
        for (size_t k = 0; !g->nodes[i].gone && k < g->nodes[i].ndeps; k++)
            if (g->nodes[i].deps[k] == at)
                return true;
    return false;
}

/* The least recently used image that may go, or n. */
static size_t oldest(const struct gc *g)
{
    size_t best = g->n;
    for (size_t i = 0; i < g->n; i++) {
        const struct node *node = &g->nodes[i];
        if (!node->gone && !node->needed && (best == g->n || node->used < g->nodes[best].used) &&
            !has_user(g, i))
            best = i;
    }
    return best;
}

static int remove_images(struct gc *g, struct store_gc_result *left, struct err *err)
{
    int64_t now = time(NULL);
    size_t at;
    left->images = g->n;
    for (size_t i = 0; i < g->n; i++)
        left->bytes += g->images[i].size;
    while ((at = oldest(g)) < g->n) {
        const struct store_image *image = &g->images[at];
        bool old = g->opt->by_age && g->nodes[at].used <= now - g->opt->older_than;
        if (!old && left->bytes <= g->opt->max_bytes)
            break;
        if (store_delete_rows(g->store, &image->id, err) < 0)
            return -1;
        cleanup_free char *path = xasprintf("blobs/%s", image->id.text);
        tell(g, &(struct store_gc_item){STORE_GC_IMAGE, image, path, image->size});
        g->nodes[at].gone = true;
        left->bytes -= image->size;
        left->images--;
    }
    return left->images < g->n ? store_db_changed(g->store, err) : 0;
}

static void collect_current(struct gc *g)
{
    g->current = xcalloc(g->n + 1, sizeof(*g->current));
    for (size_t i = 0; i < g->n; i++) {
        struct current *c = &g->current[g->ncurrent];
        if (g->nodes[i].gone || store_root_key(g->store, &g->images[i].id, c->key, NULL) < 0)
            continue;
        c->needed = g->nodes[i].needed;
        g->ncurrent++;
    }
}

/* Whether an image that stays has this root, and it may be wanted again. */
static bool is_wanted(const struct gc *g, const char *key, int64_t used)
{
    bool old = g->opt->by_age && used <= time(NULL) - g->opt->older_than;
    for (size_t i = 0; i < g->ncurrent; i++)
        if (strcmp(g->current[i].key, key) == 0 && (g->current[i].needed || !old))
            return true;
    return false;
}

static int remove_root(struct gc *g, const char *key, int64_t used, uint64_t bytes, struct err *err)
{
    cleanup_free char *name = xasprintf("%s.erofs", key);
    cleanup_free char *path = xasprintf("rendered/%s", name);
    if (is_wanted(g, key, used) || store_file_in_use(g->store->rendered_fd, name))
        return 0;
    tell(g, &(struct store_gc_item){.kind = STORE_GC_ROOT, .path = path, .bytes = bytes});
    return store_db_run(g->store, err, "DELETE FROM rendered WHERE key = ?", "t", key);
}

struct root {
    char key[STORE_KEY_MAX];
    int64_t used;
    uint64_t bytes;
};

static int list_roots(struct gc *g, struct root **ret, size_t *n, struct err *err)
{
    size_t cap = 0;
    int r;
    cleanup_stmt sqlite3_stmt *stmt =
        store_db_prepare(g->store, err, "SELECT key, used, size FROM rendered", "");
    if (!stmt)
        return -1;
    while ((r = store_db_step(g->store, stmt, err)) > 0) {
        array_grow(ret, *n, &cap, sizeof(**ret));
        struct root *root = &(*ret)[(*n)++];
        root->used = sqlite3_column_int64(stmt, 1);
        root->bytes = (uint64_t)sqlite3_column_int64(stmt, 2);
        snprintf(root->key, sizeof(root->key), "%s", store_db_text(stmt, 0));
    }
    return r;
}

/* Roots of the images that went have no row any more; these are the others. */
static int remove_roots(struct gc *g, struct err *err)
{
    cleanup_free struct root *roots = NULL;
    size_t n = 0;
    collect_current(g);
    if (list_roots(g, &roots, &n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (remove_root(g, roots[i].key, roots[i].used, roots[i].bytes, err) < 0)
            return -1;
    return 0;
}

static int leftover(void *arg, const char *folder, const char *name, uint64_t bytes, bool temporary,
                    struct err *err)
{
    cleanup_free char *path = xasprintf("%s/%s", folder, name);
    (void)err;
    tell(arg, &(struct store_gc_item){.kind = temporary ? STORE_GC_TEMP : STORE_GC_ORPHAN,
                                      .path = path,
                                      .bytes = bytes});
    return 0;
}

static int collect(struct gc *g, struct store_gc_result *left, struct err *err)
{
    if (look(g, err) < 0 || store_leftovers(g->store, leftover, g, err) < 0 ||
        remove_images(g, left, err) < 0)
        return -1;
    return remove_roots(g, err);
}

int store_gc(struct store *s, const struct store_gc_options *opt, struct store_gc_result *ret,
             struct err *err)
{
    cleanup_with(gc_done) struct gc g = {.store = s, .opt = opt};
    struct store_gc_result left = {0};
    if (store_db_begin(s, err) < 0)
        return -1;
    int r = collect(&g, &left, err);
    /* A dry run does all of it in the transaction, and takes it back. */
    if (r < 0 || opt->dry_run)
        store_db_rollback(s);
    else
        r = store_db_commit(s, err);
    if (r == 0 && !opt->dry_run)
        r = store_sweep(s, err);
    if (r == 0)
        *ret = left;
    return r;
}
