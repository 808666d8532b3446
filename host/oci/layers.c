/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of an OCI image: unpacked to files without names, checked, merged to one tree. */
#include "host/oci/layers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/build_tar.h"
#include "host/image/import_source.h"
#include "host/image/store_db.h"
#include "host/image/tree-build.h"

#define END_OF_TAR (2 * ACI_TAR_BLOCK)

/* The last one may be made up: the directories that layers_add_dir() adds. */
struct layer {
    void *map; /* NULL for a layer that is made up */
    size_t len;
    struct tree *tree;
};

/* All that is counted over the layers while they are opened. */
struct opening {
    struct store *store;
    const struct unpack_options *opt;
    const char *name;
    uint64_t unpacked; /* bytes of the layers before, uncompressed */
    uint64_t packed;   /* bytes of the layers before */
    uint64_t meta;
};

static void on_progress(void *arg, uint64_t bytes)
{
    const struct opening *o = arg;
    if (o->opt->progress)
        o->opt->progress(o->opt->arg, o->packed + bytes);
}

static int unpack(struct opening *o, const struct oci_layer *l, const char *diff_id,
                  const char *what, int fd, uint64_t *ret_len, struct err *err)
{
    struct import_source *src;
    struct unpack_result r;
    uint8_t hash[EVP_MAX_MD_SIZE];
    struct unpack_options opt = *o->opt;
    opt.before = o->unpacked;
    opt.progress = on_progress;
    opt.arg = o;
    if (import_source_open_range(l->fd, l->offset, l->size, what, &src, err) < 0)
        return -1;
    int result = import_unpack_source(src, what, oci_digest_md(diff_id), fd, &opt, hash, &r, err);
    import_source_free(src);
    if (result < 0)
        return -1;
    if (!oci_digest_is(diff_id, hash))
        return err_set(err, EBADMSG, "%s: its content is not %s, which the config names", what,
                       diff_id);
    *ret_len = r.tar_bytes;
    return 0;
}

/* A file that has no name from the start, on the store's file system. */
static int temp_file(struct store *s, struct err *err)
{
    cleanup_free char *name = NULL;
    int fd;
    if (store_temp(s->blobs_fd, &fd, &name, err) < 0)
        return -1;
    (void)unlinkat(s->blobs_fd, name, 0);
    return fd;
}

/*
 * Some writers end a layer with its last file and leave out the padding and the two empty blocks
 * behind it; readers get them from us. The file is ours alone and its hash is taken already.
 */
static int map_layer(int fd, uint64_t len, const char *what, struct layer *ret, struct err *err)
{
    uint64_t padded = len + tar_padding(len) + END_OF_TAR;
    if (ftruncate(fd, (off_t)padded) < 0)
        return err_set(err, errno, "can't unpack %s", what);
    void *map = mmap(NULL, (size_t)padded, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return err_set(err, errno, "can't map %s", what);
    ret->map = map;
    ret->len = (size_t)padded;
    return 0;
}

/* The content of files must not be made of that padding. */
static int check_end(const struct tree *t, uint64_t len, struct err *err)
{
    for (struct tree_node *n = t->root; n; n = tree_next(t->root, n)) {
        const struct tree_inode *i = n->inode;
        const struct tree_extent *last = i->nextents ? &i->extents[i->nextents - 1] : NULL;
        if (last && last->tar_off + last->len > len)
            return err_set(err, 0, "the tar is cut off in the file %.255s", n->name);
    }
    return 0;
}

static int open_layer(struct opening *o, const struct oci_layer *l, const char *diff_id,
                      const char *what, struct layer *ret, struct err *err)
{
    uint64_t len;
    cleanup_close int fd = temp_file(o->store, err);
    if (fd < 0 || unpack(o, l, diff_id, what, fd, &len, err) < 0 ||
        map_layer(fd, len, what, ret, err) < 0)
        return -1;
    if (tree_read_layer(ret->map, ret->len, &ret->tree, err) < 0 ||
        check_end(ret->tree, len, err) < 0)
        return err_prefix(err, "%s", what);
    o->unpacked += len;
    o->packed += l->size;
    o->meta += ret->tree->meta;
    if (o->meta > TREE_META_MAX)
        return err_set(err, E2BIG, "%s: the layers have more than %llu bytes of names and links",
                       o->name, TREE_META_MAX);
    return 0;
}

static int merge(struct layers *l, struct err *err)
{
    cleanup_free struct render_layer *v = xcalloc(l->n, sizeof(*v));
    struct render *merged;
    for (size_t i = 0; i < l->n; i++)
        v[i] = (struct render_layer){.tree = l->v[i].tree, .blob = (uint32_t)i, .follow = true};
    if (render_compose(v, l->n, &merged, err) < 0)
        return -1;
    render_free(l->merged);
    l->merged = merged;
    return 0;
}

/* A tree without names, for an image without layers. */
static struct tree *empty_tree(struct builder *b)
{
    struct tree *t = xcalloc(1, sizeof(*t));
    t->root = builder_finish(b, &t->nnodes, &t->ninodes, &t->arena);
    return t;
}

int layers_open(struct store *s, const struct oci_image *image, const char *name,
                const struct unpack_options *opt, struct layers *ret, struct err *err)
{
    cleanup_with(layers_done) struct layers l = {0};
    struct opening o = {.store = s, .opt = opt, .name = name};
    l.v = xcalloc(image->nlayers + 2, sizeof(*l.v));
    for (size_t i = 0; i < image->nlayers; i++) {
        cleanup_free char *what = xasprintf("%s: layer %zu", name, i + 1);
        if (open_layer(&o, &image->layers[i], image->config.diff_ids.v[i], what, &l.v[l.n++], err) <
            0)
            return -1;
    }
    if (l.n == 0) {
        struct builder b;
        builder_init(&b);
        l.v[l.n++].tree = empty_tree(&b);
    }
    l.packed_bytes = o.packed;
    if (merge(&l, err) < 0)
        return err_prefix(err, "%s", name);
    *ret = l;
    l = (struct layers){0};
    return 0;
}

/* How much of the path is there: the rest of it; NULL when something else is in the way. */
static const char *missing_part(struct tree_node *n, const char *path)
{
    for (;;) {
        path += strspn(path, "/");
        size_t len = strcspn(path, "/");
        struct tree_node *child = len ? tree_child(n, path, len) : NULL;
        if (!child)
            return path;
        if (!S_ISDIR(child->inode->mode))
            return NULL;
        n = child;
        path += len;
    }
}

int layers_add_dir(struct layers *l, const char *path, struct err *err)
{
    cleanup_with(builder_done) struct builder b = {0};
    const char *missing = missing_part(l->merged->root, path);
    if (!missing || !*missing)
        return 0;
    builder_init(&b);
    struct tree_node *n = b.nodes[0];
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len > TREE_NAME_MAX)
            return err_set(err, ENAMETOOLONG, "the working directory %.255s", path);
        if (len && !(n = builder_add_dir(&b, n, path, len, err)))
            return -1;
        path += len + (path[len] == '/');
    }
    l->v[l->n++].tree = empty_tree(&b);
    return merge(l, err);
}

void layers_done(struct layers *l)
{
    render_free(l->merged);
    for (size_t i = 0; i < l->n; i++) {
        tree_free(l->v[i].tree);
        if (l->v[i].map)
            munmap(l->v[i].map, l->v[i].len);
    }
    free(l->v);
    *l = (struct layers){0};
}
