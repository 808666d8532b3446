/* SPDX-License-Identifier: Apache-2.0 */
/* What a registry asks for: the Bearer challenge of a WWW-Authenticate header (RFC 9110, 11.6.1).
 */
#ifndef APPC_FETCH_OCI_CHALLENGE_H
#define APPC_FETCH_OCI_CHALLENGE_H

#include <stdbool.h>

/* Members that were not given are NULL. Zero-initialise; oci_challenge_done() releases it. */
struct oci_challenge {
    char *realm; /* URL of the token service */
    char *service;
    char *scope;
    char *error;
};

/*
 * Finds the first Bearer challenge with a realm in the value of the header, which may hold several
 * challenges. false when there is none or the header makes no sense.
 */
bool oci_challenge_parse(const char *value, struct oci_challenge *ret);

void oci_challenge_done(struct oci_challenge *c);

#endif
