/* SPDX-License-Identifier: Apache-2.0 */
/*
 * erofs-pack: composes images' tars and writes the flattened file that Linux can mount. For tests.
 *
 *   erofs-pack [-s] [-x DIR] [-u] ([-w WHITELIST]... TAR)... [OUT]
 *
 * Layers come in override order; each -w (a file with one path a line) filters the TAR behind it.
 * -x extracts to the empty directory DIR, -u as an unprivileged user; -s prints figures. Without
 * -x, OUT is needed.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/erofs.h"
#include "host/image/extract.h"

#define LAYERS 64

static struct render_layer layers[LAYERS];
static size_t nlayers;
static const struct ac_strings *lists[LAYERS][LAYERS];
static struct ac_strings list_store[LAYERS * LAYERS];
static size_t nlist_store;

static _Noreturn void die(const char *what, const struct err *err)
{
    fprintf(stderr, "erofs-pack: %s: %s\n", what, err->msg);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void read_list(struct ac_strings *list, const char *path)
{
    struct err err;
    char *text;
    size_t len, cap = 0;
    if (read_file_at(AT_FDCWD, path, 16u << 20, &text, &len, &err) < 0)
        die(path, &err);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        array_grow(&list->v, list->n, &cap, sizeof(*list->v));
        list->v[list->n++] = line;
    }
}

static void read_layer(const char *path, size_t nlists, bool stats)
{
    struct err err;
    struct stat st;
    struct tree *tree;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(path);
        exit(1);
    }
    void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (map == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    double begin = now_us();
    if (tree_read(map, (size_t)st.st_size, &tree, &err) < 0)
        die(path, &err);
    if (stats)
        printf("read %s: %u names, %.2f us each\n", path, tree->nnodes,
               (now_us() - begin) / tree->nnodes);
    layers[nlayers] = (struct render_layer){.tree = tree,
                                            .blob = (uint32_t)nlayers,
                                            .whitelists = lists[nlayers],
                                            .nwhitelists = nlists};
    nlayers++;
}

static void pack(const struct render *r, const char *out, const char *const *tars, bool stats)
{
    struct err err;
    struct erofs_index index;
    double begin = now_us();
    cleanup_close int fd = open(out, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        perror(out);
        exit(1);
    }
    if (erofs_write(r, fd, &index, &err) < 0)
        die(out, &err);
    if (stats)
        printf("write: %.2f us a name, index of %llu bytes, %.1f bytes a name\n",
               (now_us() - begin) / r->nnodes, (unsigned long long)index.length,
               (double)index.length / r->nnodes);
    for (size_t k = 0; k < index.nparts; k++) {
        const struct tree *t = r->blobs[index.parts[k].blob];
        if (pwrite_all(fd, t->tar, t->tar_len, (off_t)index.parts[k].offset) < 0)
            perror(tars[k]);
    }
    if (ftruncate(fd, (off_t)index.total) < 0)
        perror(out);
    erofs_index_done(&index);
}

static void extract(const struct render *r, const char *dir, bool unprivileged)
{
    struct err err;
    struct extract_report rep;
    struct extract_options opt = {.unprivileged = unprivileged};
    cleanup_close int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        perror(dir);
        exit(1);
    }
    if (extract_render(r, fd, &opt, &rep, &err) < 0)
        die(dir, &err);
    cleanup_free char *text = extract_report_text(&rep);
    if (text)
        fprintf(stderr, "erofs-pack: %s\n", text);
}

int main(int argc, char **argv)
{
    const char *dir = NULL, *out = NULL, *tars[LAYERS + 1];
    bool stats = false, unprivileged = false;
    size_t nlists = 0, ntars = 0;
    int i = 1;
    for (; i < argc; i++) {
        if (strcmp(argv[i], "-s") == 0) {
            stats = true;
        } else if (strcmp(argv[i], "-u") == 0) {
            unprivileged = true;
        } else if (strcmp(argv[i], "-x") == 0 && i + 1 < argc) {
            dir = argv[++i];
        } else if (strcmp(argv[i], "-w") == 0 && i + 1 < argc && nlists < LAYERS) {
            read_list(&list_store[nlist_store], argv[++i]);
            lists[ntars][nlists++] = &list_store[nlist_store++];
        } else if (!dir && i + 1 == argc) {
            out = argv[i];
        } else if (ntars < LAYERS) {
            tars[ntars++] = argv[i];
            read_layer(argv[i], nlists, stats);
            nlists = 0;
        }
    }
    if (nlayers == 0 || (!dir && !out)) {
        fprintf(stderr, "usage: erofs-pack [-s] [-x DIR] [-u] ([-w WHITELIST]... TAR)... [OUT]\n");
        return 2;
    }
    struct render *r;
    struct err err;
    double begin = now_us();
    if (render_compose(layers, nlayers, &r, &err) < 0)
        die("compose", &err);
    if (stats)
        printf("compose: %u names, %.2f us each\n", r->nnodes, (now_us() - begin) / r->nnodes);
    if (dir)
        extract(r, dir, unprivileged);
    else
        pack(r, out, tars, stats);
    render_free(r);
    for (size_t k = 0; k < nlayers; k++)
        tree_free((struct tree *)layers[k].tree);
    return 0;
}
