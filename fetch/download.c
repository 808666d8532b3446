/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads into <data>/downloads, resumable and keyed by URL. */
#include "fetch/download.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

#define LOCK_POLL_MS 50

/* A partial download that nobody holds and nobody came back for. */
static void sweep_one(int dirfd, const char *name, int64_t now)
{
    struct stat st;
    int64_t keep = str_ends(name, ".json") ? RECORD_KEEP_SECONDS : DOWNLOAD_KEEP_SECONDS;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        now - st.st_mtime < keep)
        return;
    cleanup_close int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        (void)unlinkat(dirfd, name, 0);
}

static void sweep(int dirfd)
{
    int again = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_dir DIR *d = again >= 0 ? fdopendir(again) : NULL;
    if (!d && again >= 0)
        close(again);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            sweep_one(dirfd, e->d_name, time(NULL));
}

int download_area_open(const char *data_dir, int *ret_fd, struct err *err)
{
    struct stat st;
    cleanup_free char *path = xasprintf("%s/downloads", data_dir);
    if (mkdir_parents_at(AT_FDCWD, path, 0700, err) < 0)
        return -1;
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open %s", path);
    if (st.st_uid != geteuid() || (st.st_mode & 022))
        return err_set(err, 0, "%s belongs to somebody else, or others may write to it", path);
    sweep(fd);
    *ret_fd = take_fd(fd);
    return 0;
}

int download_area_temp(int area, struct err *err)
{
    int fd = openat(area, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR)
        return err_set(err, errno, "can't create a file in the downloads directory");
    char name[64];
    snprintf(name, sizeof(name), "unnamed.%ld.part", (long)gettid());
    fd = openat(area, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(err, errno, "can't create a file in the downloads directory");
    (void)unlinkat(area, name, 0);
    return fd;
}

/* The lock is on the file that has the name now, not on one that its holder has removed. */
static int lock_file(struct net *n, struct download *d, const char *name, struct err *err)
{
    for (;;) {
        struct stat st;
        cleanup_close int fd =
            openat(d->area, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return err_set(err, errno, "can't create the download of %s", d->url.text);
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno != EWOULDBLOCK && errno != EINTR)
                return err_set(err, errno, "can't lock the download of %s", d->url.text);
            d->waited = true;
            /* A blocking flock() could be neither cancelled nor limited in time. */
            if (!net_wait_ms(n, LOCK_POLL_MS))
                return err_set(err, ECANCELED, "waiting for another process that downloads %s",
                               d->url.text);
        }
        if (fstat(fd, &st) == 0 && st.st_nlink > 0) {
            d->fd = take_fd(fd);
            return 0;
        }
    }
}

static void part_name(const struct download *d, char out[RECORD_KEY_LEN + 8])
{
    snprintf(out, RECORD_KEY_LEN + 8, "%s.part", d->key);
}

static void record_name(const struct download *d, char out[RECORD_KEY_LEN + 8])
{
    snprintf(out, RECORD_KEY_LEN + 8, "%s.json", d->key);
}

int download_open(struct net *n, int area, const struct url *url, struct download *ret,
                  struct err *err)
{
    char name[RECORD_KEY_LEN + 8];
    struct download d = {.area = area, .fd = -1};
    url_copy(&d.url, url);
    record_key(url->text, d.key);
    part_name(&d, name);
    if (lock_file(n, &d, name, err) < 0) {
        url_done(&d.url);
        return -1;
    }
    record_name(&d, name);
    record_load(area, name, url->text, &d.record);
    *ret = d;
    return 0;
}

int download_save_record(struct download *d, struct err *err)
{
    char name[RECORD_KEY_LEN + 8];
    record_name(d, name);
    return record_save(d->area, name, &d->record, err);
}

int download_discard(struct download *d, struct err *err)
{
    d->resumed = d->worth_keeping = false;
    if (ftruncate(d->fd, 0) < 0)
        return err_set(err, errno, "can't empty the download of %s", d->url.text);
    return 0;
}

void download_close(struct download *d)
{
    char name[RECORD_KEY_LEN + 8];
    part_name(d, name);
    if (d->fd >= 0 && !d->worth_keeping)
        (void)unlinkat(d->area, name, 0);
    if (d->fd >= 0)
        close(d->fd);
    url_done(&d->url);
    record_done(&d->record);
    *d = (struct download){.area = -1, .fd = -1};
}

/* One run of download_run(). */
struct run {
    struct download *d;
    const struct download_options *opt;
    uint64_t offset; /* where the next byte goes */
    uint64_t total;
    bool mismatch; /* the rest that came is not of the version that we have */
};

static char *copy_or_null(const char *s)
{
    return s ? xstrdup(s) : NULL;
}

/* The version that is being downloaded, for a later If-Range. */
static void note_version(struct run *run, const struct http_response *r)
{
    struct record *rec = &run->d->record;
    free(rec->etag);
    free(rec->last_modified);
    rec->etag = copy_or_null(r->headers.etag);
    rec->last_modified = copy_or_null(r->headers.last_modified);
    rec->total = run->total;
    /* What an earlier version became says nothing about this one. */
    free(take_ptr(rec->image_id));
    free(take_ptr(rec->signer));
    rec->checked = 0;
    rec->max_age = 0;
    run->d->worth_keeping = headers_range_validator(&r->headers) != NULL;
}

static int begin_whole(struct run *run, const struct http_response *r, struct err *err)
{
    struct download *d = run->d;
    if (run->offset > 0 && run->opt->growth)
        growth_restart(run->opt->growth);
    if (download_discard(d, err) < 0)
        return -1;
    run->offset = 0;
    run->total = r->has_length ? r->length : 0;
    note_version(run, r);
    (void)download_save_record(d, NULL); /* only saves work next time */
    return 0;
}

