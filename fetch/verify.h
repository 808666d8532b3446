/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that gets a signature and checks it while the signed file is still being downloaded. */
#ifndef APPC_FETCH_VERIFY_H
#define APPC_FETCH_VERIFY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/err.h"
#include "fetch/growth.h"
#include "fetch/net.h"
#include "fetch/pgp.h"
#include "fetch/trust.h"
#include "fetch/url.h"

struct verify {
    /* Set by the caller before verify_start(); borrowed. */
    struct net *net;
    const struct trust *trust;
    const struct url *url; /* of the signature */
    const char *name;      /* of the image, or NULL */
    const char *what;      /* for messages */
    struct growth *growth;
    int fd;
    bool lazy; /* no request before there is something to verify */

    /* The outcome, after verify_join(). */
    int result; /* 0, or -1 with err */
    char signer[PGP_FPR_MAX + 1];
    struct err err;

    atomic_bool hopeless; /* it failed already: the download need not go on */
    pthread_t thread;
};

void verify_start(struct verify *v);

/* Waits for the outcome; the growth has ended before. */
void verify_join(struct verify *v);

#endif
