/* SPDX-License-Identifier: Apache-2.0 */
/* OpenPGP keys: reading, describing, judging. */
#include "fetch/pgp.h"

#include <rnp/rnp_err.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/lazy_rnp.h"
#include "fetch/net.h"
#include "fetch/quiet.h"
#include "schema/value.h"

#define USERS_MAX     16
#define USER_TEXT_MAX 256

static void rnp_textp(char **s)
{
    lazy_rnp_buffer_destroy(*s);
}

static void rnp_keyp(rnp_key_handle_t *k)
{
    lazy_rnp_key_handle_destroy(*k);
}

static void rnp_ffip(rnp_ffi_t *f)
{
    lazy_rnp_ffi_destroy(*f);
}

static void rnp_iteratorp(rnp_identifier_iterator_t *i)
{
    lazy_rnp_identifier_iterator_destroy(*i);
}

#define cleanup_text __attribute__((cleanup(rnp_textp)))
#define cleanup_key  __attribute__((cleanup(rnp_keyp)))

rnp_ffi_t pgp_new(void)
{
    rnp_ffi_t ffi = NULL;
    net_global_init();
    lazy_rnp();
    if (lazy_rnp_ffi_create(&ffi, "GPG", "GPG") != RNP_SUCCESS)
        die_oom();
    return ffi;
}

int pgp_load(rnp_ffi_t ffi, const char *data, size_t len, const char *name, struct err *err)
{
    rnp_input_t in = NULL;
    if (len == 0)
        return err_set(err, 0, "%s is empty", name);
    if (lazy_rnp_input_from_memory(&in, (const uint8_t *)data, len, false) != RNP_SUCCESS)
        die_oom();
    quiet_begin();
    rnp_result_t r = lazy_rnp_load_keys(ffi, "GPG", in, RNP_LOAD_SAVE_PUBLIC_KEYS);
    quiet_end();
    lazy_rnp_input_destroy(in);
    if (r != RNP_SUCCESS)
        return err_set(err, 0, "%s holds no OpenPGP public key", name);
    return 0;
}

/* What 112 bits of security ask for, as NIST SP 800-57 counts. */
static char *weak_algorithm(const char *alg, uint32_t bits, uint32_t qbits)
{
    if (strcmp(alg, "RSA") == 0 && bits >= 2048)
        return NULL;
    if (strcmp(alg, "DSA") == 0 && bits >= 2048 && qbits >= 224)
        return NULL;
    if ((strcmp(alg, "ECDSA") == 0 || strcmp(alg, "EDDSA") == 0) && bits >= 224)
        return NULL;
    return xasprintf("is too weak (%s %u)", alg, bits);
}

static char *algorithm_of(rnp_key_handle_t key)
{
    cleanup_text char *alg = NULL, *curve = NULL;
    uint32_t bits = 0;
    if (lazy_rnp_key_get_alg(key, &alg) != RNP_SUCCESS)
        return xstrdup("unknown");
    if (lazy_rnp_key_get_curve(key, &curve) == RNP_SUCCESS)
        return xasprintf("%s %s", alg, curve);
    (void)lazy_rnp_key_get_bits(key, &bits);
    return xasprintf("%s %u", alg, bits);
}

static char *own_problem(rnp_key_handle_t key)
{
    cleanup_text char *alg = NULL;
    uint32_t bits = 0, qbits = 0;
    bool revoked = true, expired = true;
    if (lazy_rnp_key_get_alg(key, &alg) != RNP_SUCCESS)
        return xstrdup("has an unknown algorithm");
    (void)lazy_rnp_key_get_bits(key, &bits);
    (void)lazy_rnp_key_get_dsa_qbits(key, &qbits);
    if (lazy_rnp_key_is_revoked(key, &revoked) != RNP_SUCCESS || revoked)
        return xstrdup("is revoked");
    if (lazy_rnp_key_is_expired(key, &expired) != RNP_SUCCESS || expired)
        return xstrdup("has expired");
    return weak_algorithm(alg, bits, qbits);
}

