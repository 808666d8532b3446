/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures, trusted keys, decryption; keys and signatures are made with librnp. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "fetch/decrypt.h"
#include "fetch/net.h"
#include "fetch/sig.h"

#define DAY 86400

static const char data[] = "the bytes of an image";

/* Somebody who signs. */
struct maker {
    rnp_ffi_t ffi;
    rnp_key_handle_t key;
    struct pgp_keys keys; /* the public key as appc-vm reads it */
};

static char *export_public(rnp_key_handle_t key)
{
    rnp_output_t out;
    uint8_t *p;
    size_t n;
    assert_int_equal(rnp_output_to_memory(&out, 0), 0);
    assert_int_equal(
        rnp_key_export(key, out,
                       RNP_KEY_EXPORT_ARMORED | RNP_KEY_EXPORT_PUBLIC | RNP_KEY_EXPORT_SUBKEYS),
        0);
    assert_int_equal(rnp_output_memory_get_buf(out, &p, &n, false), 0);
    char *text = xstrndup((char *)p, n);
    rnp_output_destroy(out);
    return text;
}

static void read_back(struct maker *m)
{
    struct err e;
    cleanup_free char *text = export_public(m->key);
    pgp_keys_done(&m->keys);
    if (pgp_keys_read(text, strlen(text), "test", &m->keys, &e) < 0)
        fail_msg("%s", e.msg);
}

static void maker_init(struct maker *m, const char *alg, uint32_t bits, int64_t created,
                       uint32_t lifetime)
{
    rnp_op_generate_t op;
    *m = (struct maker){.ffi = pgp_new()};
    if (created)
        assert_int_equal(rnp_set_timestamp(m->ffi, (uint64_t)created), 0);
    assert_int_equal(rnp_op_generate_create(&op, m->ffi, alg), 0);
    if (bits)
        assert_int_equal(rnp_op_generate_set_bits(op, bits), 0);
    rnp_op_generate_set_userid(op, "Test \x1b[31m <t@example.com>");
    rnp_op_generate_set_expiration(op, lifetime);
    assert_int_equal(rnp_op_generate_execute(op), 0);
    assert_int_equal(rnp_op_generate_get_key(op, &m->key), 0);
    rnp_op_generate_destroy(op);
    read_back(m);
}

static void maker_done(struct maker *m)
{
    pgp_keys_done(&m->keys);
    rnp_key_handle_destroy(m->key);
    rnp_ffi_destroy(m->ffi);
}

struct how {
    const char *hash;
    bool binary, clear;
    uint32_t expires;
    const struct maker *second;
};

static char *sign(struct maker *m, const char *text, struct how how, size_t *ret_len)
{
    rnp_op_sign_t op;
    rnp_input_t in;
    rnp_output_t out;
    uint8_t *p;
    size_t n;
    assert_int_equal(rnp_input_from_memory(&in, (const uint8_t *)text, strlen(text), false), 0);
    assert_int_equal(rnp_output_to_memory(&out, 0), 0);
    if (how.clear) {
        assert_int_equal(rnp_op_sign_cleartext_create(&op, m->ffi, in, out), 0);
    } else {
        assert_int_equal(rnp_op_sign_detached_create(&op, m->ffi, in, out), 0);
        rnp_op_sign_set_armor(op, !how.binary);
    }
    if (how.hash)
        assert_int_equal(rnp_op_sign_set_hash(op, how.hash), 0);
    if (how.expires)
        rnp_op_sign_set_expiration_time(op, how.expires);
    assert_int_equal(rnp_op_sign_add_signature(op, m->key, NULL), 0);
    if (how.second)
        assert_int_equal(rnp_op_sign_add_signature(op, how.second->key, NULL), 0);
    assert_int_equal(rnp_op_sign_execute(op), 0);
    assert_int_equal(rnp_output_memory_get_buf(out, &p, &n, false), 0);
    char *sig = xstrndup((char *)p, n);
    if (how.binary)
        sig = memcpy(xrealloc(sig, n + 1), p, n);
    *ret_len = n;
    rnp_op_sign_destroy(op);
    rnp_input_destroy(in);
    rnp_output_destroy(out);
    return sig;
}

