/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that gets a signature and checks it while the signed file is still being downloaded. */
#include "fetch/verify.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "fetch/http.h"
#include "fetch/sig.h"

/* Waits for the first byte of the file; false when none comes. */
static bool wait_for_file(struct verify *v)
{
    pthread_mutex_lock(&v->growth->lock);
    while (v->growth->state == GROWTH_RUNNING && v->growth->size == 0)
        pthread_cond_wait(&v->growth->changed, &v->growth->lock);
    bool some = v->growth->size > 0;
    pthread_mutex_unlock(&v->growth->lock);
    return some;
}

static int get_signature(struct verify *v, struct buf *text, struct err *err)
{
    cleanup_with(http_response_done) struct http_response r = {0};
    if (http_get_small(v->net, v->url, false, SIG_TEXT_MAX, text, &r, err) == 0)
        return 0;
    /* 202: the signature is being made, and is to be asked for again after the image. */
    if (r.status == 202 && growth_wait_end(v->growth) &&
        http_get_small(v->net, v->url, false, SIG_TEXT_MAX, text, &r, err) == 0)
        return 0;
    return err_prefix(err, "can't get the signature of %s (--insecure-options=image does without)",
                      v->what);
}

/* One pass over the file, which may begin anew meanwhile. */
struct pass {
    struct verify *v;
    unsigned epoch;
    uint64_t offset;
};

static ssize_t read_pass(void *arg, void *data, size_t cap)
{
    struct pass *p = arg;
    ssize_t n = growth_read(p->v->growth, p->epoch, p->v->fd, data, cap, p->offset);
    if (n > 0)
        p->offset += (uint64_t)n;
    return n;
}

static int check(struct verify *v, const struct buf *text, struct err *err)
{
    for (;;) {
        struct pass p = {.v = v, .epoch = growth_epoch(v->growth)};
        err->errnum = 0;
        int r = sig_check(v->trust, text->data ? text->data : "", text->len, read_pass, &p, v->name,
                          v->what, v->signer, err);
        if (r == 0 || err->errnum != ECANCELED || growth_epoch(v->growth) == p.epoch)
            return r;
    }
}

static void *run(void *arg)
{
    struct verify *v = arg;
    cleanup_with(buf_free) struct buf text = {0};
    if (v->lazy && !wait_for_file(v))
        v->result = err_set(&v->err, ECANCELED, "the signature of %s", v->what);
    else
        v->result = get_signature(v, &text, &v->err) < 0 || check(v, &text, &v->err) < 0 ? -1 : 0;
    v->hopeless = v->result < 0;
    return NULL;
}

void verify_start(struct verify *v)
{
    if (pthread_create(&v->thread, NULL, run, v) != 0)
        die_oom();
}

void verify_join(struct verify *v)
{
    pthread_join(v->thread, NULL);
}
