/* SPDX-License-Identifier: Apache-2.0 */
/* References to OCI and Docker images, as users type them. */
#ifndef APPC_FETCH_OCI_REF_H
#define APPC_FETCH_OCI_REF_H

#include <stdbool.h>

struct err;

#define OCI_REF_MAX 4096 /* longest reference */

enum oci_kind {
    OCI_LAYOUT,         /* oci:PATH[:TAG]: a directory (OCI image-spec, image-layout.md) */
    OCI_ARCHIVE,        /* oci-archive:FILE[:TAG]: the same in a tar */
    OCI_DOCKER_ARCHIVE, /* docker-archive:FILE[:NAME[:TAG]]: what `docker save` writes */
    OCI_REGISTRY,       /* docker://[REGISTRY/]NAME[:TAG] (OCI distribution-spec) */
};

/* Each form may end in "@ALGORITHM:HEX", the digest of the manifest or index that is meant. */
struct oci_ref {
    enum oci_kind kind;
    char *path;       /* but for OCI_REGISTRY */
    char *registry;   /* OCI_REGISTRY: host, or host:port, in lower case */
    char *repository; /* OCI_REGISTRY: such as "library/redis" */
    char *tag;        /* NULL: none; never NULL for a registry without a digest */
    char *digest;     /* or NULL */
};

/* Whether the text begins as one of the forms does. */
bool oci_ref_is(const char *text);

/* Reads a reference; 0 with *ret (oci_ref_done()), or -1. Looks at no file. */
int oci_ref_parse(const char *text, struct oci_ref *ret, struct err *err);

/* The reference in full, with the registry and the tag that were left out; the caller frees. */
char *oci_ref_text(const struct oci_ref *r);

/* What people call it: "redis"; of a path, its last element without ".tar"; the caller frees. */
char *oci_ref_leaf(const struct oci_ref *r);

void oci_ref_done(struct oci_ref *r);

#endif
