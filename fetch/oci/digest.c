/* SPDX-License-Identifier: Apache-2.0 */
/* Digests of OCI content. */
#include "fetch/oci/digest.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"

static const struct {
    const char *prefix;
    size_t digits;
    const EVP_MD *(*md)(void);
} algorithms[] = {
    {"sha256:", 64, EVP_sha256},
    {"sha512:", 128, EVP_sha512},
};

/* Its place in the table, or the table's size. */
static size_t algorithm_of(const char *s)
{
    size_t i = 0;
    while (i < ARRAY_SIZE(algorithms) && !str_starts(s, algorithms[i].prefix))
        i++;
    return i;
}

bool oci_digest_valid(const char *s)
{
    size_t i = algorithm_of(s);
    if (i == ARRAY_SIZE(algorithms))
        return false;
    const char *hex = s + strlen(algorithms[i].prefix);
    return strlen(hex) == algorithms[i].digits &&
           strspn(hex, "0123456789abcdef") == algorithms[i].digits;
}

const EVP_MD *oci_digest_md(const char *digest)
{
    return algorithms[algorithm_of(digest)].md();
}

bool oci_digest_is(const char *digest, const uint8_t *hash)
{
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    hex_encode(hash, (size_t)EVP_MD_size(oci_digest_md(digest)), hex);
    return strcmp(strchr(digest, ':') + 1, hex) == 0;
}

void oci_digest_of(const void *data, size_t len, char out[OCI_DIGEST_MAX + 1])
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned n;
    if (!EVP_Digest(data, len, hash, &n, EVP_sha256(), NULL))
        die_oom();
    memcpy(out, "sha256:", strlen("sha256:"));
    hex_encode(hash, n, out + strlen("sha256:"));
}

bool oci_digest_matches(const char *digest, const void *data, size_t len)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    if (!EVP_Digest(data, len, hash, NULL, oci_digest_md(digest), NULL))
        die_oom();
    return oci_digest_is(digest, hash);
}

struct oci_hasher {
    EVP_MD_CTX *ctx;
    char digest[OCI_DIGEST_MAX + 1];
};

void oci_hasher_reset(struct oci_hasher *h)
{
    if (!EVP_DigestInit_ex(h->ctx, oci_digest_md(h->digest), NULL))
        die_oom();
}

struct oci_hasher *oci_hasher_new(const char *digest)
{
    struct oci_hasher *h = xcalloc(1, sizeof(*h));
    memcpy(h->digest, digest, strnlen(digest, OCI_DIGEST_MAX));
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx)
        die_oom();
    oci_hasher_reset(h);
    return h;
}

void oci_hasher_add(struct oci_hasher *h, const void *data, size_t len)
{
    if (!EVP_DigestUpdate(h->ctx, data, len))
        die_oom();
}

bool oci_hasher_end(struct oci_hasher *h)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    return EVP_DigestFinal_ex(h->ctx, hash, NULL) && oci_digest_is(h->digest, hash);
}

void oci_hasher_free(struct oci_hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}
