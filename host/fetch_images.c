/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing images into the store, from files and from the network. */
#include "host/fetch_images.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/oci/ref.h"
#include "host/cli.h"
#include "host/fetch_store.h"
#include "host/image/imgref.h"
#include "schema/text.h"
#include "schema/value.h"

void fetch_request_init(struct fetch_request *o)
{
    *o = (struct fetch_request){
        .pull = "missing",
        .passphrase_fd = UINT64_MAX,
        .unpack = {.max_bytes = UNPACK_MAX_BYTES, .max_ratio = UNPACK_MAX_RATIO},
    };
    network_options_init(&o->network);
}

void fetch_request_done(struct fetch_request *o)
{
    network_options_done(&o->network);
}

static enum fetch_pull pull_of(const struct fetch_request *o)
{
    if (str_eq(o->pull, "never"))
        return FETCH_NEVER;
    return str_eq(o->pull, "newer") ? FETCH_NEWER : FETCH_MISSING;
}

/* A list of wants that owns them. */
struct wants {
    struct fetch_want *v;
    size_t n;
};

static void wants_done(struct wants *w)
{
    for (size_t i = 0; i < w->n; i++)
        fetch_want_done(&w->v[i]);
    free(w->v);
}

static int run_fetch(struct store *s, const char *data_dir, const struct fetch_request *o,
                     const struct wants *w, struct fetch_image *images, struct err *err)
{
    cleanup_with(network_close) struct network net = {0};
    cleanup_with(fetch_store_done) struct fetch_store fs = {
        .store = s,
        .unpack = &o->unpack,
        .passphrase_file = o->passphrase_file,
        .passphrase_fd = o->passphrase_fd <= INT32_MAX ? (int)o->passphrase_fd : -1,
    };
    struct fetch_sink sink = fetch_store_sink(&fs);
    struct fetch_options fo = {
        .pull = pull_of(o),
        .insecure_image = o->network.insecure_image,
        .no_dependencies = o->no_dependencies,
        .data_dir = data_dir,
        .os = IMGREF_HOST_OS,
        .arch = imgref_host_arch(),
        .decrypted_max = o->unpack.max_bytes,
    };
    fetch_progress_start(&fs.progress, o->quiet);
    if (network_open(&o->network, &net, err) < 0)
        return -1;
    return fetch_images(net.net, &net.trust, &fo, &sink, w->v, w->n, images, err);
}

/* Whether the store alone can answer all. */
static bool all_in_store(struct store *s, const struct fetch_request *o, const struct wants *w)
{
    if (pull_of(o) == FETCH_NEWER)
        return false;
    for (size_t i = 0; i < w->n; i++)
        if (w->v[i].file || w->v[i].url || w->v[i].oci ||
            !fetch_store_complete(s, &w->v[i], !o->no_dependencies))
            return false;
    return true;
}

static int answer_from_store(struct store *s, const struct wants *w, struct fetch_image *images,
                             struct err *err)
{
    struct fetch_store fs = {.store = s};
    for (size_t i = 0; i < w->n; i++)
        if (fetch_store_find(&fs, &w->v[i], &images[i], err) < 0)
            return -1;
    return 0;
}

static int fetch_wants(struct store *s, const char *data_dir, const struct fetch_request *request,
                       const struct wants *w, struct fetch_image *images, struct err *err)
{
    struct fetch_request o = *request;
    if (network_options_check(&o.network, err) < 0)
        return -1;
    if (all_in_store(s, &o, w))
        return answer_from_store(s, w, images, err);
    return run_fetch(s, data_dir, &o, w, images, err);
}

