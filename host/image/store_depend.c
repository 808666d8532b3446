/* SPDX-License-Identifier: Apache-2.0 */
/* Finds the images of a dependency tree in the store. */
#include "host/image/store_depend.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "host/image/store_db.h"
#include "schema/label.h"

static int by_id(struct store *s, const struct ac_dependency *dep, struct aci_id *ret,
                 struct err *err)
{
    struct store_image image;
    struct aci_id id;
    if (!aci_id_valid(dep->image_id))
        return err_set(err, 0, "\"%s\" is no image ID", dep->image_id);
    memcpy(id.text, dep->image_id, sizeof(id.text));
    if (store_get(s, &id, &image, err) < 0)
        return -1;
    int r = 0;
    if (strcmp(image.name, dep->image_name) != 0)
        r = err_set(err, 0, "image %s is called %s, not %s", id.text, image.name, dep->image_name);
    else if (!ac_labels_match(&dep->labels, &image.labels))
        r = err_set(err, 0, "image %s (%s) does not have the labels that are asked for", id.text,
                    image.name);
    store_image_done(&image);
    if (r == 0)
        *ret = id;
    return r;
}

int store_dependency(struct store *s, const struct ac_dependency *dep, struct aci_id *ret,
                     struct err *err)
{
    if (dep->image_id)
        return by_id(s, dep, ret, err);
    /* Borrowed: the reference is only read. */
    struct imgref ref = {.kind = IMGREF_NAME, .text = dep->image_name, .labels = dep->labels};
    return store_resolve(s, &ref, ret, err);
}

static struct store_depend_image *find(struct store_depend *d, const char *id)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->images[i]->id.text, id) == 0)
            return d->images[i];
    return NULL;
}

static int load_manifest(struct store_depend *d, struct store_depend_image *i, struct err *err)
{
    cleanup_free char *text = NULL;
    size_t len;
    struct ac_fault fault;
    if (store_manifest(d->store, &i->id, &text, &len, err) < 0)
        return -1;
    if (ac_image_manifest_parse(text, len, &i->parsed, &fault) < 0) {
        ac_fault_to_err(&fault, i->id.text, err);
        return -1;
    }
    i->manifest = i->parsed;
    return 0;
}

/* Hashes the tar (RENDER-19) and reads its tree. */
static int load_tree(struct store_depend *d, struct store_depend_image *i, struct err *err)
{
    int fd;
    uint64_t size;
    if (store_blob_checked(d->store, &i->id, &fd, &size, err) < 0)
        return -1;
    i->fd = fd;
    if (aci_image_open(fd, i->id.text, &i->opened, NULL, err) < 0)
        return -1;
    i->manifest = i->opened->manifest;
    i->tree = i->opened->tree;
    return 0;
}

static struct store_depend_image *add(struct store_depend *d, const struct aci_id *id)
{
    struct store_depend_image *i = xcalloc(1, sizeof(*i));
    i->id = *id;
    i->fd = -1;
    array_grow(&d->images, d->n, &d->cap, sizeof(*d->images));
    d->images[d->n++] = i;
    return i;
}

int store_depend_get(struct store_depend *d, const struct aci_id *id, struct render_image *ret,
                     struct err *err)
{
    struct store_depend_image *i = find(d, id->text);
    if (!i) {
        i = add(d, id);
        if ((d->with_trees ? load_tree(d, i, err) : load_manifest(d, i, err)) < 0)
            return -1;
    }
    *ret = (struct render_image){.id = i->id.text, .manifest = i->manifest, .tree = i->tree};
    return 0;
}

void store_depend_lend(struct store_depend *d, const struct aci_id *id,
                       const struct aci_image *image, struct render_image *ret)
{
    struct store_depend_image *i = add(d, id);
    i->manifest = image->manifest;
    i->tree = image->tree;
    *ret = (struct render_image){.id = i->id.text, .manifest = i->manifest, .tree = i->tree};
}

int store_depend_resolve(void *arg, const struct render_image *parent,
                         const struct ac_dependency *dep, struct render_image *ret, struct err *err)
{
    struct store_depend *d = arg;
    struct aci_id id;
    if (store_dependency(d->store, dep, &id, err) < 0)
        return err_prefix(err, "dependency of %s", parent->manifest->name);
    return store_depend_get(d, &id, ret, err);
}

void store_depend_done(struct store_depend *d)
{
    for (size_t k = 0; k < d->n; k++) {
        struct store_depend_image *i = d->images[k];
        aci_image_close(i->opened);
        ac_image_manifest_free(i->parsed);
        if (i->fd >= 0)
            close(i->fd);
        free(i);
    }
    free(d->images);
    *d = (struct store_depend){0};
}
