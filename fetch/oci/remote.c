/* SPDX-License-Identifier: Apache-2.0 */
/* An image from a registry: manifest, config, and layers side by side. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/oci/registry.h"
#include "fetch/oci/source.h"

#define READ_BYTES (256u << 10)
#define THREADS    4

/* One blob on its way. Layers with the same digest share one. */
struct blob {
    struct remote *remote;
    const struct oci_descriptor *d;
    struct download download;
    bool open;
    struct oci_hasher *hasher;
    uint64_t hashed; /* bytes of the file that the hasher has seen */
    uint64_t done;   /* bytes of the file that are there */
    bool unreadable;
};

struct remote {
    struct oci_job *o;
    struct registry registry;
    const struct oci_document *manifest;
    struct blob *blobs; /* sorted by digest, each once */
    size_t nblobs;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock; /* what follows, and the job's progress */
    struct err err;
};

static int get_document(struct remote *r, const char *reference, const struct oci_descriptor *d,
                        struct oci_document *ret, struct err *err)
{
    cleanup_with(buf_free) struct buf body = {0};
    cleanup_free char *rest = xasprintf("manifests/%s", reference);
    cleanup_free char *what =
        xasprintf("%s/%s: the manifest %s", r->registry.host, r->registry.repository, reference);
    if (registry_get(&r->registry, rest, &body, err) < 0)
        return -1;
    const char *text = body.data ? body.data : "";
    if (d && oci_check_blob(d, text, body.len, what, err) < 0)
        return -1;
    const char *pinned = d ? NULL : r->o->ref.digest;
    if (pinned && !oci_digest_matches(pinned, text, body.len))
        return err_set(err, EBADMSG, "%s does not have that digest", what);
    return oci_document_parse(text, body.len, what, ret, err);
}

/* From the reference down to the manifest of one image. */
static int find_manifest(struct remote *r, struct oci_document *ret, struct err *err)
{
    const struct oci_ref *ref = &r->o->ref;
    cleanup_with(oci_document_done) struct oci_document doc = {0};
    if (get_document(r, ref->digest ? ref->digest : ref->tag, NULL, &doc, err) < 0)
        return -1;
    for (int depth = 0; doc.index; depth++) {
        const struct oci_descriptor *d;
        struct oci_document next;
        if (depth == OCI_INDEX_DEPTH)
            return err_set(err, ELOOP, "%s: more than %d indexes inside each other", r->o->text,
                           OCI_INDEX_DEPTH);
        if (oci_choose(r->o, &doc, r->o->text, &d, err) < 0 ||
            get_document(r, d->digest, d, &next, err) < 0)
            return -1;
        oci_document_done(&doc);
        doc = next;
    }
    *ret = doc;
    doc = (struct oci_document){0};
    return 0;
}

/* As oci_take_config(). */
static int get_config(struct remote *r, struct err *err)
{
    const struct oci_descriptor *d = &r->manifest->config;
    cleanup_with(buf_free) struct buf body = {0};
    cleanup_free char *rest = xasprintf("blobs/%s", d->digest);
    cleanup_free char *what = xasprintf("%s: the config", r->o->text);
    if (registry_get(&r->registry, rest, &body, err) < 0)
        return -1;
    const char *text = body.data ? body.data : "";
    if (oci_check_blob(d, text, body.len, what, err) < 0)
        return -1;
    return oci_take_config(r->o, text, body.len, r->manifest->n, err);
}

/* The hash follows the file; when the file began anew, so does the hash. */
static void hash_up_to(struct blob *b, uint64_t end)
{
    cleanup_free char *data = xmalloc(READ_BYTES);
    if (end < b->hashed) {
        oci_hasher_reset(b->hasher);
        b->hashed = 0;
    }
    while (b->hashed < end && !b->unreadable) {
        size_t want = end - b->hashed < READ_BYTES ? (size_t)(end - b->hashed) : READ_BYTES;
        ssize_t n = pread(b->download.fd, data, want, (off_t)b->hashed);
        if (n > 0) {
            oci_hasher_add(b->hasher, data, (size_t)n);
            b->hashed += (uint64_t)n;
        }
        b->unreadable = n <= 0;
    }
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct blob *b = arg;
    struct remote *r = b->remote;
    struct job *j = r->o->j;
    (void)total;
    hash_up_to(b, done);
    pthread_mutex_lock(&r->lock);
    j->done += done - b->done;
    b->done = done;
    job_tell(j, FETCH_STAGE_DOWNLOAD, NULL);
    pthread_mutex_unlock(&r->lock);
}

