/* SPDX-License-Identifier: Apache-2.0 */
/* Symbolic links on the way of a layer's names, followed inside the tree that is composed. */
#ifndef APPC_IMAGE_RENDER_FOLLOW_H
#define APPC_IMAGE_RENDER_FOLLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct builder;
struct err;
struct tree_node;

#define FOLLOW_LINKS_MAX 40            /* on one way, as Linux has it */
#define FOLLOW_BYTES_MAX (64ull << 20) /* of all links' texts that one rendering walks along */

/*
 * What following needs to remember. `walked` counts over all layers. `touched` is about the layer
 * at hand: the nodes that it has put or gone through, which two ways may lead to.
 */
struct follow {
    struct builder *b;
    uint64_t walked;
    bool *touched; /* by node */
    size_t ntouched;
};

/* A new layer begins. */
void follow_reset(struct follow *f);
void follow_done(struct follow *f);

/* Notes the node, and with it the directories above; asks for it. */
void follow_touch(struct follow *f, const struct tree_node *n);
bool follow_touched(const struct follow *f, const struct tree_node *n);

/*
 * Walks the `len` bytes of path from `dir` on, or from the root when it is absolute, and
 * through symbolic links; ".." ends at the root. 0 with the directory there. What is missing is
 * made when `make` is set; else *ret is NULL when there is no such directory. -1 for too many
 * links, for a name that can't be made, and for a file in the way when `make` is set.
 */
int follow_path(struct follow *f, struct tree_node *dir, const char *path, size_t len, bool make,
                struct tree_node **ret, struct err *err);

/* The same for the target of a symbolic link that is in the tree. */
int follow_link(struct follow *f, const struct tree_node *link, bool make, struct tree_node **ret,
                struct err *err);

#endif
