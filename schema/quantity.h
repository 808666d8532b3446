/* SPDX-License-Identifier: Apache-2.0 */
/* Resource quantities such as 0.5, 250m, 2G or 123Mi, as integers in base units. */
#ifndef APPC_SCHEMA_QUANTITY_H
#define APPC_SCHEMA_QUANTITY_H

#include <stdint.h>

/* What one unit of the result is. */
enum ac_scale {
    AC_SCALE_UNIT = 0,  /* bytes, operations, bytes a second */
    AC_SCALE_MILLI = 3, /* thousandths: cores */
};

/* Longest text of a quantity. */
#define AC_QUANTITY_MAX 64

/*
 * Reads a decimal number with an optional suffix: n u m, k or K, M G T P E,
 * Ki Mi Gi Ti Pi Ei, or e/E and an exponent (spec/ace.md, "Resource
 * Isolators"). The result is exact and rounds up to the next unit. 0, or -1
 * with *why (a constant sentence part such as "is negative") and *ret
 * untouched: malformed, negative, or beyond INT64_MAX.
 */
int ac_quantity_parse(const char *text, enum ac_scale scale, int64_t *ret, const char **why);

#endif
