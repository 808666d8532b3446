/* SPDX-License-Identifier: Apache-2.0 */
/* Inside schema/ only: where UTF-8 is well-formed. */
#ifndef APPC_SCHEMA_UTF8_H
#define APPC_SCHEMA_UTF8_H

#include <stddef.h>

/* Bytes of the well-formed UTF-8 character (RFC 3629) that a non-empty string starts with, or 0. */
size_t utf8_char(const char *s);

#endif
