/* SPDX-License-Identifier: Apache-2.0 */
/* Image references, as users type them: a file, an ID, a prefix of it, a name with labels. */
#ifndef APPC_HOST_IMAGE_IMGREF_H
#define APPC_HOST_IMAGE_IMGREF_H

#include <stdint.h>

#include "schema/manifest.h"

struct err;

enum imgref_kind {
    IMGREF_FILE, /* a path: begins with "/", "./", "../" or "file://", or ends in ".aci" */
    IMGREF_URL,  /* begins with a scheme and "://", but for file: */
    IMGREF_ID,   /* "sha512-" and 1 to 128 hex digits: a whole ID or a prefix */
    IMGREF_NAME, /* NAME[:VERSION][,LABEL=VALUE]… */
};

struct imgref {
    enum imgref_kind kind;
    char *text;             /* the path, the URL, the ID in lower case, or the name alone */
    struct ac_pairs labels; /* IMGREF_NAME: what was asked for; a version is a label */
};

/* Reads a reference (DISC-30, DISC-32); 0 with *ret (imgref_done()), or -1. Looks at no file. */
int imgref_parse(const char *text, struct imgref *ret, struct err *err);

void imgref_done(struct imgref *r);

/*
 * Which of two images that fit is the better one: positive for a. First the one that runs here (os
 * and arch are this host's or absent, SIG-06), then the higher semantic version (one that is
 * none, or no version, is lowest), then the later import (IMG-29).
 */
int imgref_better(const struct ac_pairs *a, int64_t imported_a, const struct ac_pairs *b,
                  int64_t imported_b);

/* This host's os and arch as labels call them, such as "linux" and "amd64". */
#define IMGREF_HOST_OS "linux"
const char *imgref_host_arch(void);

#endif
