/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of images: which os and arch exist, and which image satisfies a request. */
#ifndef APPC_SCHEMA_LABEL_H
#define APPC_SCHEMA_LABEL_H

#include "schema/manifest.h"

/* Most labels in one list; matching is quadratic. */
#define AC_LABELS_MAX 1024

enum ac_os_arch {
    AC_OS_ARCH_OK,       /* a pair of the table, or nothing that could be wrong */
    AC_OS_ARCH_BAD_OS,   /* the os is unknown (or "") */
    AC_OS_ARCH_BAD_ARCH, /* the os is known and doesn't come with this arch */
};

/*
 * Checks the labels os and arch, either NULL when absent, against the pairs
 * that appc 0.8.11 knows. An arch without an os means nothing and passes.
 */
enum ac_os_arch ac_os_arch_check(const char *os, const char *arch);

/* "linux, freebsd, darwin", or the arches of a known os, for messages. */
const char *ac_os_names(void);
const char *ac_arch_names(const char *os);

/*
 * Whether an image whose labels are `have` satisfies `wanted`: each wanted
 * label is there with the same value; labels that are not mentioned are
 * wildcards (spec/aci.md, "Dependency Matching").
 */
bool ac_labels_match(const struct ac_pairs *wanted, const struct ac_pairs *have);

/*
 * Whether a machine with this os and arch can run the image: labels that it
 * lacks mean that it doesn't depend on them (IMG-30, IMG-33).
 */
bool ac_labels_run_on(const struct ac_pairs *labels, const char *os, const char *arch);

#endif
