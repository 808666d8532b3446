/* SPDX-License-Identifier: Apache-2.0 */
/* One image: discovery, download, verification, decryption, import. */
#include "fetch/job.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/discover.h"
#include "fetch/download.h"
#include "fetch/verify.h"
#include "fetch/want.h"
#include "schema/value.h"

int fetch_check(struct fetch_check *c, const char *image_id, const struct ac_image_manifest *m,
                struct err *err)
{
    if (want_check(c->want, c->cmd->opt->os, c->cmd->opt->arch, image_id, m, err) < 0)
        return err_prefix(err, "%s", c->what);
    if (c->signer && !trust_allows(c->cmd->trust, c->signer, m->name)) {
        cleanup_free char *scopes = trust_scopes(c->cmd->trust, c->signer);
        return err_set(err, EKEYREJECTED,
                       "%s is signed by the key %s, which is trusted for %s, not for its name %s",
                       c->what, c->signer, scopes, m->name);
    }
    return c->verdict(c->arg, image_id, m, err);
}

static int find(struct job *j, const struct fetch_want *want, struct fetch_image *ret,
                struct err *err)
{
    const struct fetch_sink *sink = j->cmd->sink;
    pthread_mutex_lock(&j->cmd->sink_lock);
    int r = sink->find(sink->arg, want, ret, err);
    pthread_mutex_unlock(&j->cmd->sink_lock);
    return r;
}

int job_take_from_store(struct job *j, const struct fetch_want *want, struct err *err)
{
    cleanup_with(fetch_image_done) struct fetch_image image = {0};
    int r = find(j, want, &image, err);
    if (r != 0)
        return r;
    j->check->signer = NULL;
    if (fetch_check(j->check, image.id, image.manifest, err) < 0)
        return -1;
    *j->ret = image;
    image = (struct fetch_image){0};
    j->url = NULL;
    job_tell(j, FETCH_STAGE_DONE, NULL);
    return 0;
}

/* The image that this URL gave the last time, if it is still there and good enough: as above. */
static int find_recorded(struct job *j, const struct record *rec, struct fetch_image *ret)
{
    struct fetch_want by_id = {.image_id = rec->image_id};
    if (!rec->image_id || (!rec->signer && !j->cmd->opt->insecure_image))
        return 1;
    return find(j, &by_id, ret, NULL) == 0 ? 0 : 1;
}

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct job *j = arg;
    j->done = done;
    j->total = total;
    job_tell(j, FETCH_STAGE_DOWNLOAD, NULL);
}

/* Whether the file begins like a web page; servers answer with one where they should say 404. */
static bool is_web_page(int fd)
{
    char head[256];
    ssize_t n = pread(fd, head, sizeof(head) - 1, 0);
    if (n <= 0)
        return false;
    head[n] = '\0';
    const char *p = head + strspn(head, " \t\r\n\xef\xbb\xbf");
    return strncasecmp(p, "<!doctype html", 14) == 0 || strncasecmp(p, "<html", 5) == 0;
}