char *pgp_key_problem(rnp_ffi_t ffi, rnp_key_handle_t key)
{
    cleanup_text char *primary_fpr = NULL;
    cleanup_key rnp_key_handle_t primary = NULL;
    bool sub = false, valid = false, primary_valid = false;
    char *problem = own_problem(key);
    if (problem)
        return problem;
    if (lazy_rnp_key_is_sub(key, &sub) == RNP_SUCCESS && sub) {
        if (lazy_rnp_key_get_primary_fprint(key, &primary_fpr) != RNP_SUCCESS ||
            lazy_rnp_locate_key(ffi, "fingerprint", primary_fpr, &primary) != RNP_SUCCESS ||
            !primary)
            return xstrdup("is a subkey without its primary key");
        problem = own_problem(primary);
        if (problem) {
            char *longer = xasprintf("belongs to the key %s, which %s", primary_fpr, problem);
            free(problem);
            return longer;
        }
        if (lazy_rnp_key_is_valid(primary, &primary_valid) != RNP_SUCCESS || !primary_valid)
            return xstrdup("belongs to a key that is not valid");
    }
    if (lazy_rnp_key_is_valid(key, &valid) != RNP_SUCCESS || !valid)
        return xstrdup("is not valid: it has no good signature of its own, or only weak ones");
    return NULL;
}

bool pgp_hash_strong(const char *name)
{
    static const char *const strong[] = {"SHA256", "SHA384", "SHA512", "SHA3-256", "SHA3-512"};
    for (size_t i = 0; i < ARRAY_SIZE(strong); i++)
        if (strcmp(name, strong[i]) == 0)
            return true;
    return false;
}

