/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for: telling requests apart, and judging what came. For the fetch library itself.
 */
#ifndef APPC_FETCH_WANT_H
#define APPC_FETCH_WANT_H

#include "fetch/fetch.h"

/* The same for two requests exactly when one answer serves both; the caller frees. */
char *want_key(const struct fetch_want *w);

/* The labels that go into templates: those asked for, then os and arch of the machine. */
void want_template_labels(const struct fetch_want *w, const char *os, const char *arch,
                          struct ac_pairs *ret);

/*
 * Whether the image is what was asked for (SIG-03 to SIG-07, DEP-02, A15): name, labels, ID. os and
 * arch that nobody asked for by name may be missing from the image; if they are there, they have to
 * be this machine's, except for dependencies. 0, or -1 with *err.
 */
int want_check(const struct fetch_want *w, const char *os, const char *arch, const char *image_id,
               const struct ac_image_manifest *m, struct err *err);

#endif
