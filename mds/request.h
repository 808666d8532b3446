/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request: from its headers over its body to the answer. */
#ifndef APPC_MDS_REQUEST_H
#define APPC_MDS_REQUEST_H

#include <microhttpd.h>

#include "mds/bundle.h"
#include "mds/identity.h"

/* Bodies: what a form needs with every byte escaped, and how much of a longer one is read before
 * the answer 413 so that the client gets to see it. */
#define REQUEST_BODY_MAX  (4 << 20)
#define REQUEST_DRAIN_MAX (16 << 20)

/* Bytes that the forms of all requests together may hold; more are told to come back (503). */
#define REQUEST_FORMS_MAX (32 << 20)

/* What all requests share. */
struct request_context {
    const struct bundle *bundle;
    struct identity *identity;
    size_t forms_size; /* bytes that forms hold now */
};

/*
 * MHD_AccessHandlerCallback with a struct request_context as cls: reads the request and answers
 * it. *state belongs to it until request_free().
 */
enum MHD_Result request_handle(void *cls, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *data,
                               size_t *data_len, void **state);

/* Releases what request_handle() left in *state, which may be NULL. */
void request_free(struct request_context *ctx, void *state);

#endif