/* What a reference asks for. An ID, or the beginning of one, has to be in the store. */
static int want_of(struct store *s, const struct fetch_request *o, const char *text,
                   struct fetch_want *ret, struct err *err)
{
    cleanup_with(imgref_done) struct imgref ref = {0};
    struct aci_id id;
    *ret = (struct fetch_want){0};
    if (oci_ref_is(text)) {
        cleanup_with(oci_ref_done) struct oci_ref oci = {0};
        if (oci_ref_parse(text, &oci, err) < 0)
            return -1;
        if (o->signature)
            return err_set(err, 0, "--signature is for ACIs, not for %s", text);
        ret->oci = oci_ref_text(&oci);
        ret->oci_name = o->image_name ? xstrdup(o->image_name) : NULL;
        return 0;
    }
    if (imgref_parse(text, &ref, err) < 0)
        return -1;
    switch (ref.kind) {
    case IMGREF_FILE:
        if (!str_ends(ref.text, ".aci"))
            cli_warn("the name of %s does not end in .aci", ref.text);
        ret->file = xstrdup(ref.text);
        break;
    case IMGREF_URL:
        ret->url = xstrdup(ref.text);
        break;
    case IMGREF_ID:
        if (store_resolve(s, &ref, &id, err) < 0)
            return -1;
        ret->image_id = xstrdup(id.text);
        break;
    case IMGREF_NAME:
        ret->name = xstrdup(ref.text);
        ac_pairs_copy(&ret->labels, &ref.labels);
        break;
    }
    if (o->signature && (ret->file || ret->url))
        ret->signature = xstrdup(o->signature);
    return 0;
}

/* NAME[:VERSION], for one OCI or Docker image. */
static int check_image_name(const char *text, char *const *refs, size_t n, struct err *err)
{
    struct ac_image_name name;
    struct ac_fault fault;
    if (n != 1 || !oci_ref_is(refs[0]))
        return err_set(err, 0, "--image-name is for one OCI or Docker image");
    if (ac_image_name_parse(text, &name, &fault) < 0)
        return err_set(err, 0, "--image-name: \"%s\": %s", text, fault.msg);
    bool more = name.labels.n > (ac_pairs_get(&name.labels, "version") ? 1 : 0);
    ac_image_name_done(&name);
    return more ? err_set(err, 0, "--image-name: \"%s\" is not NAME[:VERSION]", text) : 0;
}

int fetch_references(struct store *s, const char *data_dir, const struct fetch_request *o,
                     char *const *refs, size_t n, struct aci_id *ret, struct err *err)
{
    cleanup_with(wants_done) struct wants w = {.v = xcalloc(n, sizeof(*w.v))};
    cleanup_free struct fetch_image *images = xcalloc(n, sizeof(*images));
    if (o->signature && n != 1)
        return err_set(err, 0, "--signature is for one file or URL, not for %zu", n);
    if (o->image_name && check_image_name(o->image_name, refs, n, err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++, w.n++)
        if (want_of(s, o, refs[i], &w.v[i], err) < 0)
            return -1;
    int r = fetch_wants(s, data_dir, o, &w, images, err);
    for (size_t i = 0; i < n; i++) {
        if (r == 0)
            snprintf(ret[i].text, sizeof(ret[i].text), "%s", images[i].id);
        fetch_image_done(&images[i]);
    }
    return r;
}

int fetch_pod_images(struct store *s, const char *data_dir, const struct fetch_request *o,
                     const struct ac_pod_manifest *pod, struct err *err)
{
    cleanup_with(wants_done) struct wants w = {.v = xcalloc(pod->napps, sizeof(*w.v))};
    cleanup_free struct fetch_image *images = xcalloc(pod->napps, sizeof(*images));
    for (size_t i = 0; i < pod->napps; i++) {
        const struct ac_pod_app *app = &pod->apps[i];
        struct fetch_want *want = &w.v[w.n];
        if (!app->image_id && !app->image_name)
            continue;
        w.n++;
        want->image_id = app->image_id ? xstrdup(app->image_id) : NULL;
        want->name = app->image_name ? xstrdup(app->image_name) : NULL;
        ac_pairs_copy(&want->labels, &app->image_labels);
    }
    int r = fetch_wants(s, data_dir, o, &w, images, err);
    for (size_t i = 0; i < w.n; i++)
        fetch_image_done(&images[i]);
    return r;
}