/* A store of trusted keys in memory. */
static void trust_one(struct trust *t, const struct maker *m, const char *prefix)
{
    t->v = xreallocarray(t->v, t->n + 1, sizeof(*t->v));
    struct trust_key *k = &t->v[t->n++];
    *k = (struct trust_key){.prefix = prefix ? xstrdup(prefix) : NULL,
                            .path = xstrdup("test"),
                            .armored = xstrdup(m->keys.v[0].armored)};
    strcpy(k->fingerprint, m->keys.v[0].fingerprint);
}

static int memory_fd(const char *text, size_t len)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, len), 0);
    return fd;
}

static int check(const struct trust *t, const char *sig, size_t len, const char *signed_text,
                 const char *name, struct err *e)
{
    char signer[PGP_FPR_MAX + 1] = "";
    cleanup_close int fd = memory_fd(signed_text, strlen(signed_text));
    *e = (struct err){0};
    int r = sig_check_fd(t, sig, len, fd, name, "x.aci", signer, e);
    if (r == 0)
        assert_true(strlen(signer) == 40);
    return r;
}

static void refuses(const struct trust *t, const char *sig, size_t len, const char *text,
                    const char *name, const char *reason, const struct maker *who)
{
    struct err e;
    assert_int_equal(check(t, sig, len, text, name, &e), -1);
    if (!strstr(e.msg, reason) || (who && !strstr(e.msg, who->keys.v[0].fingerprint)))
        fail_msg("\"%s\" lacks \"%s\" or the fingerprint", e.msg, reason);
}

/* SIG-01, IMG-17, IMG-20 */
static void test_good_and_scopes(void **state)
{
    (void)state;
    struct maker m;
    struct trust t = {0}, none = {0}, root = {0};
    struct err e;
    size_t len;
    maker_init(&m, "EDDSA", 0, 0, 0);
    trust_one(&t, &m, "example.com/a");
    trust_one(&root, &m, NULL);
    cleanup_free char *sig = sign(&m, data, (struct how){0}, &len);
    assert_int_equal(check(&t, sig, len, data, "example.com/a", &e), 0);
    assert_int_equal(check(&t, sig, len, data, "example.com/a/b", &e), 0);
    assert_int_equal(check(&t, sig, len, data, NULL, &e), 0);
    assert_int_equal(check(&root, sig, len, data, "anything", &e), 0);
    refuses(&t, sig, len, data, "example.com/ab", "trusted for example.com/a,", &m);
    refuses(&t, sig, len, data, "example.com", "not for example.com", &m);
    refuses(&none, sig, len, data, NULL, "not trusted", &m);
    refuses(&t, sig, len, "other bytes", "example.com/a", "other bytes", &m);
    trust_done(&t);
    trust_done(&root);
    maker_done(&m);
}

static void test_forms(void **state)
{
    (void)state;
    struct maker m, m2;
    struct trust t = {0};
    size_t len;
    maker_init(&m, "EDDSA", 0, 0, 0);
    maker_init(&m2, "EDDSA", 0, 0, 0);
    trust_one(&t, &m, NULL);
    cleanup_free char *binary = sign(&m, data, (struct how){.binary = true}, &len);
    refuses(&t, binary, len, data, NULL, "binary", NULL);
    cleanup_free char *clear = sign(&m, data, (struct how){.clear = true}, &len);
    refuses(&t, clear, len, data, NULL, "clear-signed", NULL);
    cleanup_free char *two = sign(&m, data, (struct how){.second = &m2}, &len);
    refuses(&t, two, len, data, NULL, "2 signatures", &m);
    cleanup_free char *one = sign(&m, data, (struct how){0}, &len);
    cleanup_free char *twice = xasprintf("%s%s", one, one);
    refuses(&t, twice, strlen(twice), data, NULL, "several", NULL);
    refuses(&t, "", 0, data, NULL, "empty", NULL);
    refuses(&t, "<html>", 6, data, NULL, "web page", NULL);
    refuses(&t, "hello", 5, data, NULL, "not an armoured", NULL);
    refuses(&t, one, len / 2, data, NULL, "damaged", NULL);
    cleanup_free char *key = export_public(m.key);
    refuses(&t, key, strlen(key), data, NULL, "not an armoured", NULL);
    trust_done(&t);
    maker_done(&m);
    maker_done(&m2);
}

