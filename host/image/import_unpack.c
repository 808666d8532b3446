/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over an archive: decompress, hash and write at the same time.
 *
 * The calling thread fills the slots of a ring; a hashing and a writing thread empty them, each
 * at its own pace. A slot is free again when both are through with it. A fourth thread has the
 * kernel write out what is written, so that fsync() at the end is short: on a busy disk that
 * request blocks, and the writing thread must not.
 */
#include "host/image/import_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/import_source.h"

#define SLOTS      8
#define SLOT_BYTES (256u << 10)
/* After so many bytes the kernel is asked to begin writing them out. */
#define FLUSH_BYTES (8u << 20)

enum { HASHER, WRITER, CONSUMERS };

struct slot {
    uint8_t *data;
    size_t len; /* 0: the end */
};

struct ring {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct slot slots[SLOTS];
    uint64_t filled;             /* slots that were filled, ever */
    uint64_t emptied[CONSUMERS]; /* slots that each consumer is through with */
    bool stopped;                /* somebody failed: everybody leaves */
    off_t written;               /* bytes that are in the file */
    bool all_written;
    int write_errno;
    int out_fd;
    EVP_MD_CTX *hash;
};

/* The next slot of a consumer, or NULL when all stops. */
static struct slot *next_full(struct ring *r, int who)
{
    pthread_mutex_lock(&r->lock);
    while (!r->stopped && r->emptied[who] == r->filled)
        pthread_cond_wait(&r->changed, &r->lock);
    struct slot *s = r->stopped ? NULL : &r->slots[r->emptied[who] % SLOTS];
    pthread_mutex_unlock(&r->lock);
    return s;
}

