/* SPDX-License-Identifier: Apache-2.0 */
/* Identities of pods: HMAC-SHA512 with OpenSSL. */
#include "mds/identity.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/err.h"

#define MAC_SIZE 64

/* Separates pod keys from anything else that may once be derived; the NUL belongs to it. */
static const char pod_key_label[] = "appc-vm pod key 1";

static int fail(struct err *err)
{
    return err_set(err, 0, "OpenSSL can't compute HMAC-SHA512");
}

/* HMAC of a || b. */
static int hmac(struct identity *id, const uint8_t key[MAC_SIZE], const void *a, size_t alen,
                const void *b, size_t blen, uint8_t ret[MAC_SIZE])
{
    size_t len;
    return EVP_MAC_init(id->hmac, key, MAC_SIZE, NULL) && EVP_MAC_update(id->hmac, a, alen) &&
                   EVP_MAC_update(id->hmac, b, blen) &&
                   EVP_MAC_final(id->hmac, ret, &len, MAC_SIZE) && len == MAC_SIZE
               ? 0
               : -1;
}

int identity_init(struct identity *id, const uint8_t master[IDENTITY_MASTER_SIZE], struct err *err)
{
    char digest[] = "SHA512";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    /* No configuration file of the host decides what a signature is. */
    OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    if (!ctx || !EVP_MAC_CTX_set_params(ctx, params)) {
        EVP_MAC_CTX_free(ctx);
        return fail(err);
    }
    memcpy(id->master, master, sizeof(id->master));
    id->hmac = ctx;
    return 0;
}

void identity_done(struct identity *id)
{
    EVP_MAC_CTX_free(id->hmac);
    OPENSSL_cleanse(id, sizeof(*id));
}

int identity_sign(struct identity *id, const uint8_t uuid[AC_UUID_SIZE], const void *content,
                  size_t len, char ret[IDENTITY_SIGNATURE_TEXT], struct err *err)
{
    uint8_t key[MAC_SIZE], mac[MAC_SIZE];
    int r = hmac(id, id->master, pod_key_label, sizeof(pod_key_label), uuid, AC_UUID_SIZE, key);
    if (r == 0)
        r = hmac(id, key, uuid, AC_UUID_SIZE, content, len, mac);
    OPENSSL_cleanse(key, sizeof(key));
    if (r < 0)
        return fail(err);
    EVP_EncodeBlock((unsigned char *)ret, mac, sizeof(mac));
    return 0;
}

int identity_verify(struct identity *id, const uint8_t uuid[AC_UUID_SIZE], const void *content,
                    size_t len, const char *signature, size_t signature_len, bool *ret_valid,
                    struct err *err)
{
    char expected[IDENTITY_SIGNATURE_TEXT];
    if (identity_sign(id, uuid, content, len, expected, err) < 0)
        return -1;
    *ret_valid = signature_len == IDENTITY_SIGNATURE_LEN &&
                 CRYPTO_memcmp(signature, expected, IDENTITY_SIGNATURE_LEN) == 0;
    return 0;
}
