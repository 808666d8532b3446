/* SPDX-License-Identifier: Apache-2.0 */
/* The images of a pod that is being prepared: looked up in the store, manifests parsed. */
#include "host/pod/podimage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/image/imgref.h"
#include "host/image/import.h"

struct podimage {
    struct podimage *next;
    struct aci_id id;
    struct ac_image_manifest *manifest;
    char *text;
    size_t text_len;
};

void podimages_done(struct podimages *p)
{
    while (p->first) {
        struct podimage *i = p->first;
        p->first = i->next;
        ac_image_manifest_free(i->manifest);
        free(i->text);
        free(i);
    }
}

static int load(struct podimages *p, const struct aci_id *id, struct podimage **ret,
                struct err *err)
{
    cleanup_free char *text = NULL;
    size_t len;
    struct ac_fault fault;
    struct ac_image_manifest *manifest;
    if (store_manifest(p->store, id, &text, &len, err) < 0)
        return -1;
    if (ac_image_manifest_parse(text, len, &manifest, &fault) < 0) {
        ac_fault_to_err(&fault, id->text, err);
        return -1;
    }
    struct podimage *i = xcalloc(1, sizeof(*i));
    *i = (struct podimage){
        .next = p->first, .id = *id, .manifest = manifest, .text = take_ptr(text), .text_len = len};
    p->first = i;
    *ret = i;
    return 0;
}

int podimages_get(struct podimages *p, const struct aci_id *id, struct reify_image *ret,
                  struct err *err)
{
    struct podimage *i = p->first;
    while (i && !str_eq(i->id.text, id->text))
        i = i->next;
    if (!i && load(p, id, &i, err) < 0)
        return -1;
    *ret = (struct reify_image){
        .id = i->id.text, .manifest = i->manifest, .text = i->text, .text_len = i->text_len};
    return 0;
}

int podimages_find(struct podimages *p, const char *reference, bool insecure,
                   struct reify_image *ret, struct err *err)
{
    cleanup_with(imgref_done) struct imgref ref = {0};
    struct aci_id id;
    if (imgref_parse(reference, &ref, err) < 0)
        return -1;
    if (ref.kind == IMGREF_FILE) {
        struct import_options o = {.insecure = insecure};
        if (import_file(p->store, ref.text, &o, &id, err) < 0)
            return -1;
    } else if (store_resolve(p->store, &ref, &id, err) < 0) {
        return -1;
    }
    return podimages_get(p, &id, ret, err);
}

/* The text form of a name with labels, which is what references are looked up by. */
static char *reference_text(const struct ac_pod_app *app)
{
    struct buf b = {0};
    buf_adds(&b, app->image_name);
    for (size_t i = 0; i < app->image_labels.n; i++)
        buf_printf(&b, ",%s=%s", app->image_labels.v[i].name, app->image_labels.v[i].value);
    return buf_take(&b);
}

int podimages_resolve(void *ctx, const struct ac_pod_app *app, struct reify_image *ret,
                      struct err *err)
{
    struct podimages *p = ctx;
    cleanup_free char *text = app->image_id ? xstrdup(app->image_id) : reference_text(app);
    return podimages_find(p, text, false, ret, err);
}
