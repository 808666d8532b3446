/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All images of one command: several at a time, each once, dependencies as they become known.
 *
 * A node is a request; requests that one answer serves share a node. The edges of a node are added
 * when its manifest is known, before the image becomes visible in the store, and an edge that would
 * close a circle is refused.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/image.h"
#include "fetch/want.h"

#define NOBODY SIZE_MAX

enum node_state { NODE_WAITING, NODE_RUNNING, NODE_DONE };

struct node {
    struct fetch_want want;
    char *key;
    char *image_id; /* once the manifest is known */
    enum node_state state;
    struct fetch_image image; /* once it is done */
    size_t *deps;
    size_t ndeps;
    size_t parent; /* who asked first, or NOBODY */
    unsigned depth;
    bool seen; /* by the search for a circle */
};

struct queue {
    struct fetch_command cmd;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct node *nodes[FETCH_IMAGES_MAX];
    size_t n;
    size_t running;
    bool failed;
    struct err err;
};

static void node_free(struct node *node)
{
    fetch_want_done(&node->want);
    fetch_image_done(&node->image);
    free(node->key);
    free(node->image_id);
    free(node->deps);
    free(node);
}

/* "a -> b -> c" from a requested image to the node; the caller frees. */
static char *chain_text(const struct queue *q, size_t i)
{
    cleanup_free char *own = fetch_want_text(&q->nodes[i]->want);
    if (q->nodes[i]->parent == NOBODY)
        return take_ptr(own);
    cleanup_free char *before = chain_text(q, q->nodes[i]->parent); /* at most FETCH_DEPTH_MAX */
    return xasprintf("%s -> %s", before, own);
}

/* The node of a request, a new one when nobody asked for that yet. Locked. */
static int node_for(struct queue *q, const struct fetch_want *want, size_t parent, size_t *ret,
                    struct err *err)
{
    cleanup_free char *key = want_key(want);
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->nodes[i]->key, key) == 0) {
            *ret = i;
            return 0;
        }
    unsigned depth = parent == NOBODY ? 0 : q->nodes[parent]->depth + 1;
    cleanup_free char *text = fetch_want_text(want);
    if (q->n == FETCH_IMAGES_MAX || depth > FETCH_DEPTH_MAX)
        return err_set(err, 0, "%s: more than %d %s", text,
                       depth > FETCH_DEPTH_MAX ? FETCH_DEPTH_MAX : FETCH_IMAGES_MAX,
                       depth > FETCH_DEPTH_MAX ? "levels of dependencies" : "images");
    struct node *node = xcalloc(1, sizeof(*node));
    fetch_want_copy(&node->want, want);
    node->key = take_ptr(key);
    node->parent = parent;
    node->depth = depth;
    *ret = q->n;
    q->nodes[q->n++] = node;
    return 0;
}

/* Whether the node is the target, or another request that became the same image. */
static bool is_target(const struct queue *q, size_t i, size_t target)
{
    return i == target ||
           (q->nodes[i]->image_id && str_eq(q->nodes[i]->image_id, q->nodes[target]->image_id));
}

/* The nodes from a dependency back to the node that would depend on itself. */
struct way {
    size_t v[FETCH_IMAGES_MAX];
    size_t n;
};

/* Depth-first from node `i`; the way is noted from its end on. Each node is entered once. */
static bool find_way(struct queue *q, size_t i, size_t target, struct way *way)
{
    struct node *node = q->nodes[i];
    bool found = is_target(q, i, target);
    if (node->seen)
        return false;
    node->seen = true;
    for (size_t k = 0; k < node->ndeps && !found; k++)
        found = find_way(q, node->deps[k], target, way);
    if (found)
        way->v[way->n++] = i;
    return found;
}

static int check_cycle(struct queue *q, size_t i, size_t dep, struct err *err)
{
    cleanup_with(buf_free) struct buf text = {0};
    struct way way = {.n = 0};
    for (size_t k = 0; k < q->n; k++)
        q->nodes[k]->seen = false;
    if (!find_way(q, dep, i, &way))
        return 0;
    cleanup_free char *first = fetch_want_text(&q->nodes[i]->want);
    buf_adds(&text, first);
    while (way.n) {
        cleanup_free char *next = fetch_want_text(&q->nodes[way.v[--way.n]]->want);
        buf_printf(&text, " -> %s", next);
    }
    return err_set(err, ELOOP, "the dependencies go round in a circle: %s", text.data);
}

static int add_dependency(struct queue *q, size_t i, const struct ac_dependency *dep,
                          struct err *err)
{
    cleanup_with(fetch_want_done) struct fetch_want want = {0};
    size_t d;
    struct node *node = q->nodes[i];
    fetch_want_dependency(dep, &want);
    if (node_for(q, &want, i, &d, err) < 0 || check_cycle(q, i, d, err) < 0)
        return -1;
    node->deps = xreallocarray(node->deps, node->ndeps + 1, sizeof(*node->deps));
    node->deps[node->ndeps++] = d;
    return 0;
}

/* The first failure stops everything; the ones that follow from it say nothing new. Locked. */
static void fail(struct queue *q, size_t i, const struct err *e)
{
    if (q->failed)
        return;
    q->failed = true;
    q->err = *e;
    if (q->nodes[i]->parent != NOBODY) {
        cleanup_free char *chain = chain_text(q, i);
        err_fill_prefix(&q->err, "%s", chain);
    }
    net_cancel(q->cmd.net);
}

