/* SPDX-License-Identifier: Apache-2.0 */
/* A repository of a registry (distribution-spec): its manifests and blobs, and the token for them.
 */
#ifndef APPC_FETCH_OCI_REGISTRY_H
#define APPC_FETCH_OCI_REGISTRY_H

#include <pthread.h>

#include "base/buf.h"
#include "fetch/download.h"
#include "fetch/net.h"

struct err;

#define REGISTRY_TOKEN_MAX (64u << 10) /* bytes of the token service's answer */

/* registry_init() fills it; registry_done() releases it. For several threads. */
struct registry {
    struct net *net;
    const char *host, *repository; /* borrowed */
    bool plain_http;
    pthread_mutex_t lock;
    char *token; /* the latest, or NULL */
};

void registry_init(struct registry *r, struct net *net, const char *host, const char *repository);
void registry_done(struct registry *r);

/* The URL of "manifests/REFERENCE" or "blobs/DIGEST". 0 with *ret (url_done()), or -1. */
int registry_url(const struct registry *r, const char *rest, struct url *ret, struct err *err);

/*
 * A manifest, an index or a config into memory, at most OCI_DOCUMENT_MAX bytes. Asks the token
 * service when the registry wants a token. Where http is allowed, and the registry does not answer
 * https, http is tried, and stays. The caller frees *ret.
 */
int registry_get(struct registry *r, const char *rest, struct buf *ret, struct err *err);

/* download_run() with the token, and once more with a new one when the registry refuses it. */
int registry_download(struct registry *r, struct download *d, struct download_options *opt,
                      struct http_response *response, struct err *err);

/* Reads the token service's answer: the token (the caller wipes and frees), or NULL with *err. */
char *registry_parse_token(const char *text, size_t len, const char *name, struct err *err);

#endif
