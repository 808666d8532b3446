/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rendering: several images composed to the one tree that an app sees (ace.md, "Filesystem Setup").
 *
 * The steps: render_plan_make() walks the dependencies of an image and gives the list of layers in
 * override order; render_compose() merges their trees; erofs.h or extract.h writes the result.
 */
#ifndef APPC_IMAGE_RENDER_H
#define APPC_IMAGE_RENDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/image/tree.h"
#include "schema/manifest.h"

/* Bounds on a dependency graph (DEP-08). */
#define RENDER_DEPTH_MAX  128  /* images from the root image down to a dependency */
#define RENDER_IMAGES_MAX 1024 /* different images */
#define RENDER_LAYERS_MAX 4096 /* visits; an image counts each time it is a dependency */

/*
 * One visit of an image. `whitelists` are those that filter it: the image's own and those of the
 * images on the way up to the root image. A name stays when it is in every one that is not
 * empty (checklist A9); siblings do not matter (RENDER-16).
 */
struct render_layer {
    const struct tree *tree;
    uint32_t blob; /* the tar, as a number below RENDER_IMAGES_MAX; same tar, same number */
    const struct ac_strings *const *whitelists;
    size_t nwhitelists;
    bool
        follow; /* of an OCI image: links in the way of directories without an entry are followed */
};

/* The merged tree: its inodes say in which blob their extents are. */
struct render {
    struct tree_node *root;
    uint32_t nnodes;
    uint32_t ninodes;
    uint32_t nblobs;
    const struct tree **blobs; /* by blob number; NULL when no layer has it. Borrowed */
    struct arena *arena;
};

/*
 * Merges n layers, the first is overridden by all others (RENDER-03 to RENDER-23):
 *  - a name of a later layer replaces that of an earlier one, whatever it is; a directory over a
 *    directory merges and the later one's metadata stays, unless no entry named it;
 *  - a symlink in the way of a directory is replaced and not followed, unless the layer has
 * `follow` and no entry for the directory: then what is in it goes where the link leads inside the
 * tree
 *    (".." ends at the root, what is missing is made, circles are errors), and so do hard links;
 *  - a whitelist entry matches exactly: a directory in it stays, its content does not. The
 *    directories above what stays are kept with their own metadata. The root always stays;
 *  - hard links of one visit stay linked; one whose target was filtered has the data.
 *  - of a layer of an OCI image, whiteouts take away what is below it, never its own names, and
 *    hard links to files of the layers below become names of those (image-spec, layer.md).
 * 0 with *ret (render_free()) or -1. The trees must stay while *ret is used; the layers need not.
 */
int render_compose(const struct render_layer *layers, size_t n, struct render **ret,
                   struct err *err);

/* NULL is allowed. */
void render_free(struct render *r);

/* An image as its owner (the store) holds it; all three are borrowed. */
struct render_image {
    const char *id; /* image ID: equal IDs are the same image */
    const struct ac_image_manifest *manifest;
    const struct tree *tree; /* NULL is allowed when only the plan is wanted */
};

/*
 * Finds the image of a dependency that `parent` has (DEP-01, DEP-05): 0 with *ret, or -1 with a
 * message. Called once for each visit; what it returns must stay until the plan is freed.
 */
typedef int (*render_resolve_fn)(void *arg, const struct render_image *parent,
                                 const struct ac_dependency *dep, struct render_image *ret,
                                 struct err *err);

/* The layers in override order. images[layer.blob] is the layer's image; images[0] the root. */
struct render_plan {
    struct render_layer *layers;
    size_t nlayers;
    struct render_image *images;
    size_t nimages;
    struct arena *arena;
};

/*
 * Walks the dependencies depth first, in the order in which they are listed (RENDER-04 to
 * RENDER-06). An image is visited as often as it is a dependency. A cycle is an error that prints
 * it (DEP-07). 0 with *ret (render_plan_free()) or -1. `root` is copied; what it points to must
 * stay.
 */
int render_plan_make(const struct render_image *root, render_resolve_fn resolve, void *arg,
                     struct render_plan **ret, struct err *err);

/* NULL is allowed. */
void render_plan_free(struct render_plan *p);

#endif
