/* SPDX-License-Identifier: Apache-2.0 */
/* OCI layouts and archives of docker save on this machine. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/oci/files.h"
#include "fetch/oci/source.h"

#define READ_BYTES (256u << 10)

/* Where the blob of a valid digest lies in a layout; the caller frees. */
static char *blob_name(const char *digest)
{
    const char *colon = strchr(digest, ':');
    return xasprintf("blobs/%.*s/%s", (int)(colon - digest), digest, colon + 1);
}

/* A small blob, checked; the caller frees. */
static int read_blob(struct oci_job *o, struct oci_files *f, const struct oci_descriptor *d,
                     char **ret, size_t *ret_len, struct err *err)
{
    cleanup_free char *name = blob_name(d->digest);
    cleanup_free char *what = xasprintf("%s: %s", o->text, name);
    cleanup_free char *text = NULL;
    size_t len;
    if (oci_files_read(f, name, &text, &len, err) < 0 ||
        oci_check_blob(d, text, len, what, err) < 0)
        return -1;
    *ret = take_ptr(text);
    *ret_len = len;
    return 0;
}

static int read_document(struct oci_job *o, struct oci_files *f, const struct oci_descriptor *d,
                         struct oci_document *ret, struct err *err)
{
    cleanup_free char *text = NULL;
    cleanup_free char *what = xasprintf("%s: %s", o->text, d->digest);
    size_t len;
    if (read_blob(o, f, d, &text, &len, err) < 0)
        return -1;
    return oci_document_parse(text, len, what, ret, err);
}

static int check_span(struct oci_job *o, const struct oci_span *s, const struct oci_descriptor *d,
                      struct err *err)
{
    cleanup_free char *data = xmalloc(READ_BYTES);
    if (s->size != d->size)
        return err_set(err, EBADMSG,
                       "%s: the layer %s has %llu bytes, but the declared size is %llu", o->text,
                       d->digest, (unsigned long long)s->size, (unsigned long long)d->size);
    struct oci_hasher *h = oci_hasher_new(d->digest);
    uint64_t at = 0;
    ssize_t n = 1;
    while (at < s->size && n > 0) {
        size_t want = s->size - at < READ_BYTES ? (size_t)(s->size - at) : READ_BYTES;
        n = pread(s->fd, data, want, (off_t)(s->offset + at));
        if (n > 0)
            oci_hasher_add(h, data, (size_t)n);
        at += n > 0 ? (uint64_t)n : 0;
    }
    bool right = oci_hasher_end(h) && at == s->size;
    oci_hasher_free(h);
    if (n < 0)
        return err_set(err, errno, "can't read the layer %s of %s", d->digest, o->text);
    return right ? 0
                 : err_set(err, EBADMSG, "%s: the layer %s does not have its digest", o->text,
                           d->digest);
}

static void add_layer(struct oci_image *i, const struct oci_span *s)
{
    i->layers[i->nlayers++] = (struct oci_layer){.fd = s->fd, .offset = s->offset, .size = s->size};
}

static int take_manifest(struct oci_job *o, struct oci_files *f, const struct oci_document *m,
                         struct err *err)
{
    cleanup_free char *config = NULL;
    size_t len;
    if (oci_check_layers(m, o->text, err) < 0 ||
        read_blob(o, f, &m->config, &config, &len, err) < 0)
        return -1;
    int r = oci_take_config(o, config, len, m->n, err);
    if (r != 1)
        return r;
    o->image.layers = xcalloc(m->n, sizeof(*o->image.layers));
    for (size_t i = 0; i < m->n; i++) {
        cleanup_free char *name = blob_name(m->v[i].digest);
        struct oci_span s;
        if (oci_files_find(f, name, &s, err) < 0 || check_span(o, &s, &m->v[i], err) < 0)
            return -1;
        add_layer(&o->image, &s);
    }
    return oci_import(o, err);
}