bool pgp_fingerprint(const char *text, char out[PGP_FPR_MAX + 1])
{
    size_t n = 0;
    if (str_starts(text, "0x"))
        text += 2;
    for (; *text; text++) {
        char c = *text >= 'A' && *text <= 'F' ? (char)(*text - 'A' + 'a') : *text;
        if (c == ' ' || c == ':')
            continue;
        if ((!is_digit(c) && (c < 'a' || c > 'f')) || n == PGP_FPR_MAX)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    return n == 40 || n == 64;
}

char *pgp_fingerprint_pretty(const char *fingerprint)
{
    size_t n = strlen(fingerprint), k = 0;
    char *out = xmalloc(n + n / 4 + 1);
    for (size_t i = 0; i < n; i++) {
        if (i && i % 4 == 0)
            out[k++] = ' ';
        out[k++] = fingerprint[i];
    }
    out[k] = '\0';
    return out;
}

/* User IDs come from the key's maker, who need not be a friend of terminals. */
static void add_user(struct pgp_key *k, const char *uid)
{
    cleanup_free char *text = xstrndup(uid, USER_TEXT_MAX);
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '?';
    ac_strings_add(&k->users, text);
}

static void take_users(struct pgp_key *k, rnp_key_handle_t key)
{
    size_t n = 0;
    (void)lazy_rnp_key_get_uid_count(key, &n);
    for (size_t i = 0; i < n && k->users.n < USERS_MAX; i++) {
        cleanup_text char *uid = NULL;
        rnp_uid_handle_t handle = NULL;
        bool valid = false, revoked = true;
        if (lazy_rnp_key_get_uid_handle_at(key, i, &handle) != RNP_SUCCESS)
            continue;
        (void)lazy_rnp_uid_is_valid(handle, &valid);
        (void)lazy_rnp_uid_is_revoked(handle, &revoked);
        if (valid && !revoked && lazy_rnp_key_get_uid_at(key, i, &uid) == RNP_SUCCESS)
            add_user(k, uid);
        lazy_rnp_uid_handle_destroy(handle);
    }
}

static char *export(rnp_key_handle_t key)
{
    rnp_output_t out = NULL;
    uint8_t *data = NULL;
    size_t len = 0;
    char *text = NULL;
    if (lazy_rnp_output_to_memory(&out, PGP_KEYS_BYTES_MAX * 2) != RNP_SUCCESS)
        die_oom();
    if (lazy_rnp_key_export(key, out,
                            RNP_KEY_EXPORT_ARMORED | RNP_KEY_EXPORT_PUBLIC |
                                RNP_KEY_EXPORT_SUBKEYS) == RNP_SUCCESS &&
        lazy_rnp_output_memory_get_buf(out, &data, &len, false) == RNP_SUCCESS)
        text = xstrndup((const char *)data, len);
    lazy_rnp_output_destroy(out);
    return text;
}

static int describe(rnp_ffi_t ffi, rnp_key_handle_t key, const char *name, struct pgp_keys *keys,
                    struct err *err)
{
    cleanup_text char *fpr = NULL;
    uint32_t created = 0, lifetime = 0;
    if (keys->n == PGP_KEYS_MAX)
        return err_set(err, 0, "%s holds more than %d keys", name, PGP_KEYS_MAX);
    keys->v = xreallocarray(keys->v, keys->n + 1, sizeof(*keys->v));
    struct pgp_key *k = &keys->v[keys->n++];
    *k = (struct pgp_key){0};
    if (lazy_rnp_key_get_fprint(key, &fpr) != RNP_SUCCESS || !pgp_fingerprint(fpr, k->fingerprint))
        return err_set(err, 0, "%s holds a key without a fingerprint that is known here", name);
    k->algorithm = algorithm_of(key);
    (void)lazy_rnp_key_get_creation(key, &created);
    (void)lazy_rnp_key_get_expiration(key, &lifetime);
    k->created = created;
    k->expires = lifetime ? (int64_t)created + lifetime : 0;
    k->problem = pgp_key_problem(ffi, key);
    take_users(k, key);
    k->armored = export(key);
    if (!k->armored)
        return err_set(err, 0, "%s holds the key %s, which can't be written", name, k->fingerprint);
    return 0;
}

static int describe_all(rnp_ffi_t ffi, const char *name, struct pgp_keys *keys, struct err *err)
{
    __attribute__((cleanup(rnp_iteratorp))) rnp_identifier_iterator_t it = NULL;
    const char *fpr = NULL;
    if (lazy_rnp_identifier_iterator_create(ffi, &it, "fingerprint") != RNP_SUCCESS)
        die_oom();
    while (lazy_rnp_identifier_iterator_next(it, &fpr) == RNP_SUCCESS && fpr) {
        cleanup_key rnp_key_handle_t key = NULL;
        bool primary = false;
        if (lazy_rnp_locate_key(ffi, "fingerprint", fpr, &key) != RNP_SUCCESS || !key)
            continue;
        if (lazy_rnp_key_is_primary(key, &primary) == RNP_SUCCESS && primary &&
            describe(ffi, key, name, keys, err) < 0)
            return -1;
    }
    return keys->n ? 0 : err_set(err, 0, "%s holds no OpenPGP public key", name);
}

int pgp_keys_read(const char *data, size_t len, const char *name, struct pgp_keys *ret,
                  struct err *err)
{
    cleanup_with(pgp_keys_done) struct pgp_keys keys = {0};
    __attribute__((cleanup(rnp_ffip))) rnp_ffi_t ffi = pgp_new();
    if (len > PGP_KEYS_BYTES_MAX)
        return err_set(err, 0, "%s is larger than %u bytes", name, PGP_KEYS_BYTES_MAX);
    if (memmem(data, len, "PRIVATE KEY BLOCK", 17))
        return err_set(err, 0, "%s holds a secret key, which should not leave its owner", name);
    quiet_begin();
    int r = pgp_load(ffi, data, len, name, err) < 0 ? -1 : describe_all(ffi, name, &keys, err);
    quiet_end();
    if (r < 0)
        return -1;
    *ret = keys;
    keys = (struct pgp_keys){0};
    return 0;
}

void pgp_keys_done(struct pgp_keys *k)
{
    for (size_t i = 0; i < k->n; i++) {
        free(k->v[i].algorithm);
        ac_strings_done(&k->v[i].users);
        free(k->v[i].problem);
        free(k->v[i].armored);
    }
    free(k->v);
    *k = (struct pgp_keys){0};
}
