/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading an application/x-www-form-urlencoded body piece by piece.
 *
 * libmicrohttpd has a parser for it that forgives too much for content that is to be signed: a
 * zero byte silently ends a value, a line break ends the form, and a cut-off escape vanishes. Here
 * what is signed is what was posted, or the request is refused.
 */
#ifndef APPC_MDS_FORM_H
#define APPC_MDS_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

#define FORM_NAME_MAX                                                                              \
    32 /* of fields that somebody asks for; longer names are of unknown fields                     \
        */

/* A field that the form may have. Fields of other names are read and dropped. */
struct form_field {
    const char *name;
    size_t max; /* bytes of the decoded value */
    bool given;
    struct buf value; /* decoded; may hold zero bytes */
};

enum form_state {
    FORM_OK,
    FORM_BAD,       /* not a form: bad escape, raw control character or space, a field twice */
    FORM_TOO_LARGE, /* a value is longer than its field allows */
};

/* The caller sets `fields` (zeroed but for name and max) and `nfields`; form_done() releases. */
struct form {
    struct form_field *fields;
    size_t nfields;
    enum form_state state; /* sticks at the first fault */
    /* Where the reader is: in a name or a value, and how much of an escape it has seen. */
    struct form_field *field; /* of the value; NULL: unknown */
    bool in_value;
    unsigned escape; /* 0 none, 1 behind "%", 2 behind its first digit */
    unsigned char high;
    char name[FORM_NAME_MAX + 1];
    size_t name_len; /* counts on behind FORM_NAME_MAX */
};

/* Reads the next bytes of the body; the new state. */
enum form_state form_feed(struct form *f, const char *data, size_t len);

/* The body has ended; the final state. */
enum form_state form_end(struct form *f);

/* The field called `name`, which must be one of the table. */
const struct form_field *form_get(const struct form *f, const char *name);

/* Bytes that the values hold together. */
size_t form_size(const struct form *f);

/* Releases the values; the table stays the caller's. */
void form_done(struct form *f);

#endif
