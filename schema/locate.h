/* SPDX-License-Identifier: Apache-2.0 */
/* Line and column of the value at a JSON path in the text, as the parser keeps none. */
#ifndef APPC_SCHEMA_LOCATE_H
#define APPC_SCHEMA_LOCATE_H

#include <stddef.h>

/* One step down from a value: into the member called `key`, or when that is NULL to an element. */
struct locate_step {
    const char *key; /* spelt as in the document after its escapes were resolved */
    size_t index;
};

/*
 * Finds the value that `n` steps lead to from the top of `text`; of several
 * members with the same name the last one counts, as in the parsed tree. When
 * a step leads nowhere, the position is that of the value before it. Line and
 * column count from 1, the column in characters. Takes any bytes, reads each
 * at most n + 2 times, and doesn't recurse.
 */
void locate(const char *text, size_t len, const struct locate_step *steps, size_t n,
            size_t *ret_line, size_t *ret_column);

/* Line and column of the byte at `offset`. */
void locate_offset(const char *text, size_t offset, size_t *ret_line, size_t *ret_column);

#endif