static char *copy_string(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

static void note_import(struct job *j, struct download *d, const struct http_response *r,
                        const char *signer)
{
    struct record *rec = &d->record;
    free(rec->image_id);
    free(rec->signer);
    rec->image_id = xstrdup(j->ret->id);
    rec->signer = copy_string(signer);
    rec->checked = time(NULL);
    rec->max_age = r->headers.max_age;
    (void)download_save_record(d, NULL); /* only saves work next time */
}

static bool hopeless(void *arg)
{
    struct job *j = arg;
    return j->verify && j->verify->hopeless;
}

/*
 * Downloads and verifies side by side. The error of the signature wins: when it failed, the
 * download was only told to stop.
 */
static int download(struct job *j, struct download *d, const struct url *signature,
                    const char *etag, struct http_response *r, char signer[PGP_FPR_MAX + 1],
                    struct err *err)
{
    struct growth growth;
    struct verify v = {
        .net = j->cmd->net,
        .trust = j->cmd->trust,
        .url = signature,
        .name = j->want->name,
        .what = j->check->what,
        .growth = &growth,
        .fd = d->fd,
        .lazy = etag != NULL,
    };
    struct download_options opt = {
        .max_bytes = j->want->has_size ? j->want->size : net_opt(j->cmd->net)->max_bytes,
        .exact = j->want->has_size,
        .etag = etag,
        .growth = &growth,
        .progress = on_progress,
        .give_up = hopeless,
        .arg = j,
    };
    growth_init(&growth);
    if (signature) {
        j->verify = &v; /* cppcheck-suppress autoVariables ; until verify_join() below */
        verify_start(&v);
    }
    int result = download_run(j->cmd->net, d, &opt, r, err);
    growth_end(&growth, result == 0);
    if (signature) {
        job_tell(j, FETCH_STAGE_VERIFY, NULL);
        verify_join(&v);
        j->verify = NULL;
        bool unchanged = result == 0 && r->status == 304 && v.err.errnum == ECANCELED;
        if (v.result < 0 && !unchanged && (result == 0 || err->errnum == ECANCELED)) {
            result = -1;
            *err = v.err;
        }
        memcpy(signer, v.signer, sizeof(v.signer));
    }
    growth_destroy(&growth);
    return result;
}

static int web_page(const struct download *d, struct err *err)
{
    return err_set(err, 0, "%s: the server sent a web page instead of an image", d->url.text);
}

static int fetch_locked(struct job *j, struct download *d, const struct url *signature,
                        struct err *err)
{
    cleanup_with(http_response_done) struct http_response r = {0};
    cleanup_with(fetch_image_done) struct fetch_image known = {0};
    char signer[PGP_FPR_MAX + 1] = "";
    bool current = find_recorded(j, &d->record, &known) == 0;
    if (current && record_fresh(&d->record, time(NULL)))
        return job_take_from_store(j, &(struct fetch_want){.image_id = known.id}, err);
    cleanup_free char *etag = current ? copy_string(d->record.etag) : NULL;
    struct err e;
    int result = download(j, d, signature, etag, &r, signer, &e);
    if (result < 0 && e.errnum == EBADMSG && d->resumed) {
        /* The first part may be another version's, or damaged: once more, from the start. */
        if (download_discard(d, err) < 0)
            return -1;
        result = download(j, d, signature, NULL, &r, signer, &e);
    }
    if (result < 0) {
        if (e.errnum == EBADMSG && is_web_page(d->fd))
            web_page(d, &e);
        if (e.errnum == EBADMSG || e.errnum == EKEYREJECTED)
            d->worth_keeping = false;
        if (err)
            *err = e;
        return -1;
    }
    if (r.status == 304 && etag) {
        d->record.checked = time(NULL);
        d->record.max_age = r.headers.max_age;
        (void)download_save_record(d, NULL);
        return job_take_from_store(j, &(struct fetch_want){.image_id = known.id}, err);
    }
    d->worth_keeping = true; /* until it is imported */
    result = is_web_page(d->fd) ? web_page(d, err)
                                : job_take_verified(j, d->fd, signature ? signer : NULL, err);
    if (result == 0)
        note_import(j, d, &r, signature ? signer : NULL);
    /* A full disk passes and a passphrase can be found; what is no image stays none. */
    d->worth_keeping = result < 0 && err && (err->errnum == ENOSPC || err->errnum == EACCES);
    return result;
}

/* One place where the image may lie. */
static int fetch_from(struct job *j, const char *image_url, const char *signature_url,
                      struct err *err)
{
    cleanup_with(url_done) struct url image = {0}, signature = {0};
    struct download d;
    if (url_parse(image_url, &image, err) < 0)
        return -1;
    cleanup_free char *derived = signature_url ? xstrdup(signature_url) : url_signature(&image);
    if (!j->cmd->opt->insecure_image && url_parse(derived, &signature, err) < 0)
        return -1;
    int area = command_area(j->cmd, err);
    if (area < 0 || download_open(j->cmd->net, area, &image, &d, err) < 0)
        return -1;
    j->url = d.url.text;
    int r = 1;
    if (d.waited) /* somebody else has just fetched the same */
        r = j->cmd->opt->pull == FETCH_MISSING && j->want->name
                ? job_take_from_store(j, j->want, err)
                : 1;
    if (r == 1)
        r = fetch_locked(j, &d, j->cmd->opt->insecure_image ? NULL : &signature, err);
    j->url = NULL;
    download_close(&d);
    return r;
}

/* Whether the next template is worth a try: not when what came was wrong. */
static bool another_place(struct job *j, const struct err *e)
{
    return !net_cancelled(j->cmd->net) && e->errnum != EBADMSG && e->errnum != EKEYREJECTED &&
           e->errnum != ENOSPC && e->errnum != ECANCELED && e->errnum != EFBIG;
}

/* All templates in the page's order (DISC-13, B6). */
static int fetch_discovered(struct job *j, struct err *err)
{
    cleanup_with(discover_done) struct discover d = {0};
    cleanup_with(ac_pairs_done) struct ac_pairs labels = {0};
    want_template_labels(j->want, j->cmd->opt->os, j->cmd->opt->arch, &labels);
    job_tell(j, FETCH_STAGE_DISCOVER, NULL);
    if (discover(j->cmd->net, j->want->name, &labels, DISCOVER_IMAGES, &d, err) < 0)
        return -1;
    struct err first = {0};
    for (size_t i = 0; i < d.nendpoints; i++) {
        struct err e = {0};
        if (d.endpoints[i].problem)
            continue;
        if (fetch_from(j, d.endpoints[i].image, d.endpoints[i].signature, &e) == 0)
            return 0;
        if (!first.msg[0] || !another_place(j, &e))
            first = e;
        if (!another_place(j, &e))
            break;
    }
    if (err)
        *err = first;
    return -1;
}

/* What a URL gave the last time, when nobody is to be asked: 0, 1 when that is not known, or -1. */
static int take_recorded(struct job *j, struct err *err)
{
    cleanup_with(url_done) struct url u = {0};
    cleanup_with(record_done) struct record rec = {0};
    cleanup_with(fetch_image_done) struct fetch_image known = {0};
    char key[RECORD_KEY_LEN + 1], name[RECORD_KEY_LEN + 8];
    int area = command_area(j->cmd, err);
    if (area < 0 || url_parse(j->want->url, &u, err) < 0)
        return -1;
    record_key(u.text, key);
    snprintf(name, sizeof(name), "%s.json", key);
    record_load(area, name, u.text, &rec);
    if (find_recorded(j, &rec, &known) != 0)
        return 1;
    return job_take_from_store(j, &(struct fetch_want){.image_id = known.id}, err);
}

/* What the store has already, as far as the policy is content with it: as above. */
static int look_in_store(struct job *j, struct err *err)
{
    enum fetch_pull pull = j->cmd->opt->pull;
    int r = 1;
    if (j->want->image_id || (pull != FETCH_NEWER && j->want->name))
        r = job_take_from_store(j, j->want, err);
    else if (pull != FETCH_NEWER && j->want->url)
        r = take_recorded(j, err);
    if (r == 1 && pull == FETCH_NEVER)
        return err_set(err, 0, "%s is not in the store, and --pull=never", j->check->what);
    return r;
}

int image_get(struct fetch_command *cmd, size_t number, const struct fetch_want *want,
              struct fetch_check *check, struct fetch_image *ret, struct err *err)
{
    cleanup_free char *what = fetch_want_text(want);
    struct job j = {.cmd = cmd, .number = number, .want = want, .check = check, .ret = ret};
    check->cmd = cmd;
    check->want = want;
    check->what = what;
    int r = want->file || want->oci ? 1 : look_in_store(&j, err);
    if (r != 1)
        return r;
    if (want->file)
        return local_fetch(&j, err);
    if (want->oci)
        return oci_fetch(&j, err);
    if (!want->name && !want->url)
        return err_set(err, 0, "%s is not in the store", what);
    return want->name ? fetch_discovered(&j, err) : fetch_from(&j, want->url, want->signature, err);
}
