/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: layers of an attacker are merged and written as an image, which the importer's
 * reader has to take, to the same tree; and a config becomes a manifest, which the parser has to
 * take. The input is up to three layers, split where a block begins with "cut"; headers get right
 * checksums first.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/oci/convert.h"
#include "host/oci/write.h"
#include "tests/fuzz/tar.h"

#define INPUT_MAX  (256u << 10)
#define OUTPUT_MAX (64u << 20)
#define LAYERS     3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct render *r, const struct tree *t)
{
    struct tree_node *a = r->root, *b = t->root;
    while (a && b) {
        const struct tree_inode *x = a->inode, *y = b->inode;
        /* The lowest time that there is comes back from a tar one second later. */
        bool same_time = x->mtime == y->mtime || x->mtime == INT64_MIN;
        if (strcmp(a->name, b->name) != 0 || x->mode != y->mode || x->uid != y->uid ||
            x->gid != y->gid || x->size != y->size || x->nlink != y->nlink || !same_time ||
            x->mtime_nsec != y->mtime_nsec || x->nxattrs != y->nxattrs ||
            x->devminor != y->devminor)
            abort();
        a = tree_next(r->root, a);
        b = tree_next(t->root, b);
    }
    if (a || b)
        abort();
}

static void write_and_read(const struct render *r)
{
    struct aci_id id;
    struct tree *t;
    struct err err;
    uint64_t bytes;
    cleanup_close int fd = memfd_create("image", MFD_CLOEXEC);
    if (fd < 0)
        abort();
    if (write_image(r, "{}", 2, fd, OUTPUT_MAX, &id, &bytes, &err) < 0)
        return;
    void *map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        abort();
    if (tree_read(map, bytes, &t, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    compare(r, t);
    tree_free(t);
    munmap(map, bytes);
}

static void check_layers(uint8_t *data, size_t size)
{
    struct tree *trees[LAYERS];
    struct render_layer layers[LAYERS] = {0};
    struct render *r;
    struct err err;
    size_t n = 0, start = 0;
    for (size_t at = 512; at <= size && n < LAYERS; at += 512) {
        bool cut = at + 512 > size || memcmp(data + at, "cut", 3) == 0;
        if (!cut)
            continue;
        size_t end = at + 512 > size ? size : at;
        if (tree_read_layer(data + start, end - start, &trees[n], &err) < 0)
            break;
        layers[n] = (struct render_layer){.tree = trees[n], .blob = (uint32_t)n, .follow = true};
        n++;
        start = at + 512;
        if (start >= size)
            break;
    }
    if (n && render_compose(layers, n, &r, &err) == 0) {
        write_and_read(r);
        render_free(r);
    }
    while (n)
        tree_free(trees[--n]);
}

static void check_config(const char *text, size_t size)
{
    struct oci_image image = {0};
    struct ac_strings warnings = {0};
    const struct convert_accounts accounts = {{text, size}, {text, size}};
    struct err err;
    char *out;
    size_t len;
    if (oci_config_parse(text, size, "x", &image.config, &err) < 0)
        return;
    oci_digest_of(text, size, image.digest);
    /* As the caller makes sure. */
    if (image.config.os && strcmp(image.config.os, "linux") == 0 &&
        oci_arch(image.config.arch, image.config.variant) &&
        convert_config(&image, &accounts, &out, &len, &warnings, &err) == 0)
        free(out);
    ac_strings_done(&warnings);
    oci_config_done(&image.config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX)
        return 0;
    cleanup_free uint8_t *copy = xmalloc(size);
    memcpy(copy, data, size);
    check_config((const char *)data, size);
    mend_checksums(copy, size);
    check_layers(copy, size);
    return 0;
}