static char *list_tags(const struct oci_document *index)
{
    struct buf b = {0};
    for (size_t i = 0; i < index->n && b.len < 256; i++)
        if (index->v[i].ref_name)
            buf_printf(&b, "%s%.128s", b.len ? ", " : "", index->v[i].ref_name);
    return buf_take(&b);
}

/* Keeps the entries of the layout's index that the reference means. */
static int select_entries(struct oci_job *o, struct oci_document *index, struct oci_document *ret,
                          struct err *err)
{
    const struct oci_ref *ref = &o->ref;
    ret->index = true;
    ret->v = xcalloc(index->n, sizeof(*ret->v));
    for (size_t i = 0; i < index->n; i++) {
        const struct oci_descriptor *d = &index->v[i];
        bool wanted = (!ref->tag || str_eq(ref->tag, d->ref_name)) &&
                      (!ref->digest || str_eq(ref->digest, d->digest));
        for (size_t k = 0; k < ret->n && wanted; k++)
            wanted = !str_eq(ret->v[k].digest, d->digest);
        if (wanted)
            ret->v[ret->n++] = *d; /* borrows */
    }
    if (ret->n)
        return 0;
    cleanup_free char *tags = list_tags(index);
    return err_set(err, 0, "%s: the layout has no such image%s%s", o->text,
                   *tags ? "; its tags are " : "", tags);
}

/* Without a tag the layout has to have one image for this machine. */
static int choose_entry(struct oci_job *o, const struct oci_document *index,
                        const struct oci_document *selected, const struct oci_descriptor **ret,
                        struct err *err)
{
    const struct fetch_options *opt = o->j->cmd->opt;
    size_t fitting = 0;
    if (oci_choose(o, selected, o->text, ret, err) < 0)
        return -1;
    for (size_t i = 0; i < selected->n; i++) {
        struct oci_document one = {.v = &selected->v[i], .n = 1};
        fitting += oci_document_choose(&one, opt->os, opt->arch) != NULL;
    }
    if (fitting == 1 || o->ref.tag)
        return 0;
    cleanup_free char *tags = list_tags(index);
    return err_set(err, 0, "%s holds %zu images; name one of them, as in oci:PATH:TAG%s%s", o->text,
                   fitting, *tags ? ": " : "", tags);
}

/* From an entry of an index down to the manifest. */
static int descend(struct oci_job *o, struct oci_files *f, const struct oci_descriptor *d,
                   struct err *err)
{
    cleanup_with(oci_document_done) struct oci_document doc = {0};
    if (read_document(o, f, d, &doc, err) < 0)
        return -1;
    for (int depth = 0; doc.index; depth++) {
        struct oci_document next;
        if (depth == OCI_INDEX_DEPTH)
            return err_set(err, ELOOP, "%s: more than %d indexes inside each other", o->text,
                           OCI_INDEX_DEPTH);
        if (oci_choose(o, &doc, o->text, &d, err) < 0 || read_document(o, f, d, &next, err) < 0)
            return -1;
        oci_document_done(&doc);
        doc = next;
    }
    return take_manifest(o, f, &doc, err);
}

static int fetch_layout(struct oci_job *o, struct oci_files *f, struct err *err)
{
    cleanup_with(oci_document_done) struct oci_document index = {0};
    struct oci_document selected = {0};
    const struct oci_descriptor *d;
    cleanup_free char *text = NULL;
    cleanup_free char *name = xasprintf("%s/index.json", o->ref.path);
    size_t len;
    if (oci_files_read(f, "index.json", &text, &len, err) < 0)
        return err_prefix(err, "%s is not an OCI layout", o->ref.path);
    if (oci_document_parse(text, len, name, &index, err) < 0)
        return -1;
    if (!index.index)
        return err_set(err, 0, "%s is not an image index", name);
    int r = select_entries(o, &index, &selected, err);
    cleanup_free struct oci_descriptor *borrowed = selected.v;
    if (r < 0 || choose_entry(o, &index, &selected, &d, err) < 0)
        return -1;
    return descend(o, f, d, err);
}

