/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-rng. */
#include "vmm/devices/rng.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

#define NS_PER_S 1000000000ULL

/* Waiting requests go on when there is this much, not for each single byte. */
#define RNG_RESUME 4096

static struct rng *rng_of(struct device *d)
{
    return (struct rng *)((char *)d - offsetof(struct rng, dev));
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void rng_refill(struct rng *r, uint64_t now)
{
    uint64_t full_after = (RNG_BURST - r->tokens) * NS_PER_S / RNG_RATE;
    uint64_t elapsed = now - r->filled_ns;
    if (elapsed >= full_after) {
        r->tokens = RNG_BURST;
        r->filled_ns = now;
        return;
    }
    uint64_t gained = elapsed * RNG_RATE / NS_PER_S;
    r->tokens += gained;
    /* Fractions of a token stay in the clock. */
    r->filled_ns += gained * NS_PER_S / RNG_RATE;
}

/* Random bytes for the request in hand, as many as it has room and the bucket has tokens for. */
static uint32_t fill(struct rng *r)
{
    uint64_t left = r->tokens - RNG_REQUEST_COST;
    if (left > RNG_REQUEST_MAX)
        left = RNG_REQUEST_MAX;
    uint32_t done = 0;
    struct iovs *out = &r->chain.writable;
    while (out->len && left) {
        size_t n = out->v->iov_len < left ? out->v->iov_len : left;
        ssize_t got = getrandom(out->v->iov_base, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        iovs_drop(out, (size_t)got);
        left -= (uint64_t)got;
        done += (uint32_t)got;
    }
    r->tokens -= done + RNG_REQUEST_COST;
    return done;
}

static int wait_for_tokens(struct rng *r, struct err *err)
{
    uint64_t ns = (RNG_RESUME - r->tokens) * NS_PER_S / RNG_RATE + 1;
    struct itimerspec its = {.it_value = {.tv_nsec = (long)ns}};
    if (timerfd_settime(r->timer.fd, 0, &its, NULL))
        return err_set(err, errno, "rng: cannot set the timer");
    return 0;
}

static int rng_run(struct device *d, unsigned q, struct err *err)
{
    struct rng *r = rng_of(d);
    struct virtq *vq = &d->queues[q];
    int n;
    rng_refill(r, now_ns());
    virtq_kicks_off(vq);
    for (;;) {
        /* While the bucket is empty nothing is taken and no kick is wanted. */
        if (r->tokens < RNG_RESUME) {
            virtq_flush(vq);
            return wait_for_tokens(r, err);
        }
        n = virtq_pop(vq, &r->chain, err);
        if (n < 0 || (n == 0 && !virtq_kicks_on(vq)))
            break;
        if (n > 0)
            virtq_push(vq, r->chain.head, fill(r));
    }
    virtq_flush(vq);
    return n < 0 ? -1 : 0;
}

static int on_timer(void *data, uint32_t events, struct err *err)
{
    struct rng *r = data;
    uint64_t times;
    (void)events;
    if (read(r->timer.fd, &times, sizeof(times)) < 0 && errno != EAGAIN && errno != EINTR)
        return err_set(err, errno, "rng: cannot read the timer");
    return device_run(&r->dev, 0, err);
}

static const struct device_ops rng_ops = {.name = "rng", .run = rng_run};

int rng_init(struct rng *r, struct err *err)
{
    r->tokens = RNG_BURST;
    r->filled_ns = now_ns();
    r->dev.ops = &rng_ops;
    r->dev.offered = 0;
    r->dev.nqueues = 1;
    r->dev.config = NULL;
    r->dev.config_len = 0;
    r->timer = (struct loop_source){.fd = -1, .handle = on_timer, .data = r};
    if (device_init(&r->dev, err))
        return -1;
    r->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (r->timer.fd < 0)
        return err_set(err, errno, "rng: cannot make a timer");
    return loop_add(&r->dev.loop, &r->timer, EPOLLIN, err);
}

void rng_free(struct rng *r)
{
    if (r->timer.fd >= 0)
        close(r->timer.fd);
    device_free(&r->dev);
}
