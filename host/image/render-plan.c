/* SPDX-License-Identifier: Apache-2.0 */
/* From an image and its dependencies to the list of layers in override order. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/render.h"
#include "host/image/tree-build.h"

struct walk {
    struct render_plan *plan;
    size_t layers_cap, images_cap;
    render_resolve_fn resolve;
    void *arg;
    uint32_t path[RENDER_DEPTH_MAX]; /* images from the root to the one at hand */
    size_t depth;
};

/* The number of the image, which is new or was met before. -1 when there are too many. */
static int64_t image_number(struct walk *w, const struct render_image *image, struct err *err)
{
    struct render_plan *p = w->plan;
    for (size_t i = 0; i < p->nimages; i++)
        if (strcmp(p->images[i].id, image->id) == 0)
            return (int64_t)i;
    if (p->nimages >= RENDER_IMAGES_MAX)
        return err_set(err, E2BIG, "more than %d images", RENDER_IMAGES_MAX);
    array_grow(&p->images, p->nimages, &w->images_cap, sizeof(*p->images));
    p->images[p->nimages] = *image;
    return (int64_t)p->nimages++;
}

static int cycle_fault(struct walk *w, size_t from, struct err *err)
{
    cleanup_with(buf_free) struct buf text = {0};
    for (size_t i = from; i < w->depth; i++)
        buf_printf(&text, "%s -> ", w->plan->images[w->path[i]].manifest->name);
    buf_adds(&text, w->plan->images[w->path[from]].manifest->name);
    return err_set(err, ELOOP, "the dependencies go in a circle: %.700s", text.data);
}

/* Puts an image on the path from the root; refuses one that is on it (DEP-07). */
static int push(struct walk *w, uint32_t number, struct err *err)
{
    for (size_t i = 0; i < w->depth; i++)
        if (w->path[i] == number)
            return cycle_fault(w, i, err);
    if (w->depth >= RENDER_DEPTH_MAX)
        return err_set(err, E2BIG, "dependencies more than %d deep, at %s", RENDER_DEPTH_MAX,
                       w->plan->images[number].manifest->name);
    w->path[w->depth++] = number;
    return 0;
}

/* The layer of the image at the end of the path, with all whitelists on it (RENDER-10). */
static int add_layer(struct walk *w, struct err *err)
{
    struct render_plan *p = w->plan;
    uint32_t number = w->path[w->depth - 1];
    const struct ac_strings *lists[RENDER_DEPTH_MAX];
    size_t n = 0;
    if (p->nlayers >= RENDER_LAYERS_MAX)
        return err_set(err, E2BIG, "the dependencies are visited more than %d times",
                       RENDER_LAYERS_MAX);
    for (size_t i = 0; i < w->depth; i++) {
        const struct ac_strings *list = &p->images[w->path[i]].manifest->path_whitelist;
        if (list->n)
            lists[n++] = list;
    }
    array_grow(&p->layers, p->nlayers, &w->layers_cap, sizeof(*p->layers));
    p->layers[p->nlayers++] = (struct render_layer){
        .tree = p->images[number].tree,
        .blob = number,
        .whitelists = arena_memdup(p->arena, lists, n * sizeof(*lists)),
        .nwhitelists = n,
    };
    return 0;
}

/* Recursion is as deep as RENDER_DEPTH_MAX allows. */
static int visit(struct walk *w, const struct render_image *image, struct err *err)
{
    int64_t number = image_number(w, image, err);
    if (number < 0 || push(w, (uint32_t)number, err) < 0)
        return -1;
    const struct render_image self = w->plan->images[number];
    for (size_t i = 0; i < self.manifest->ndependencies; i++) {
        struct render_image dep = {0};
        if (w->resolve(w->arg, &self, &self.manifest->dependencies[i], &dep, err) < 0)
            return -1;
        if (visit(w, &dep, err) < 0)
            return -1;
    }
    if (add_layer(w, err) < 0)
        return -1;
    w->depth--;
    return 0;
}

int render_plan_make(const struct render_image *root, render_resolve_fn resolve, void *arg,
                     struct render_plan **ret, struct err *err)
{
    struct render_plan *p = xcalloc(1, sizeof(*p));
    p->arena = arena_new();
    struct walk w = {.plan = p, .resolve = resolve, .arg = arg};
    if (visit(&w, root, err) < 0) {
        render_plan_free(p);
        return -1;
    }
    *ret = p;
    return 0;
}

void render_plan_free(struct render_plan *p)
{
    if (!p)
        return;
    arena_free(p->arena);
    free(p->layers);
    free(p->images);
    free(p);
}
