/* SPDX-License-Identifier: Apache-2.0 */
/* The App Container Image as an archive: names, magic numbers, image IDs (spec/aci.md). */
#include "host/image/aci.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

void aci_id_set(struct aci_id *id, const uint8_t digest[ACI_DIGEST_LEN])
{
    memcpy(id->text, ACI_ID_PREFIX, sizeof(ACI_ID_PREFIX) - 1);
    hex_encode(digest, ACI_DIGEST_LEN, id->text + sizeof(ACI_ID_PREFIX) - 1);
}

bool aci_id_is_prefix(const char *s)
{
    if (!str_starts(s, ACI_ID_PREFIX))
        return false;
    const char *hex = s + sizeof(ACI_ID_PREFIX) - 1;
    size_t n = strspn(hex, "0123456789abcdef");
    return n >= 1 && n <= 2 * ACI_DIGEST_LEN && hex[n] == '\0';
}

bool aci_id_valid(const char *s)
{
    return strlen(s) == ACI_ID_LEN && aci_id_is_prefix(s);
}

struct magic {
    size_t offset;
    const char *bytes;
    size_t len;
    enum aci_kind kind;
    enum aci_compress compress;
};

#define MAGIC(offset, bytes, kind, compress)                                                       \
    {                                                                                              \
        offset, bytes, sizeof(bytes) - 1, kind, compress                                           \
    }

static const struct magic magics[] = {
    MAGIC(0, "\x1f\x8b", ACI_KIND_COMPRESSED, ACI_GZIP),
    MAGIC(0, "BZh", ACI_KIND_COMPRESSED, ACI_BZIP2),
    MAGIC(0,
          "\xfd"
          "7zXZ\0",
          ACI_KIND_COMPRESSED, ACI_XZ),
    MAGIC(0, "\x28\xb5\x2f\xfd", ACI_KIND_COMPRESSED, ACI_ZSTD),
    MAGIC(257, "ustar", ACI_KIND_TAR, ACI_NONE),
    MAGIC(0, "-----BEGIN PGP MESSAGE-----", ACI_KIND_ENCRYPTED, ACI_NONE),
    MAGIC(0, "-----BEGIN PGP SIGNATURE-----", ACI_KIND_SIGNATURE, ACI_NONE),
};

/*
 * A binary OpenPGP message that was encrypted begins with a session key packet: tag 3 (symmetric)
 * or 1 (public key), in the old or the new packet format (RFC 9580, 4.2), and then its version.
 */
static bool is_openpgp(const uint8_t *p, size_t len)
{
    if (len < 4 || !(p[0] & 0x80))
        return false;
    bool new_format = p[0] & 0x40;
    uint8_t tag = new_format ? p[0] & 0x3f : (p[0] >> 2) & 0x0f;
    size_t version_at = 2;
    if (!new_format && (p[0] & 3) == 1)
        version_at = 3;
    if (new_format && p[1] >= 192)
        version_at = 3;
    uint8_t version = p[version_at];
    return (tag == 3 && version >= 4 && version <= 6) ||
           (tag == 1 && (version == 3 || version == 6));
}

enum aci_kind aci_sniff(const void *data, size_t len, enum aci_compress *ret_compress)
{
    for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
        const struct magic *m = &magics[i];
        if (len < m->offset + m->len ||
            memcmp((const char *)data + m->offset, m->bytes, m->len) != 0)
            continue;
        *ret_compress = m->compress;
        return m->kind;
    }
    *ret_compress = ACI_NONE;
    return is_openpgp(data, len) ? ACI_KIND_ENCRYPTED : ACI_KIND_OTHER;
}

int aci_check_kind(enum aci_kind kind, const char *name, struct err *err)
{
    switch (kind) {
    case ACI_KIND_TAR:
    case ACI_KIND_COMPRESSED:
        return 0;
    case ACI_KIND_ENCRYPTED:
        return err_set(err, 0,
                       "%s is encrypted with OpenPGP, which is not supported; decrypt it first "
                       "(gpg --decrypt)",
                       name);
    case ACI_KIND_SIGNATURE:
        return err_set(err, 0, "%s is a signature; give the .aci file that it signs", name);
    case ACI_KIND_OTHER:
        break;
    }
    return err_set(err, 0,
                   "%s is not an ACI: neither a tar (ustar, pax or GNU) nor compressed with gzip, "
                   "bzip2, xz or zstd",
                   name);
}

enum aci_compress aci_compress_from_name(const char *name)
{
    static const char *const names[] = {
        [ACI_NONE] = "none", [ACI_GZIP] = "gzip", [ACI_BZIP2] = "bzip2",
        [ACI_XZ] = "xz",     [ACI_ZSTD] = "zstd",
    };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i], name) == 0)
            return (enum aci_compress)i;
    return ACI_NONE;
}