/* Whether a name of docker save is what was asked for, with what both leave out put back. */
static bool same_name(const char *saved, const char *wanted)
{
    cleanup_with(oci_ref_done) struct oci_ref a = {0}, b = {0};
    cleanup_free char *one = xasprintf("docker://%s", saved);
    cleanup_free char *other = xasprintf("docker://%s", wanted);
    if (oci_ref_parse(one, &a, NULL) < 0 || oci_ref_parse(other, &b, NULL) < 0)
        return str_eq(saved, wanted);
    return str_eq(a.registry, b.registry) && str_eq(a.repository, b.repository) &&
           str_eq(a.tag, b.tag);
}

static int choose_saved(struct oci_job *o, const struct oci_saved_list *l,
                        const struct oci_saved **ret, struct err *err)
{
    cleanup_with(buf_free) struct buf names = {0};
    if (!o->ref.tag && l->n == 1) {
        *ret = &l->v[0];
        return 0;
    }
    for (size_t i = 0; i < l->n; i++)
        for (size_t k = 0; k < l->v[i].tags.n; k++) {
            if (o->ref.tag && same_name(l->v[i].tags.v[k], o->ref.tag)) {
                *ret = &l->v[i];
                return 0;
            }
            if (names.len < 256)
                buf_printf(&names, "%s%.128s", names.len ? ", " : "", l->v[i].tags.v[k]);
        }
    return err_set(err, 0, "%s: %s; the archive holds %s", o->text,
                   o->ref.tag ? "there is no such image" : "name one of the images",
                   names.len ? names.data : "none with a name");
}

static int take_saved(struct oci_job *o, struct oci_files *f, const struct oci_saved *s,
                      struct err *err)
{
    cleanup_free char *config = NULL;
    size_t len;
    if (oci_files_read(f, s->config, &config, &len, err) < 0)
        return -1;
    if (o->ref.digest && !oci_digest_matches(o->ref.digest, config, len))
        return err_set(err, EBADMSG, "%s: the image's config does not have that digest", o->text);
    int r = oci_take_config(o, config, len, s->layers.n, err);
    if (r != 1)
        return r;
    o->image.layers = xcalloc(s->layers.n, sizeof(*o->image.layers));
    for (size_t i = 0; i < s->layers.n; i++) {
        struct oci_span span;
        if (oci_files_find(f, s->layers.v[i], &span, err) < 0)
            return -1;
        add_layer(&o->image, &span);
    }
    return oci_import(o, err);
}

static int fetch_saved(struct oci_job *o, struct oci_files *f, struct err *err)
{
    cleanup_with(oci_saved_done) struct oci_saved_list list = {0};
    const struct oci_saved *s;
    cleanup_free char *text = NULL;
    cleanup_free char *name = xasprintf("%s: manifest.json", o->ref.path);
    size_t len;
    if (oci_files_read(f, "manifest.json", &text, &len, err) < 0)
        return err_prefix(err, "%s is not an archive of docker save", o->ref.path);
    if (oci_saved_parse(text, len, name, &list, err) < 0 || choose_saved(o, &list, &s, err) < 0)
        return -1;
    return take_saved(o, f, s, err);
}

int oci_local_fetch(struct oci_job *o, struct err *err)
{
    struct oci_files *f;
    struct fetch_command *cmd = o->j->cmd;
    uint64_t max = cmd->opt->decrypted_max ? cmd->opt->decrypted_max : FETCH_DECRYPTED_MAX;
    int area = o->ref.kind == OCI_LAYOUT ? -1 : command_area(cmd, err);
    if (o->ref.kind != OCI_LAYOUT && area < 0)
        return -1;
    int r = o->ref.kind == OCI_LAYOUT ? oci_files_open_dir(o->ref.path, &f, err)
                                      : oci_files_open_tar(o->ref.path, area, max, &f, err);
    if (r < 0)
        return -1;
    r = o->ref.kind == OCI_DOCKER_ARCHIVE ? fetch_saved(o, f, err) : fetch_layout(o, f, err);
    oci_files_close(f);
    return r;
}
