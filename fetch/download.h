/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads into <data>/downloads, resumable and keyed by URL.
 *
 * KEY.part holds the bytes so far and is locked while a process works on it; KEY.json is the record
 * of the URL. Both are for the owner only. A download that is taken over by an import is removed;
 * what nobody came back for is swept after a week.
 */
#ifndef APPC_FETCH_DOWNLOAD_H
#define APPC_FETCH_DOWNLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "fetch/growth.h"
#include "fetch/http.h"
#include "fetch/record.h"

struct err;

#define DOWNLOAD_KEEP_SECONDS (7 * 24 * 3600)
#define RECORD_KEEP_SECONDS   (180 * 24 * 3600)

/* Opens, and makes, the downloads directory of a data directory, and sweeps it; the caller closes.
 */
int download_area_open(const char *data_dir, int *ret_fd, struct err *err);

/* A file without a name in that directory: gone when it is closed. The descriptor, or -1. */
int download_area_temp(int area, struct err *err);

/* One URL's file, locked. Zero-initialise with fd -1; download_close() releases it. */
struct download {
    int area; /* borrowed */
    int fd;
    struct url url;
    char key[RECORD_KEY_LEN + 1];
    struct record record;
    bool resumed; /* bytes of an earlier process are in it */
    bool waited;  /* another process was at work on it */
    bool worth_keeping;
};

/* Waits for another process that downloads the same. */
int download_open(struct net *n, int area, const struct url *url, struct download *ret,
                  struct err *err);

/* What to watch, and how far to go. */
struct download_options {
    uint64_t max_bytes; /* the file must not be longer */
    bool exact;         /* …nor shorter (the size that a dependency declares) */
    const char *etag;   /* 304 is an answer too: nothing is downloaded then */
    const char *bearer; /* as in struct http_request */
    struct growth *growth;
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* total 0: not known */
    bool (*give_up)(void *arg); /* asked now and then: true ends it with ECANCELED */
    void *arg;
};

/*
 * Downloads the whole, over what is there already when the server proves that it is of the same
 * version (If-Range with a strong validator, Content-Range), with retries that go on where the
 * last one stopped. 0: the file is complete (r->status 200 or 206), or unchanged (304). -1: what
 * can be resumed stays for the next time. The growth is told of everything but the end.
 */
int download_run(struct net *n, struct download *d, const struct download_options *opt,
                 struct http_response *r, struct err *err);

/* Empties the file and forgets its version: what was downloaded is of no use. */
int download_discard(struct download *d, struct err *err);

/* Writes the record. */
int download_save_record(struct download *d, struct err *err);

/* Removes the file unless it is worth keeping, unlocks and closes. */
void download_close(struct download *d);

#endif
