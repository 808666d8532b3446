/* SPDX-License-Identifier: Apache-2.0 */
/* The values of the HTTP headers that a fetch acts on (RFC 9110, RFC 9111). */
#ifndef APPC_FETCH_HEADER_H
#define APPC_FETCH_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEADER_VALUE_MAX 1024              /* longest value that is kept */
#define HEADER_AUTH_MAX  8192              /* all challenges together */
#define HEADER_AGE_MAX   (30u * 24 * 3600) /* a server can't ask for more than 30 days of trust */

/* What a response said about itself. Zero-initialise; headers_done() releases it. */
struct headers {
    char *etag;          /* as it came, with its quotes; NULL when there is none */
    char *last_modified; /* as it came */
    char *location;
    char *content_type;
    char *www_authenticate; /* all of them, with commas between */
    uint64_t max_age;       /* Cache-Control: seconds that the response stays fresh, bounded */
    bool no_store;          /* Cache-Control: no-store */
    bool has_retry_after;
    uint64_t retry_after; /* seconds; an HTTP date was turned into seconds from now */
    bool has_range;       /* Content-Range of a 206 */
    uint64_t range_first;
    uint64_t range_total; /* 0: not told */
};

/*
 * Notes one header line as curl hands it over ("Name: value\r\n", not terminated). What is not
 * understood, or too long, is passed over. `now` is for dates.
 */
void headers_note(struct headers *h, const char *line, size_t len, int64_t now);

/* Starts anew, for the next response. */
void headers_done(struct headers *h);

/* The validator for If-Range: a strong ETag, else the date of the last change, else NULL. */
const char *headers_range_validator(const struct headers *h);

#endif