/* Who asks fetch_check(). */
struct asker {
    struct queue *q;
    size_t i;
};

/* The manifest of a node is known: its dependencies go into the queue, once. */
static int verdict(void *arg, const char *image_id, const struct ac_image_manifest *m,
                   struct err *err)
{
    struct asker *a = arg;
    struct queue *q = a->q;
    struct err e = {0};
    int r = 0;
    pthread_mutex_lock(&q->lock);
    struct node *node = q->nodes[a->i];
    if (!str_eq(node->image_id, image_id)) {
        free(node->image_id);
        node->image_id = xstrdup(image_id);
        node->ndeps = 0;
        size_t ndeps = q->cmd.opt->no_dependencies ? 0 : m->ndependencies;
        for (size_t k = 0; k < ndeps && r == 0; k++)
            r = add_dependency(q, a->i, &m->dependencies[k], &e);
        if (r < 0) /* at once: dependencies that were added already must not fail before */
            fail(q, a->i, &e);
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    if (r < 0 && err)
        *err = e;
    return r;
}

static void run_node(struct queue *q, size_t i)
{
    struct fetch_image image = {0};
    struct err e = {0};
    struct asker asker = {q, i};
    struct fetch_check check = {.verdict = verdict, .arg = &asker};
    int r = image_get(&q->cmd, i, &q->nodes[i]->want, &check, &image, &e);
    pthread_mutex_lock(&q->lock);
    q->nodes[i]->state = NODE_DONE;
    q->nodes[i]->image = image;
    if (r < 0)
        fail(q, i, &e);
}

/*
 * Files come first: what one of them depends on may be another one, and is not to be looked for
 * elsewhere before that is in the store. Locked.
 */
static bool may_start(const struct queue *q, size_t i)
{
    for (size_t k = 0; k < q->n && !q->nodes[i]->want.file; k++)
        if (q->nodes[k]->want.file && q->nodes[k]->state != NODE_DONE)
            return false;
    return q->nodes[i]->state == NODE_WAITING;
}

/* Takes the next request; false when there is nothing left to do. Locked. */
static bool next_node(struct queue *q, size_t *ret)
{
    for (;;) {
        for (size_t i = 0; i < q->n && !q->failed; i++)
            if (may_start(q, i)) {
                *ret = i;
                return true;
            }
        if (q->failed || q->running == 0)
            return false;
        pthread_cond_wait(&q->changed, &q->lock);
    }
}

static void *work(void *arg)
{
    struct queue *q = arg;
    size_t i;
    pthread_mutex_lock(&q->lock);
    while (next_node(q, &i)) {
        q->nodes[i]->state = NODE_RUNNING;
        q->running++;
        pthread_mutex_unlock(&q->lock);
        run_node(q, i); /* comes back locked */
        q->running--;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

static void work_all(struct queue *q)
{
    pthread_t threads[64];
    size_t n = 0, jobs = q->cmd.opt->jobs ? q->cmd.opt->jobs : FETCH_JOBS;
    while (n + 1 < jobs && n < ARRAY_SIZE(threads) &&
           pthread_create(&threads[n], NULL, work, q) == 0)
        n++;
    (void)work(q);
    while (n)
        pthread_join(threads[--n], NULL);
}

static void copy_image(struct fetch_image *dst, struct fetch_image *src)
{
    *dst = *src;
    *src = (struct fetch_image){.id = xstrdup(dst->id)};
}

/* Two equal requests share a node; the second one gets the ID and reads the manifest itself. */
static void hand_over(struct queue *q, const size_t *wanted, size_t n, struct fetch_image *ret)
{
    for (size_t i = 0; i < n; i++)
        copy_image(&ret[i], &q->nodes[wanted[i]]->image);
}

int fetch_images(struct net *net, const struct trust *trust, const struct fetch_options *opt,
                 const struct fetch_sink *sink, const struct fetch_want *wants, size_t n,
                 struct fetch_image *ret, struct err *err)
{
    struct queue *q = xcalloc(1, sizeof(*q));
    cleanup_free size_t *wanted = xcalloc(n, sizeof(*wanted));
    int r = 0;
    q->cmd =
        (struct fetch_command){.net = net, .trust = trust, .opt = opt, .sink = sink, .area = -1};
    pthread_mutex_init(&q->cmd.sink_lock, NULL);
    pthread_mutex_init(&q->cmd.event_lock, NULL);
    pthread_mutex_init(&q->cmd.area_lock, NULL);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    for (size_t i = 0; i < n && r == 0; i++)
        r = node_for(q, &wants[i], NOBODY, &wanted[i], err);
    if (r == 0)
        work_all(q);
    if (r == 0 && q->failed) {
        if (err)
            *err = q->err;
        r = -1;
    }
    if (r == 0)
        hand_over(q, wanted, n, ret);
    for (size_t i = 0; i < q->n; i++)
        node_free(q->nodes[i]);
    if (q->cmd.area >= 0)
        close(q->cmd.area);
    pthread_mutex_destroy(&q->cmd.sink_lock);
    pthread_mutex_destroy(&q->cmd.event_lock);
    pthread_mutex_destroy(&q->cmd.area_lock);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->changed);
    free(q);
    return r;
}
