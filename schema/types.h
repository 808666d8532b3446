/* SPDX-License-Identifier: Apache-2.0 */
/* The scalar types of the App Container specification (spec/types.md). */
#ifndef APPC_SCHEMA_TYPES_H
#define APPC_SCHEMA_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * AC Identifier and AC Name by the regular expressions of the specification,
 * which are stricter than the reference code: "a/../b" is no identifier. One
 * thing more is allowed, "~" right after "/": the specification's own example
 * of an identifier has it (example.com/~user/app_v1).
 */
bool ac_identifier_valid(const char *s);
bool ac_name_valid(const char *s);

/*
 * Makes a valid name out of any text: lower case, runs of what is not allowed
 * become one "-", the ends are trimmed. The caller frees; NULL when nothing is
 * left.
 */
char *ac_identifier_sanitise(const char *s);
char *ac_name_sanitise(const char *s);

#define AC_IMAGE_ID_PREFIX "sha512-"
#define AC_IMAGE_ID_DIGITS 128
#define AC_IMAGE_ID_LEN    (sizeof(AC_IMAGE_ID_PREFIX) - 1 + AC_IMAGE_ID_DIGITS)

/* "sha512-" and exactly 128 hex digits of either case. */
bool ac_image_id_valid(const char *s);

/* The same with lower-case digits, NULL when it is no image ID; the caller frees. */
char *ac_image_id_canonical(const char *s);

/*
 * What a user may type for an ID: "sha512-" and 1 to 128 hex digits, in lower
 * case; NULL when it can't be the start of an ID. The caller frees. Manifests
 * always hold whole IDs.
 */
char *ac_image_id_prefix(const char *s);

/* Semantic version 2.0.0 to the letter: three numbers, no leading zeros, no "v". */
bool ac_semver_valid(const char *s);

/*
 * Precedence of two valid semantic versions: negative, 0 or positive. Build
 * metadata does not count; numbers of any length compare right.
 */
int ac_semver_compare(const char *a, const char *b);

/*
 * How the major version of `v` relates to that of `ours` (both valid):
 * negative when it is lower, 0 when manifests are compatible, positive when
 * higher.
 */
int ac_semver_series(const char *v, const char *ours);

/*
 * A date-time of RFC 3339 with a capital T, an offset or a capital Z, seconds
 * up to 59 and an existing day; any number of fractional digits.
 */
bool ac_date_valid(const char *s);

#define AC_UUID_SIZE 16 /* bytes */
#define AC_UUID_TEXT 37 /* 8-4-4-4-12 and a NUL */

/*
 * Reads 32 hex digits of either case with dashes anywhere; 0, or -1 and
 * nothing written. The all-zero UUID counts as unset and is refused.
 */
int ac_uuid_parse(const char *s, uint8_t ret[AC_UUID_SIZE]);

/* The canonical lower-case form. */
void ac_uuid_format(const uint8_t uuid[AC_UUID_SIZE], char out[AC_UUID_TEXT]);

/* Makes 16 random bytes a version 4 UUID of RFC 4122. */
void ac_uuid_v4(const uint8_t random[AC_UUID_SIZE], uint8_t ret[AC_UUID_SIZE]);

/* An absolute URL with a host whose scheme is http or https, in any case. */
bool ac_url_valid(const char *s);

/* A name of an environment variable: [A-Za-z_][A-Za-z0-9_.-]*. */
bool ac_env_name_valid(const char *s);

/*
 * The path without "//", "." and ".." (which stays at the root), absolute and
 * without a slash at the end; the caller frees. Looks at no file system.
 */
char *ac_path_clean(const char *path);

#endif
