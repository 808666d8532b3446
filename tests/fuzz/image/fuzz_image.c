/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: an image's tar from an attacker is read, composed with itself under a whitelist made
 * of its own names, and written as an index. The input is the tar; headers get right checksums
 * first, so that mutations reach what is behind them.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/erofs.h"
#include "tests/fuzz/tar.h"

#define INPUT_MAX (256u << 10)
#define LIST_MAX  64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every third name of the tree. */
static void make_list(const struct tree *t, struct ac_strings *list)
{
    size_t cap = 0, k = 0;
    for (struct tree_node *n = t->root; n && list->n < LIST_MAX; n = tree_next(t->root, n)) {
        struct buf path = {0};
        if (k++ % 3)
            continue;
        tree_path(n, &path);
        array_grow(&list->v, list->n, &cap, sizeof(*list->v));
        list->v[list->n++] = buf_take(&path);
    }
}

static void write_index(const struct render_layer *layers, size_t n)
{
    struct render *r;
    struct err err;
    if (render_compose(layers, n, &r, &err) < 0)
        return;
    struct erofs_index index;
    cleanup_close int fd = memfd_create("index", MFD_CLOEXEC);
    if (fd < 0)
        abort();
    if (erofs_write(r, fd, &index, &err) == 0)
        erofs_index_done(&index);
    render_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tree *t;
    struct err err;
    if (size > INPUT_MAX)
        return 0;
    cleanup_free uint8_t *tar = xmalloc(size);
    memcpy(tar, data, size);
    mend_checksums(tar, size);
    if (tree_read(tar, size, &t, &err) < 0)
        return 0;
    struct ac_strings list = {0};
    make_list(t, &list);
    const struct ac_strings *lists[] = {&list};
    const struct render_layer layers[] = {
        {.tree = t},
        {.tree = t, .whitelists = lists, .nwhitelists = 1},
        {.tree = t},
    };
    write_index(layers, 1);
    write_index(layers, 2);
    write_index(layers + 1, 1);
    for (size_t k = 0; k < list.n; k++)
        free(list.v[k]);
    free(list.v);
    tree_free(t);
    return 0;
}