static void test_weak(void **state)
{
    (void)state;
    struct maker rsa1, rsa2, dsa;
    struct trust t = {0};
    struct err e;
    size_t len;
    maker_init(&rsa1, "RSA", 1024, 0, 0);
    maker_init(&rsa2, "RSA", 2048, 0, 0);
    maker_init(&dsa, "DSA", 1024, 0, 0);
    trust_one(&t, &rsa1, NULL);
    trust_one(&t, &rsa2, NULL);
    trust_one(&t, &dsa, NULL);
    cleanup_free char *a = sign(&rsa1, data, (struct how){.hash = "SHA256"}, &len);
    refuses(&t, a, len, data, NULL, "too weak (RSA 1024)", &rsa1);
    cleanup_free char *b = sign(&rsa2, data, (struct how){.hash = "SHA256"}, &len);
    assert_int_equal(check(&t, b, len, data, NULL, &e), 0);
    cleanup_free char *c = sign(&rsa2, data, (struct how){.hash = "SHA1"}, &len);
    refuses(&t, c, len, data, NULL, "SHA1", &rsa2);
    cleanup_free char *d = sign(&rsa2, data, (struct how){.hash = "MD5"}, &len);
    refuses(&t, d, len, data, NULL, "MD5", &rsa2);
    cleanup_free char *f = sign(&dsa, data, (struct how){.hash = "SHA256"}, &len);
    refuses(&t, f, len, data, NULL, "too weak (DSA 1024)", &dsa);
    trust_done(&t);
    maker_done(&rsa1);
    maker_done(&rsa2);
    maker_done(&dsa);
}

static void test_expired_and_revoked(void **state)
{
    (void)state;
    struct maker old, revoked, brief;
    struct trust t = {0};
    size_t len;
    int64_t then = time(NULL) - 100 * DAY;
    maker_init(&old, "EDDSA", 0, then, DAY);
    maker_init(&revoked, "EDDSA", 0, 0, 0);
    maker_init(&brief, "EDDSA", 0, then, 0);
    cleanup_free char *a = sign(&old, data, (struct how){0}, &len);
    size_t alen = len;
    cleanup_free char *b = sign(&revoked, data, (struct how){0}, &len);
    size_t blen = len;
    cleanup_free char *c = sign(&brief, data, (struct how){.expires = DAY}, &len);
    assert_int_equal(rnp_key_revoke(revoked.key, 0, NULL, "compromised", NULL), 0);
    read_back(&revoked);
    assert_string_equal(revoked.keys.v[0].problem, "is revoked");
    assert_string_equal(old.keys.v[0].problem, "has expired");
    assert_int_equal(old.keys.v[0].expires, then + DAY);
    trust_one(&t, &old, NULL);
    trust_one(&t, &revoked, NULL);
    trust_one(&t, &brief, NULL);
    refuses(&t, a, alen, data, NULL, "has expired", &old);
    refuses(&t, b, blen, data, NULL, "is revoked", &revoked);
    refuses(&t, c, len, data, NULL, "has expired", &brief);
    trust_done(&t);
    maker_done(&old);
    maker_done(&revoked);
    maker_done(&brief);
}

static ssize_t failing_read(void *arg, void *p, size_t cap)
{
    (void)arg, (void)p, (void)cap;
    return -1;
}

static void test_reader_fails(void **state)
{
    (void)state;
    struct maker m;
    struct trust t = {0};
    struct err e;
    size_t len;
    char signer[PGP_FPR_MAX + 1];
    maker_init(&m, "EDDSA", 0, 0, 0);
    trust_one(&t, &m, NULL);
    cleanup_free char *sig = sign(&m, data, (struct how){0}, &len);
    assert_int_equal(sig_check(&t, sig, len, failing_read, NULL, NULL, "x", signer, &e), -1);
    assert_int_equal(e.errnum, ECANCELED);
    trust_done(&t);
    maker_done(&m);
}