static bool on_give_up(void *arg)
{
    const struct blob *b = arg;
    return b->remote->failed;
}

/* Whether the complete file is what the manifest names. */
static int check_file(struct blob *b, struct err *err)
{
    const char *url = b->download.url.text;
    struct stat st;
    if (fstat(b->download.fd, &st) < 0)
        return err_set(err, errno, "can't read the download of %s", url);
    hash_up_to(b, (uint64_t)st.st_size);
    if (b->unreadable)
        return err_set(err, EIO, "can't read the download of %s", url);
    bool right = oci_hasher_end(b->hasher) && b->hashed == b->d->size;
    oci_hasher_reset(b->hasher);
    b->hashed = 0;
    return right ? 0 : err_set(err, EBADMSG, "%s: what came does not have this digest", url);
}

static int download_once(struct blob *b, struct err *err)
{
    cleanup_with(http_response_done) struct http_response response = {0};
    struct download_options opt = {
        .max_bytes = b->d->size,
        .exact = true,
        .progress = on_progress,
        .give_up = on_give_up,
        .arg = b,
    };
    if (registry_download(&b->remote->registry, &b->download, &opt, &response, err) < 0)
        return -1;
    return check_file(b, err);
}

static int download_blob(struct blob *b, struct err *err)
{
    int r = download_once(b, err);
    /* What an earlier process left may be damaged: once more, from the start. */
    if (r < 0 && err->errnum == EBADMSG && b->download.resumed)
        r = download_discard(&b->download, err) < 0 ? -1 : download_once(b, err);
    if (r < 0 && err->errnum == EBADMSG)
        b->download.worth_keeping = false;
    return r;
}

