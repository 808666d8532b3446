/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 as a client with a short patience: one kept connection, one request at a time. */
#ifndef APPC_VALIDATOR_HTTP_H
#define APPC_VALIDATOR_HTTP_H

#include <stddef.h>
#include <stdint.h>

struct response {
    int status;
    char type[128]; /* Content-Type as sent, "" without one */
    char *body;     /* NUL-terminated; lives until the program ends */
    size_t len;
    uint64_t us; /* from the begin of the request to the last byte */
};

/*
 * Asks `base` (http://ADDRESS[:PORT]/PREFIX) for `path`; form NULL is a GET, else a POST of that
 * form. Returns NULL, or one sentence on why there is no answer in time.
 */
const char *http_request(const char *base, const char *path, const char *form,
                         struct response *ret);

#endif
