/* SPDX-License-Identifier: Apache-2.0 */
/* An OCI or Docker image from its reference to the store. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/oci/source.h"
#include "fetch/record.h"

/* Changes when a config becomes another image than before; images in stores are then made anew. */
#define CONVERSION "2"

/* The name of a record's file. */
static void record_file(const char *text, char out[RECORD_KEY_LEN + 8])
{
    char key[RECORD_KEY_LEN + 1];
    record_key(text, key);
    snprintf(out, RECORD_KEY_LEN + 8, "%s.json", key);
}

/* What a text became the last time, if it is still in the store: 0 and it is taken, 1, or -1. */
static int take_recorded(struct oci_job *o, const char *text, struct err *err)
{
    cleanup_with(record_done) struct record rec = {0};
    char file[RECORD_KEY_LEN + 8];
    int area = command_area(o->j->cmd, err);
    if (area < 0)
        return -1;
    record_file(text, file);
    record_load(area, file, text, &rec);
    if (!rec.image_id)
        return 1;
    return job_take_from_store(o->j, &(struct fetch_want){.image_id = rec.image_id}, err);
}

/* Only saves work next time, so a failure does not matter. */
static void remember(struct oci_job *o, const char *text)
{
    struct record rec = {.image_id = o->j->ret->id, .checked = time(NULL)};
    char file[RECORD_KEY_LEN + 8];
    cleanup_free char *url = xstrdup(text);
    int area = command_area(o->j->cmd, NULL);
    rec.url = url;
    record_file(text, file);
    if (area >= 0)
        (void)record_save(area, file, &rec, NULL);
}

static char *conversion_text(const struct oci_image *image)
{
    return xasprintf("oci-config:" CONVERSION ":%s%s%s", image->digest, image->name ? ":" : "",
                     image->name ? image->name : "");
}

static int check_platform(const struct oci_job *o, struct err *err)
{
    const struct fetch_options *opt = o->j->cmd->opt;
    const struct oci_config *c = &o->image.config;
    if (str_eq(c->os, opt->os) && str_eq(oci_arch(c->arch, c->variant), opt->arch))
        return 0;
    return err_set(err, 0, "%s is for %s/%s; this machine is %s/%s", o->text, c->os ? c->os : "?",
                   c->arch ? c->arch : "?", opt->os, opt->arch);
}

int oci_take_config(struct oci_job *o, const char *text, size_t len, size_t nlayers,
                    struct err *err)
{
    struct oci_image *i = &o->image;
    cleanup_free char *name = xasprintf("the config of %s", o->text);
    if (oci_config_parse(text, len, name, &i->config, err) < 0 || check_platform(o, err) < 0)
        return -1;
    if (i->config.diff_ids.n != nlayers)
        return err_set(err, EBADMSG, "%s: the config knows %zu layers, the manifest %zu", o->text,
                       i->config.diff_ids.n, nlayers);
    oci_digest_of(text, len, i->digest);
    cleanup_free char *conversion = conversion_text(i);
    return take_recorded(o, conversion, err);
}

int oci_check_blob(const struct oci_descriptor *d, const char *text, size_t len, const char *what,
                   struct err *err)
{
    if (len != d->size)
        return err_set(err, EBADMSG, "%s has %zu bytes, but the declared size is %llu", what, len,
                       (unsigned long long)d->size);
    if (!oci_digest_matches(d->digest, text, len))
        return err_set(err, EBADMSG, "%s does not have its digest %s", what, d->digest);
    return 0;
}

int oci_check_layers(const struct oci_document *manifest, const char *what, struct err *err)
{
    for (size_t i = 0; i < manifest->n; i++) {
        const char *type = manifest->v[i].media_type;
        if (!type || (strstr(type, "tar") && !strstr(type, "+encrypted")))
            continue;
        return err_set(err, 0, "%s: layer %zu is of the type %.128s, not a tar", what, i, type);
    }
    return 0;
}

int oci_choose(struct oci_job *o, const struct oci_document *index, const char *what,
               const struct oci_descriptor **ret, struct err *err)
{
    const struct fetch_options *opt = o->j->cmd->opt;
    *ret = oci_document_choose(index, opt->os, opt->arch);
    if (*ret)
        return 0;
    cleanup_free char *have = oci_document_platforms(index);
    return err_set(err, 0, "%s has no image for %s/%s%s%s", what, opt->os, opt->arch,
                   *have ? "; it has " : "", have);
}

int oci_import(struct oci_job *o, struct err *err)
{
    struct job *j = o->j;
    const struct fetch_sink *sink = j->cmd->sink;
    struct fetch_origin origin = {j->number, j->check->what, o->text, 0, NULL};
    for (size_t i = 0; i < o->image.nlayers; i++)
        origin.size += o->image.layers[i].size;
    j->done = j->total = origin.size;
    job_tell(j, FETCH_STAGE_IMPORT, NULL);
    j->check->signer = NULL;
    pthread_mutex_lock(&j->cmd->sink_lock);
    int r = sink->import_layers(sink->arg, &o->image, &origin, j->check, j->ret, err);
    pthread_mutex_unlock(&j->cmd->sink_lock);
    if (r < 0)
        return -1;
    cleanup_free char *conversion = conversion_text(&o->image);
    remember(o, conversion);
    job_tell(j, FETCH_STAGE_DONE, NULL);
    return 0;
}

/*
 * A digest that the user gave proves the content. Nothing else does: a tag is whatever the registry
 * says.
 */
static int check_trust(const struct oci_job *o, struct err *err)
{
    if (o->ref.digest || o->j->cmd->opt->insecure_image)
        return 0;
    return err_set(err, 0,
                   "%s is not checked against a signature; give its digest (@sha256:…), or "
                   "--insecure-options=image takes it nevertheless",
                   o->text);
}

static int fetch(struct oci_job *o, struct err *err)
{
    enum fetch_pull pull = o->j->cmd->opt->pull;
    bool registry = o->ref.kind == OCI_REGISTRY;
    if (check_trust(o, err) < 0)
        return -1;
    if (!registry)
        return oci_local_fetch(o, err);
    /* What a digest means never changes. */
    int r = pull != FETCH_NEWER || o->ref.digest ? take_recorded(o, o->key, err) : 1;
    if (r == 1 && pull == FETCH_NEVER)
        return err_set(err, 0, "%s is not in the store, and --pull=never", o->text);
    if (r == 1) {
        r = oci_registry_fetch(o, err);
        if (r == 0)
            remember(o, o->key);
    }
    return r;
}

int oci_fetch(struct job *j, struct err *err)
{
    struct oci_job o = {.j = j};
    if (oci_ref_parse(j->want->oci, &o.ref, err) < 0)
        return -1;
    o.text = oci_ref_text(&o.ref);
    o.image.name = j->want->oci_name;
    o.key =
        xasprintf("%s%s%s", o.text, o.image.name ? " as " : "", o.image.name ? o.image.name : "");
    j->url = o.text;
    int r = fetch(&o, err);
    j->url = NULL;
    free(o.text);
    free(o.key);
    oci_ref_done(&o.ref);
    oci_config_done(&o.image.config);
    free(o.image.layers);
    return r;
}
