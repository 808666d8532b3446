/* SPDX-License-Identifier: Apache-2.0 */
/* What the sources of OCI images share. For fetch/oci itself. */
#ifndef APPC_FETCH_OCI_SOURCE_H
#define APPC_FETCH_OCI_SOURCE_H

#include "fetch/job.h"
#include "fetch/oci/oci.h"
#include "fetch/oci/ref.h"

/* An image on its way. */
struct oci_job {
    struct job *j;
    struct oci_ref ref;
    char *text; /* the reference in full: for messages and the origin */
    char *key;  /* the same with the name that the image is to have: for records */
    struct oci_image image;
};

/*
 * Takes the config: it has to be for this machine, with one diff ID for each of the `nlayers`
 * layers. 0 when the store has the image that it became earlier, which is taken then; 1 when it
 * has not; -1.
 */
int oci_take_config(struct oci_job *o, const char *text, size_t len, size_t nlayers,
                    struct err *err);

/* From a layout or an archive on this machine: up to the image's import. */
int oci_local_fetch(struct oci_job *o, struct err *err);

/* From a registry. */
int oci_registry_fetch(struct oci_job *o, struct err *err);

/* Imports the image when its layers are all there. */
int oci_import(struct oci_job *o, struct err *err);

/* The bytes of a small blob are compared with the descriptor; `what` is for the message. */
int oci_check_blob(const struct oci_descriptor *d, const char *text, size_t len, const char *what,
                   struct err *err);

/* Layers that this program could not read are refused before they are fetched. */
int oci_check_layers(const struct oci_document *manifest, const char *what, struct err *err);

/* The manifest in an index for this machine, or an error that says which there are. */
int oci_choose(struct oci_job *o, const struct oci_document *index, const char *what,
               const struct oci_descriptor **ret, struct err *err);

#define OCI_INDEX_DEPTH 3 /* an index of indexes of … */

#endif
