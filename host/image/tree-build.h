/* SPDX-License-Identifier: Apache-2.0 */
/* How trees are made: an arena for what lives as long as the tree, and a builder that knows names.
 */
#ifndef APPC_IMAGE_TREE_BUILD_H
#define APPC_IMAGE_TREE_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/image/tree.h"

struct err;

/* Memory that is released as a whole. */
struct arena;
struct arena *arena_new(void);
void arena_free(struct arena *a); /* NULL is allowed */

/* `size` zeroed bytes, aligned to 8. Aborts when memory runs out: bound `size` first. */
void *arena_alloc(struct arena *a, size_t size);

/* Copies; arena_strndup() adds a NUL. */
void *arena_memdup(struct arena *a, const void *p, size_t len);
char *arena_strndup(struct arena *a, const char *s, size_t len);

/*
 * Names under construction. Children are found by a hash with a secret key, so that no archive can
 * choose names that collide. Zero-initialised, then builder_init().
 */
struct builder {
    struct arena *arena;      /* owned until builder_finish() */
    struct tree_node **nodes; /* in the order of creation: a parent before its children */
    size_t nnodes, nodes_cap;
    uint32_t ninodes;
    uint32_t acl_lines_lost;
    uint64_t meta; /* bytes charged by builder_charge() */
    struct builder_slot *slots;
    size_t nslots, used;
    uint64_t key[2];
};

/* Makes the builder and its root, a directory that counts as implied. */
void builder_init(struct builder *b);

/* Releases everything that builder_finish() did not hand over. */
void builder_done(struct builder *b);

/* The child of that name, or NULL. */
struct tree_node *builder_find(const struct builder *b, const struct tree_node *dir,
                               const char *name, size_t len);

/*
 * Adds a name without an inode below `dir`, which has none of that name (or whose child of that
 * name was dropped, see below). NULL with *err when there are too many.
 */
struct tree_node *builder_add(struct builder *b, struct tree_node *dir, const char *name,
                              size_t len, struct err *err);

/* Adds an implied directory: mode 0755, owner 0, time 0. */
struct tree_node *builder_add_dir(struct builder *b, struct tree_node *dir, const char *name,
                                  size_t len, struct err *err);

/* Takes a name and all below it out; builder_add() may then add the name again. */
void builder_drop(struct builder *b, struct tree_node *n);

/* A new inode with an id of its own; the caller fills it. */
struct tree_inode *builder_inode(struct builder *b);

/* Counts `len` bytes against TREE_META_MAX; 0 or -1. */
int builder_charge(struct builder *b, size_t len, struct err *err);

/*
 * Ends construction: children are listed and sorted, links counted, ids given out anew without the
 * dropped ones. Every name must have its inode. The root and all below belong to
 * *ret_arena, which the caller frees.
 */
struct tree_node *builder_finish(struct builder *b, uint32_t *ret_nnodes, uint32_t *ret_ninodes,
                                 struct arena **ret_arena);

#endif
