/* SPDX-License-Identifier: Apache-2.0 */
/* The App Container Image as an archive: names, magic numbers, image IDs (spec/aci.md). */
#ifndef APPC_HOST_IMAGE_ACI_H
#define APPC_HOST_IMAGE_ACI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define ACI_ID_PREFIX  "sha512-"
#define ACI_DIGEST_LEN 64                                               /* bytes of a SHA-512 */
#define ACI_ID_LEN     (sizeof(ACI_ID_PREFIX) - 1 + 2 * ACI_DIGEST_LEN) /* without the NUL */
#define ACI_TAR_BLOCK  512

/* An image ID in its text form; an array in a structure so that it can be copied. */
struct aci_id {
    char text[ACI_ID_LEN + 1];
};

/* Writes the ID of a digest. */
void aci_id_set(struct aci_id *id, const uint8_t digest[ACI_DIGEST_LEN]);

/* Whether s is a whole image ID: "sha512-" and 128 lower-case hex digits. */
bool aci_id_valid(const char *s);

/* Whether s is "sha512-" and 1 to 128 hex digits: a user may type a prefix. */
bool aci_id_is_prefix(const char *s);

enum aci_compress { ACI_NONE, ACI_GZIP, ACI_BZIP2, ACI_XZ, ACI_ZSTD };

/* What the first bytes of a file say it is. */
enum aci_kind {
    ACI_KIND_TAR,        /* an uncompressed tar with the magic of ustar, pax or GNU */
    ACI_KIND_COMPRESSED, /* one of enum aci_compress */
    ACI_KIND_ENCRYPTED,  /* an OpenPGP message, binary or armored */
    ACI_KIND_SIGNATURE,  /* an armored OpenPGP signature: .aci.asc instead of .aci */
    ACI_KIND_OTHER,
};

#define ACI_SNIFF_LEN 512

/* Looks at the first `len` bytes (ACI_SNIFF_LEN are enough) of a file; never at its name (IMG-13).
 */
enum aci_kind aci_sniff(const void *data, size_t len, enum aci_compress *ret_compress);

/* 0 when the kind can be read, else -1 with the message that says why not. `name` is for the
 * message. */
int aci_check_kind(enum aci_kind kind, const char *name, struct err *err);

/* "gzip|xz|bzip2|zstd|none" for option tables, and the value of a word of it. */
#define ACI_COMPRESS_CHOICES "gzip|xz|bzip2|zstd|none"
enum aci_compress aci_compress_from_name(const char *name);

#endif
