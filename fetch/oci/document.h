/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON documents of OCI and Docker images: index, manifest, config, and docker save's
 * manifest.json. Everything in them is hostile; sizes and numbers are bounded here.
 */
#ifndef APPC_FETCH_OCI_DOCUMENT_H
#define APPC_FETCH_OCI_DOCUMENT_H

#include <stddef.h>
#include <stdint.h>

#include "schema/manifest.h"

struct err;

#define OCI_DOCUMENT_MAX (4u << 20)   /* bytes of an index, manifest or config */
#define OCI_ENTRIES_MAX  4096         /* manifests of an index, images of an archive */
#define OCI_LAYERS_MAX   256          /* layers of an image */
#define OCI_SIZE_MAX     (1ull << 50) /* what a descriptor may declare */

/* Names a blob (image-spec, descriptor.md). The digest is valid; what was not given is NULL. */
struct oci_descriptor {
    char *media_type;
    char *digest;
    uint64_t size;
    char *ref_name; /* annotation org.opencontainers.image.ref.name */
    char *os, *arch, *variant;
};

/* An index (Docker: manifest list) or the manifest of one image. */
struct oci_document {
    bool index;
    struct oci_descriptor *v; /* index: its manifests; manifest: its layers, the lowest first */
    size_t n;
    struct oci_descriptor config; /* of a manifest */
};

/*
 * Reads an index or a manifest, whichever it is (image-index.md, manifest.md; Docker's schema 2).
 * 0 with *ret (oci_document_done()), or -1; `name` is for the message.
 */
int oci_document_parse(const char *text, size_t len, const char *name, struct oci_document *ret,
                       struct err *err);
void oci_document_done(struct oci_document *d);

/*
 * The manifest of an index that runs on this machine (appc's names for os and arch), or NULL. One
 * that says its platform goes before one that does not; the plainest variant before others.
 */
const struct oci_descriptor *oci_document_choose(const struct oci_document *index, const char *os,
                                                 const char *arch);

/* "linux/amd64, linux/arm64", for messages; the caller frees. */
char *oci_document_platforms(const struct oci_document *index);

/* appc's name for an architecture as OCI images call it, NULL when appc has none. */
const char *oci_arch(const char *arch, const char *variant);

/* A config (config.md). Members that were not given are NULL or empty. */
struct oci_config {
    char *os, *arch, *variant;
    char *created, *author;
    char *user, *working_dir, *stop_signal;
    struct ac_strings env, entrypoint, cmd;
    struct ac_strings ports;   /* as written: "80/tcp"; sorted */
    struct ac_strings volumes; /* paths; sorted */
    struct ac_pairs labels;    /* sorted by name */
    struct ac_strings diff_ids;
};

int oci_config_parse(const char *text, size_t len, const char *name, struct oci_config *ret,
                     struct err *err);
void oci_config_done(struct oci_config *c);

/* One image of docker save's manifest.json: names of files in the archive. */
struct oci_saved {
    char *config;
    struct ac_strings tags, layers;
};

struct oci_saved_list {
    struct oci_saved *v;
    size_t n;
};

int oci_saved_parse(const char *text, size_t len, const char *name, struct oci_saved_list *ret,
                    struct err *err);
void oci_saved_done(struct oci_saved_list *l);

#endif