static char *make_dir(void)
{
    char *dir = xstrdup("/tmp/appc-fetch-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return dir;
}

static size_t loaded(const struct config_dirs *dirs)
{
    struct trust t;
    struct err e;
    if (trust_load(dirs, &t, &e) < 0)
        fail_msg("%s", e.msg);
    size_t n = t.n;
    trust_done(&t);
    return n;
}

static void test_trust_store(void **state)
{
    (void)state;
    cleanup_free char *user = make_dir(), *sys = make_dir();
    const char *const both[] = {user, sys}, *const only_sys[] = {sys};
    struct config_dirs dirs, sysdirs;
    struct maker m;
    struct err e;
    maker_init(&m, "EDDSA", 0, 0, 0);
    const struct pgp_key *k = &m.keys.v[0];
    config_dirs_set(&dirs, both, 2);
    config_dirs_set(&sysdirs, only_sys, 1);
    assert_int_equal(loaded(&dirs), 0);
    assert_int_equal(trust_add(&sysdirs, k, "example.com/a", &e), 0);
    assert_int_equal(trust_add(&dirs, k, NULL, &e), 0);
    assert_int_equal(loaded(&dirs), 2);
    struct trust t;
    assert_int_equal(trust_load(&dirs, &t, &e), 0);
    assert_true(trust_allows(&t, k->fingerprint, "other"));
    cleanup_free char *scopes = trust_scopes(&t, k->fingerprint);
    assert_string_equal(scopes, "all names and example.com/a");
    trust_done(&t);
    /* The machine's key is masked by an empty file, the user's own is removed. */
    assert_int_equal(trust_remove(&dirs, k->fingerprint, "example.com/a", &e), 0);
    assert_int_equal(loaded(&dirs), 1);
    assert_int_equal(loaded(&sysdirs), 1);
    assert_int_equal(trust_remove(&dirs, k->fingerprint, "example.com/a", &e), -1);
    assert_int_equal(e.errnum, ENOENT);
    assert_int_equal(trust_remove(&dirs, k->fingerprint, NULL, &e), 0);
    assert_int_equal(loaded(&dirs), 0);
    assert_int_equal(trust_add(&dirs, k, "example.com/a", &e), 0); /* and back */
    assert_int_equal(loaded(&dirs), 1);
    assert_int_equal(trust_add(&dirs, k, "../x", &e), -1);
    cleanup_free char *cmd = xasprintf("rm -rf '%s' '%s'", user, sys);
    assert_int_equal(system(cmd), 0);
    config_dirs_done(&dirs);
    config_dirs_done(&sysdirs);
    maker_done(&m);
}

/* A file with a key that its name does not tell of, or that others may write to, is refused. */
static void test_trust_store_tampered(void **state)
{
    (void)state;
    cleanup_free char *dir = make_dir();
    const char *const v[] = {dir};
    struct config_dirs dirs;
    struct maker m, other;
    struct trust t;
    struct err e;
    maker_init(&m, "EDDSA", 0, 0, 0);
    maker_init(&other, "EDDSA", 0, 0, 0);
    config_dirs_set(&dirs, v, 1);
    assert_int_equal(trust_add(&dirs, &m.keys.v[0], NULL, &e), 0);
    cleanup_free char *path = xasprintf("%s/trustedkeys/root.d/%s", dir, m.keys.v[0].fingerprint);
    cleanup_free char *both = xasprintf("%s%s", m.keys.v[0].armored, other.keys.v[0].armored);
    const char *const contents[] = {other.keys.v[0].armored, both, "nonsense"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(
            write_file_atomic_at(AT_FDCWD, path, contents[i], strlen(contents[i]), 0644, false, &e),
            0);
        assert_int_equal(trust_load(&dirs, &t, &e), -1);
    }
    assert_int_equal(trust_add(&dirs, &m.keys.v[0], NULL, &e), 0);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(trust_load(&dirs, &t, &e), -1);
    assert_non_null(strstr(e.msg, "others may write"));
    cleanup_free char *cmd = xasprintf("rm -rf '%s'", dir);
    assert_int_equal(system(cmd), 0);
    config_dirs_done(&dirs);
    maker_done(&m);
    maker_done(&other);
}

static void test_keys(void **state)
{
    (void)state;
    struct maker m;
    struct pgp_keys keys;
    struct err e;
    char fpr[PGP_FPR_MAX + 1];
    maker_init(&m, "EDDSA", 0, 0, 0);
    assert_string_equal(m.keys.v[0].users.v[0], "Test ?[31m <t@example.com>");
    assert_null(m.keys.v[0].problem);
    rnp_output_t out;
    uint8_t *p;
    size_t n;
    assert_int_equal(rnp_output_to_memory(&out, 0), 0);
    assert_int_equal(rnp_key_export(m.key, out, RNP_KEY_EXPORT_ARMORED | RNP_KEY_EXPORT_SECRET), 0);
    assert_int_equal(rnp_output_memory_get_buf(out, &p, &n, false), 0);
    assert_int_equal(pgp_keys_read((char *)p, n, "f", &keys, &e), -1);
    assert_non_null(strstr(e.msg, "secret key"));
    rnp_output_destroy(out);
    assert_int_equal(pgp_keys_read("hello", 5, "f", &keys, &e), -1);
    assert_int_equal(pgp_keys_read("", 0, "f", &keys, &e), -1);
    assert_true(pgp_fingerprint("0xABCD 0123 4567 89AB CDEF  0123 4567 89AB CDEF 0123", fpr));
    assert_string_equal(fpr, "abcd0123456789abcdef0123456789abcdef0123");
    assert_false(pgp_fingerprint("ABCD0123", fpr)); /* a key ID is not enough */
    assert_false(pgp_fingerprint("../../etc/passwd", fpr));
    maker_done(&m);
}

static char *encrypt(const char *text, size_t len, const char *cipher, size_t *ret_len)
{
    rnp_ffi_t ffi = pgp_new();
    rnp_op_encrypt_t op;
    rnp_input_t in;
    rnp_output_t out;
    uint8_t *p;
    assert_int_equal(rnp_input_from_memory(&in, (const uint8_t *)text, len, false), 0);
    assert_int_equal(rnp_output_to_memory(&out, 0), 0);
    assert_int_equal(rnp_op_encrypt_create(&op, ffi, in, out), 0);
    assert_int_equal(rnp_op_encrypt_add_password(op, "sekr3t", NULL, 1024, NULL), 0);
    assert_int_equal(rnp_op_encrypt_set_cipher(op, cipher), 0);
    assert_int_equal(rnp_op_encrypt_execute(op), 0);
    assert_int_equal(rnp_output_memory_get_buf(out, &p, ret_len, true), 0);
    rnp_op_encrypt_destroy(op);
    rnp_input_destroy(in);
    rnp_output_destroy(out);
    rnp_ffi_destroy(ffi);
    return (char *)p;
}

static int decrypt(const char *text, size_t len, const char *pass, uint64_t max, char **ret,
                   size_t *ret_len, struct err *e)
{
    cleanup_close int in = memory_fd(text, len), out = memory_fd("", 0);
    *e = (struct err){0};
    assert_true(decrypt_wanted(in));
    if (decrypt_file(in, pass, out, max, "x.aci", e) < 0)
        return -1;
    lseek(out, 0, SEEK_SET);
    return read_to_end(out, "out", 1 << 24, ret, ret_len, e);
}

/* IMG-14 */
static void test_decrypt(void **state)
{
    (void)state;
    size_t size = 300000, len, n;
    cleanup_free char *plain = xmalloc(size), *back = NULL;
    struct err e;
    for (size_t i = 0; i < size; i++)
        plain[i] = (char)(i * i >> 3);
    cleanup_free char *enc = encrypt(plain, size, "AES256", &len);
    assert_int_equal(decrypt(enc, len, "sekr3t", size, &back, &n, &e), 0);
    assert_int_equal(n, size);
    assert_memory_equal(back, plain, size);
    char *unused;
    assert_int_equal(decrypt(enc, len, "wrong", size, &unused, &n, &e), -1);
    assert_int_equal(e.errnum, EACCES);
    assert_int_equal(decrypt(enc, len, "sekr3t", size - 1, &unused, &n, &e), -1);
    assert_int_equal(e.errnum, EFBIG);
    assert_int_equal(decrypt(enc, len / 2, "sekr3t", size, &unused, &n, &e), -1);
    enc[len / 2] ^= 1;
    assert_int_equal(decrypt(enc, len, "sekr3t", size, &unused, &n, &e), -1);
    size_t blen;
    cleanup_free char *camellia = encrypt(plain, size, "CAMELLIA256", &blen);
    assert_int_equal(decrypt(camellia, blen, "sekr3t", size, &unused, &n, &e), -1);
    assert_non_null(strstr(e.msg, "AES"));
    cleanup_close int tar = memory_fd("rootfs/", 7), gz = memory_fd("\x1f\x8b", 2);
    assert_false(decrypt_wanted(tar));
    assert_false(decrypt_wanted(gz));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_and_scopes),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_weak),
        cmocka_unit_test(test_expired_and_revoked),
        cmocka_unit_test(test_reader_fails),
        cmocka_unit_test(test_trust_store),
        cmocka_unit_test(test_trust_store_tampered),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_decrypt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