static void done_with(struct ring *r, int who)
{
    pthread_mutex_lock(&r->lock);
    r->emptied[who]++;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* The slot to fill next, or NULL when all stops. */
static struct slot *next_free(struct ring *r)
{
    pthread_mutex_lock(&r->lock);
    while (!r->stopped &&
           (r->filled - r->emptied[HASHER] == SLOTS || r->filled - r->emptied[WRITER] == SLOTS))
        pthread_cond_wait(&r->changed, &r->lock);
    struct slot *s = r->stopped ? NULL : &r->slots[r->filled % SLOTS];
    pthread_mutex_unlock(&r->lock);
    return s;
}

static void publish(struct ring *r)
{
    pthread_mutex_lock(&r->lock);
    r->filled++;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void stop(struct ring *r, int write_errno)
{
    pthread_mutex_lock(&r->lock);
    r->stopped = true;
    if (write_errno)
        r->write_errno = write_errno;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void *hash_thread(void *arg)
{
    struct ring *r = arg;
    struct slot *s;
    while ((s = next_full(r, HASHER)) && s->len) {
        if (!EVP_DigestUpdate(r->hash, s->data, s->len)) {
            stop(r, EIO);
            break;
        }
        done_with(r, HASHER);
    }
    return NULL;
}

/* done_with() wakes the others up right after this. */
static void note_written(struct ring *r, off_t at, bool all)
{
    pthread_mutex_lock(&r->lock);
    r->written = at;
    r->all_written = all;
    if (all)
        pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void *write_thread(void *arg)
{
    struct ring *r = arg;
    struct slot *s;
    off_t at = 0;
    while ((s = next_full(r, WRITER)) && s->len) {
        if (pwrite_all(r->out_fd, s->data, s->len, at) < 0) {
            stop(r, errno);
            break;
        }
        at += (off_t)s->len;
        note_written(r, at, false);
        done_with(r, WRITER);
    }
    note_written(r, at, true);
    return NULL;
}

/* How far the file is, once there is enough behind `flushed`; 0 at its end. */
static off_t next_flush(struct ring *r, off_t flushed)
{
    pthread_mutex_lock(&r->lock);
    while (!r->stopped && !r->all_written && r->written - flushed < FLUSH_BYTES)
        pthread_cond_wait(&r->changed, &r->lock);
    off_t to = r->stopped || r->all_written ? 0 : r->written;
    pthread_mutex_unlock(&r->lock);
    return to;
}

static void *flush_thread(void *arg)
{
    struct ring *r = arg;
    off_t flushed = 0;
    for (off_t to; (to = next_flush(r, flushed)); flushed = to)
        (void)sync_file_range(r->out_fd, flushed, to - flushed, SYNC_FILE_RANGE_WRITE);
    return NULL;
}

static int check_limits(const struct unpack_options *opt, const char *name, uint64_t tar_bytes,
                        uint64_t archive_bytes, struct err *err)
{
    uint64_t max = opt->max_bytes ? opt->max_bytes : UNPACK_MAX_BYTES;
    uint64_t ratio = opt->max_ratio ? opt->max_ratio : UNPACK_MAX_RATIO;
    if (opt->before > max || tar_bytes > max - opt->before)
        return err_set(err, 0,
                       "%s%s more than %" PRIu64 " bytes uncompressed; --max-size=SIZE allows more",
                       name, opt->before ? " and the layers below hold" : " holds", max);
    if (tar_bytes > UNPACK_RATIO_FREE && tar_bytes / ratio > archive_bytes)
        return err_set(err, 0,
                       "%s expands to more than %" PRIu64 " times its size, which looks like a "
                       "compression bomb; --max-ratio=N allows more",
                       name, ratio);
    return 0;
}

/* Fills slots until the archive ends; the last one is empty. */
static int produce(struct ring *r, struct import_source *src, const char *name,
                   const struct unpack_options *opt, struct unpack_result *ret, struct err *err)
{
    for (;;) {
        struct slot *s = next_free(r);
        if (!s)
            return err_set(err, r->write_errno, "can't store %s", name);
        ssize_t n = import_source_read(src, s->data, SLOT_BYTES, err);
        if (n < 0)
            return -1;
        ret->tar_bytes += (uint64_t)n;
        ret->archive_bytes = import_source_consumed(src);
        if (check_limits(opt, name, ret->tar_bytes, ret->archive_bytes, err) < 0)
            return -1;
        if (opt->progress)
            opt->progress(opt->arg, ret->archive_bytes);
        s->len = (size_t)n;
        publish(r);
        if (n == 0)
            return 0;
    }
}

static int run(struct ring *r, struct import_source *src, const char *name,
               const struct unpack_options *opt, struct unpack_result *ret, struct err *err)
{
    static void *(*const bodies[])(void *) = {hash_thread, write_thread, flush_thread};
    pthread_t threads[ARRAY_SIZE(bodies)];
    size_t n = 0;
    int e = 0;
    while (n < ARRAY_SIZE(bodies) && (e = pthread_create(&threads[n], NULL, bodies[n], r)) == 0)
        n++;
    int result = e ? err_set(err, e, "can't start a thread") : produce(r, src, name, opt, ret, err);
    if (result < 0)
        stop(r, 0);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    /* The last slots may have failed after the producer was through. */
    if (result == 0 && r->stopped)
        return err_set(err, r->write_errno, "can't store %s", name);
    return result;
}

int import_unpack_source(struct import_source *src, const char *name, const EVP_MD *md, int out_fd,
                         const struct unpack_options *opt, uint8_t *ret_hash,
                         struct unpack_result *ret, struct err *err)
{
    struct unpack_result unpacked = {.compress = import_source_compress(src)};
    struct ring r = {.lock = PTHREAD_MUTEX_INITIALIZER,
                     .changed = PTHREAD_COND_INITIALIZER,
                     .out_fd = out_fd,
                     .hash = EVP_MD_CTX_new()};
    if (!r.hash)
        die_oom();
    for (size_t i = 0; i < SLOTS; i++)
        r.slots[i].data = xmalloc(SLOT_BYTES);
    int result = EVP_DigestInit_ex(r.hash, md, NULL)
                     ? run(&r, src, name, opt, &unpacked, err)
                     : err_set(err, 0, "OpenSSL can't begin the hash of %s", name);
    if (result == 0 && !EVP_DigestFinal_ex(r.hash, ret_hash, NULL))
        result = err_set(err, 0, "can't compute the hash of %s", name);
    if (result == 0)
        *ret = unpacked;
    for (size_t i = 0; i < SLOTS; i++)
        free(r.slots[i].data);
    EVP_MD_CTX_free(r.hash);
    return result;
}

int import_unpack(int in_fd, const char *name, int out_fd, const struct unpack_options *opt,
                  struct unpack_result *ret, struct err *err)
{
    struct import_source *src;
    uint8_t hash[EVP_MAX_MD_SIZE];
    if (import_source_open(in_fd, name, &src, err) < 0)
        return -1;
    int r = import_unpack_source(src, name, EVP_sha512(), out_fd, opt, hash, ret, err);
    import_source_free(src);
    if (r == 0)
        aci_id_set(&ret->id, hash);
    return r;
}
