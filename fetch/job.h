/* SPDX-License-Identifier: Apache-2.0 */
/* One image under way: what image.c and local.c share. For the fetch library itself. */
#ifndef APPC_FETCH_JOB_H
#define APPC_FETCH_JOB_H

#include "fetch/image.h"
#include "fetch/verify.h"

struct job {
    struct fetch_command *cmd;
    size_t number;
    const struct fetch_want *want;
    struct fetch_check *check;
    struct fetch_image *ret;
    struct verify *verify; /* while one is under way */
    const char *url;       /* or path, of what is under way */
    uint64_t done, total;
};

/*
 * Takes the image of the store that the request means: 0, 1 when there is none, or -1. It is
 * checked as a new one is.
 */
int job_take_from_store(struct job *j, const struct fetch_want *want, struct err *err);

/* News for the user. */
void job_tell(struct job *j, enum fetch_stage stage, const char *signer);

/*
 * The bytes in fd are what their signer signed, or nobody asked (signer NULL): decrypts them if
 * that is needed, and imports. The descriptor stays the caller's.
 */
int job_take_verified(struct job *j, int fd, const char *signer, struct err *err);

/* An OCI or Docker image, from wherever (oci/fetch.c). */
int oci_fetch(struct job *j, struct err *err);

/* An archive on this machine, with its signature beside it (local.c). */
int local_fetch(struct job *j, struct err *err);

#endif
