/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a URL from earlier fetches: a small JSON file beside its partial download. */
#ifndef APPC_FETCH_RECORD_H
#define APPC_FETCH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define RECORD_KEY_LEN 64 /* hex digits of SHA-256 of the URL */

/* Zero-initialise; record_done() releases it. */
struct record {
    char *url;
    char *etag; /* of what is being downloaded, or was */
    char *last_modified;
    uint64_t total;   /* bytes of the whole, 0: not known */
    char *image_id;   /* what the last complete download became, or NULL */
    char *signer;     /* whose signature it had, NULL for none */
    int64_t checked;  /* when the server last said that it is current; seconds since 1970 */
    uint64_t max_age; /* for how many seconds after that nobody need ask again */
};

/* The file name of a URL, without a suffix. */
void record_key(const char *url, char out[RECORD_KEY_LEN + 1]);

/*
 * Reads NAME from the directory; *ret is empty when there is none, when it is damaged or of another
 * URL: it only saves work.
 */
void record_load(int dirfd, const char *name, const char *url, struct record *ret);

/* Reads the JSON of one; false when it is none, or of another URL. */
bool record_parse(const char *text, size_t len, const char *url, struct record *ret);

int record_save(int dirfd, const char *name, const struct record *r, struct err *err);

/* Whether the server need not be asked yet. */
bool record_fresh(const struct record *r, int64_t now);

void record_done(struct record *r);

#endif
