/* SPDX-License-Identifier: Apache-2.0 */
/* URL templates of image discovery, and prefixes that say for which names they are meant. */
#ifndef APPC_FETCH_TEMPLATE_H
#define APPC_FETCH_TEMPLATE_H

#include <stdbool.h>

#include "schema/manifest.h"

/*
 * Whether a tag or a key with this prefix is meant for the image name: they are equal, or the
 * name goes on with "/" behind the prefix, which may end in "/" itself (DISC-06, DISC-21).
 */
bool template_prefix_matches(const char *prefix, const char *name);

enum template_result {
    TEMPLATE_OK,
    TEMPLATE_NO_EXT,   /* no {ext}: image and signature could not be told apart (DISC-05) */
    TEMPLATE_LEFTOVER, /* a variable without a value, or an operator of RFC 6570 (DISC-09, DISC-22)
                        */
    TEMPLATE_TOO_LONG,
};

/*
 * Puts the name and the labels into the template: {name} as it is, {ext} by "aci" and "aci.asc",
 * any other {label} by the label's value, whose reserved characters are percent-encoded as in RFC
 * 6570's simple expansion. A version that is missing or empty becomes "latest" (DISC-10). On
 * TEMPLATE_OK the caller frees both URLs.
 */
enum template_result template_expand(const char *template, const char *name,
                                     const struct ac_pairs *labels, char **ret_image,
                                     char **ret_signature);

/* What is wrong with it, for people. */
const char *template_result_text(enum template_result r);

#endif