static int begin_rest(struct run *run, const struct http_response *r, struct err *err)
{
    const struct headers *h = &r->headers;
    const struct record *rec = &run->d->record;
    bool same = h->has_range && h->range_first == run->offset &&
                (!h->range_total || !rec->total || h->range_total == rec->total) &&
                (!h->etag || str_eq(h->etag, rec->etag));
    if (!same) {
        run->mismatch = true;
        return err_set(err, 0,
                       "it sends another part, or a part of another version, than was asked");
    }
    run->total = h->range_total ? h->range_total : rec->total;
    return 0;
}

static int on_begin(void *arg, const struct http_response *r, struct err *err)
{
    struct run *run = arg;
    if ((r->status == 206 ? begin_rest(run, r, err) : begin_whole(run, r, err)) < 0)
        return -1;
    if (run->opt->exact && run->total && run->total != run->opt->max_bytes)
        return err_set(err, EFBIG, "it has %llu bytes, but the declared size is %llu",
                       (unsigned long long)run->total, (unsigned long long)run->opt->max_bytes);
    if (run->total > run->opt->max_bytes)
        return err_set(err, EFBIG, "its %llu bytes are beyond the limit of %llu",
                       (unsigned long long)run->total, (unsigned long long)run->opt->max_bytes);
    return 0;
}

static int on_data(void *arg, const void *data, size_t len, struct err *err)
{
    struct run *run = arg;
    if (len > run->opt->max_bytes - run->offset)
        return err_set(err, EFBIG, "it is longer than the %s of %llu bytes",
                       run->opt->exact ? "declared size" : "limit",
                       (unsigned long long)run->opt->max_bytes);
    if (pwrite_all(run->d->fd, data, len, (off_t)run->offset) < 0) {
        run->d->worth_keeping = false;
        return err_set(err, errno, "can't write the download");
    }
    run->offset += len;
    if (run->opt->growth)
        growth_set(run->opt->growth, run->offset);
    if (run->opt->progress)
        run->opt->progress(run->opt->arg, run->offset, run->total);
    return 0;
}

static bool on_give_up(void *arg)
{
    const struct run *run = arg;
    return run->opt->give_up(run->opt->arg);
}

static const char *validator(const struct record *rec)
{
    const struct headers h = {.etag = rec->etag, .last_modified = rec->last_modified};
    return headers_range_validator(&h);
}

/* What to ask for: the rest, whether it changed, or the whole. */
static void prepare(struct run *run, struct http_request *req)
{
    const struct record *rec = &run->d->record;
    const char *v = validator(rec);
    bool complete = rec->total && run->offset == rec->total;
    req->range_from = 0;
    req->if_range = NULL;
    req->etag = run->opt->etag;
    if (run->offset == 0 || !v)
        return;
    if (complete && rec->etag) {
        req->etag = rec->etag;
    } else if (!complete) {
        req->etag = NULL;
        req->range_from = run->offset;
        req->if_range = v;
    }
}

/* What is in the file from an earlier process. */
static int measure(struct run *run, struct err *err)
{
    struct stat st;
    struct record *rec = &run->d->record;
    if (fstat(run->d->fd, &st) < 0)
        return err_set(err, errno, "can't look at the download of %s", run->d->url.text);
    run->offset = (uint64_t)st.st_size;
    if (!validator(rec) || (rec->total && run->offset > rec->total) ||
        run->offset > run->opt->max_bytes) {
        run->offset = 0;
        return download_discard(run->d, err);
    }
    run->d->resumed = run->offset > 0;
    run->d->worth_keeping = run->d->resumed;
    if (run->opt->growth)
        growth_set(run->opt->growth, run->offset);
    return 0;
}

static int start_over(struct run *run, struct err *err)
{
    run->mismatch = false;
    run->offset = 0;
    if (run->opt->growth)
        growth_restart(run->opt->growth);
    return download_discard(run->d, err);
}

/* The body came to its end: is it all? */
static int check_end(struct run *run, const struct http_response *r, struct err *err)
{
    if (r->status == 304)
        return 0;
    uint64_t want = run->opt->exact ? run->opt->max_bytes : run->total;
    if (want && run->offset != want)
        return err_set(err, 0, "%s: %llu bytes came, %llu were %s", r->url.text,
                       (unsigned long long)run->offset, (unsigned long long)want,
                       run->opt->exact ? "declared" : "announced");
    run->d->record.total = run->offset;
    return 0;
}

int download_run(struct net *n, struct download *d, const struct download_options *opt,
                 struct http_response *r, struct err *err)
{
    struct run run = {.d = d, .opt = opt};
    struct http_request req = {
        .url = &d->url,
        .max_bytes = UINT64_MAX,
        .bearer = opt->bearer,
        .begin = on_begin,
        .data = on_data,
        .give_up = opt->give_up ? on_give_up : NULL,
        .arg = &run,
    };
    if (measure(&run, err) < 0)
        return -1;
    for (unsigned attempt = 1;;) {
        prepare(&run, &req);
        if (http_get(n, &req, r, err) == 0)
            return check_end(&run, r, err);
        /* Once a version does not fit, the next request is for the whole; so this ends. */
        if (run.mismatch || (r->status == 416 && req.range_from)) {
            if (start_over(&run, err) < 0)
                return -1;
            continue;
        }
        if (!http_try_again(n, r, ++attempt)) {
            d->worth_keeping = d->worth_keeping && run.offset > 0 && (!err || err->errnum != EFBIG);
            return -1;
        }
    }
}
