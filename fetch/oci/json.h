/* SPDX-License-Identifier: Apache-2.0 */
/* Reading members of the JSON of OCI images. For fetch/oci itself. */
#ifndef APPC_FETCH_OCI_JSON_H
#define APPC_FETCH_OCI_JSON_H

#include <jansson.h>

#include "schema/manifest.h"

struct err;

#define OCI_LIST_MAX 65536 /* strings of one list */

/* Reads a document of at most OCI_DOCUMENT_MAX bytes; the caller decrefs *ret. */
int oci_json_load(const char *text, size_t len, const char *name, json_t **ret, struct err *err);

/* A string member as a copy; NULL when it is absent, null or empty. -1 when it is no string. */
int oci_json_string(const json_t *o, const char *member, const char *name, char **ret,
                    struct err *err);

/* An array of strings; null is an empty one. */
int oci_json_strings(const json_t *o, const char *member, const char *name, struct ac_strings *ret,
                     struct err *err);

/* The member names of an object, sorted; null is an empty one. */
int oci_json_keys(const json_t *o, const char *member, const char *name, struct ac_strings *ret,
                  struct err *err);

/* An object of strings as pairs, sorted by name; null is an empty one. */
int oci_json_pairs(const json_t *o, const char *member, const char *name, struct ac_pairs *ret,
                   struct err *err);

#endif