static void *work(void *arg)
{
    struct remote *r = arg;
    size_t i;
    while (!r->failed && (i = atomic_fetch_add(&r->next, 1)) < r->nblobs) {
        struct err e = {0};
        if (download_blob(&r->blobs[i], &e) == 0)
            continue;
        pthread_mutex_lock(&r->lock);
        if (!atomic_exchange(&r->failed, true))
            r->err = e;
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

static int download_all(struct remote *r, struct err *err)
{
    pthread_t threads[THREADS - 1];
    size_t n = 0;
    while (n < ARRAY_SIZE(threads) && n + 1 < r->nblobs &&
           pthread_create(&threads[n], NULL, work, r) == 0)
        n++;
    (void)work(r);
    while (n)
        pthread_join(threads[--n], NULL);
    if (r->failed && err)
        *err = r->err;
    return r->failed ? -1 : 0;
}

static int by_digest(const void *a, const void *b)
{
    const struct oci_descriptor *const *x = a, *const *y = b;
    return strcmp((*x)->digest, (*y)->digest);
}

/* The blobs of the layers, each once; their sizes within the limit. */
static int list_blobs(struct remote *r, struct err *err)
{
    size_t n = r->manifest->n;
    uint64_t max = net_opt(r->registry.net)->max_bytes;
    cleanup_free const struct oci_descriptor **sorted = xcalloc(n, sizeof(const void *));
    for (size_t i = 0; i < n; i++)
        sorted[i] = &r->manifest->v[i];
    if (n)
        qsort(sorted, n, sizeof(const void *), by_digest);
    r->blobs = xcalloc(n, sizeof(*r->blobs));
    for (size_t i = 0; i < n; i++) {
        if (i && strcmp(sorted[i]->digest, sorted[i - 1]->digest) == 0) {
            if (sorted[i]->size != sorted[i - 1]->size)
                return err_set(err, EBADMSG, "%s: the layer %s has two sizes", r->o->text,
                               sorted[i]->digest);
            continue;
        }
        r->blobs[r->nblobs++] = (struct blob){.remote = r, .d = sorted[i]};
        r->o->j->total += sorted[i]->size;
    }
    if (r->o->j->total > max)
        return err_set(err, EFBIG, "%s: its layers' %llu bytes are beyond the limit of %llu",
                       r->o->text, (unsigned long long)r->o->j->total, (unsigned long long)max);
    return 0;
}

/*
 * Opens, and locks, all files before the first download, in the order of their digests: so two
 * processes that fetch images with the same layers can't wait for each other.
 */
static int open_blobs(struct remote *r, struct err *err)
{
    int area = command_area(r->o->j->cmd, err);
    if (area < 0)
        return -1;
    for (size_t i = 0; i < r->nblobs; i++) {
        struct blob *b = &r->blobs[i];
        cleanup_with(url_done) struct url u = {0};
        cleanup_free char *rest = xasprintf("blobs/%s", b->d->digest);
        if (registry_url(&r->registry, rest, &u, err) < 0 ||
            download_open(r->registry.net, area, &u, &b->download, err) < 0)
            return -1;
        b->open = true;
        b->hasher = oci_hasher_new(b->d->digest);
    }
    return 0;
}

static void close_blobs(struct remote *r)
{
    for (size_t i = 0; i < r->nblobs; i++) {
        if (r->blobs[i].open)
            download_close(&r->blobs[i].download);
        oci_hasher_free(r->blobs[i].hasher);
    }
    free(r->blobs);
}

static int compare_blob(const void *digest, const void *blob)
{
    return strcmp(digest, ((const struct blob *)blob)->d->digest);
}

static void add_layers(struct remote *r)
{
    struct oci_image *image = &r->o->image;
    image->layers = xcalloc(r->manifest->n, sizeof(*image->layers));
    for (size_t i = 0; i < r->manifest->n; i++) {
        const struct blob *b =
            bsearch(r->manifest->v[i].digest, r->blobs, r->nblobs, sizeof(*r->blobs), compare_blob);
        image->layers[image->nlayers++] =
            (struct oci_layer){.fd = b->download.fd, .size = b->d->size};
    }
}

static int fetch_layers(struct remote *r, struct err *err)
{
    if (list_blobs(r, err) < 0 || open_blobs(r, err) < 0 || download_all(r, err) < 0)
        return -1;
    for (size_t i = 0; i < r->nblobs; i++)
        r->blobs[i].download.worth_keeping = true; /* until it is imported */
    add_layers(r);
    struct err e = {0};
    int result = oci_import(r->o, &e);
    /* A full disk passes; what is no image stays none. */
    for (size_t i = 0; i < r->nblobs; i++)
        r->blobs[i].download.worth_keeping = result < 0 && e.errnum == ENOSPC;
    if (result < 0 && err)
        *err = e;
    return result;
}

static int fetch(struct remote *r, struct err *err)
{
    cleanup_with(oci_document_done) struct oci_document manifest = {0};
    job_tell(r->o->j, FETCH_STAGE_DISCOVER, NULL);
    if (find_manifest(r, &manifest, err) < 0 || oci_check_layers(&manifest, r->o->text, err) < 0)
        return -1;
    r->manifest = &manifest;
    int result = get_config(r, err);
    if (result == 1)
        result = fetch_layers(r, err);
    close_blobs(r);
    r->manifest = NULL;
    return result;
}

int oci_registry_fetch(struct oci_job *o, struct err *err)
{
    struct remote r = {.o = o};
    registry_init(&r.registry, o->j->cmd->net, o->ref.registry, o->ref.repository);
    pthread_mutex_init(&r.lock, NULL);
    o->j->done = o->j->total = 0;
    int result = fetch(&r, err);
    pthread_mutex_destroy(&r.lock);
    registry_done(&r.registry);
    return result;
}
