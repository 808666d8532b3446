/* SPDX-License-Identifier: Apache-2.0 */
/* Detached, armoured OpenPGP signatures of images. */
#include "fetch/sig.h"

#include <errno.h>
#include <rnp/rnp_err.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/lazy_rnp.h"
#include "fetch/quiet.h"

#define CLOCK_SKEW_S 3600 /* a signature may be so much ahead of this machine's clock */

static void rnp_textp(char **s)
{
    lazy_rnp_buffer_destroy(*s);
}

static void rnp_keyp(rnp_key_handle_t *k)
{
    lazy_rnp_key_handle_destroy(*k);
}

#define cleanup_text __attribute__((cleanup(rnp_textp)))
#define cleanup_key  __attribute__((cleanup(rnp_keyp)))

static size_t count(const char *text, size_t len, const char *word)
{
    size_t n = 0, size = strlen(word);
    for (const char *p = text; (p = memmem(p, len - (size_t)(p - text), word, size)); p += size)
        n++;
    return n;
}

int sig_check_form(const char *text, size_t len, const char *what, struct err *err)
{
    static const char armor[] = "-----BEGIN PGP SIGNATURE-----";
    size_t skip = 0;
    while (skip < len && strchr(" \t\r\n", text[skip]))
        skip++;
    text += skip;
    len -= skip;
    if (len == 0)
        return err_set(err, 0, "the signature of %s is empty", what);
    if (len >= sizeof(armor) - 1 && memcmp(text, armor, sizeof(armor) - 1) == 0) {
        if (count(text, len, "-----BEGIN ") > 1)
            return err_set(
                err, 0, "the signature of %s holds several armoured blocks; one is wanted", what);
        return 0;
    }
    if ((unsigned char)text[0] & 0x80)
        return err_set(err, 0, "the signature of %s is binary; it has to be armoured (gpg --armor)",
                       what);
    if (count(text, len, "-----BEGIN PGP SIGNED MESSAGE-----"))
        return err_set(err, 0,
                       "the signature of %s is a clear-signed message; it has to be a detached one",
                       what);
    if (text[0] == '<')
        return err_set(err, 0, "the signature of %s is a web page", what);
    return err_set(err, 0, "the signature of %s is not an armoured OpenPGP signature", what);
}

/* rnp reads through this. */
struct source {
    sig_reader *read;
    void *arg;
    bool failed;
};

static bool source_read(void *arg, void *data, size_t cap, size_t *got)
{
    struct source *s = arg;
    size_t len = 0;
    while (len < cap) {
        ssize_t n = s->read(s->arg, (char *)data + len, cap - len);
        if (n < 0) {
            s->failed = true;
            return false;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    *got = len;
    return true;
}

/* One check under way. */
struct check {
    const struct trust *t;
    const char *what;
    const char *name;
    rnp_ffi_t ffi;
    rnp_input_t data, signature;
    rnp_op_verify_t op;
    struct source source;
};

static int load_keys(struct check *c, struct err *err)
{
    for (size_t i = 0; i < c->t->n; i++) {
        const struct trust_key *k = &c->t->v[i];
        if (pgp_load(c->ffi, k->armored, strlen(k->armored), k->path, err) < 0)
            return -1;
    }
    return 0;
}

/* The fingerprint as the signature tells it, or the key ID when it tells no more. */
static void claimed_signer(rnp_signature_handle_t sig, char out[PGP_FPR_MAX + 1])
{
    cleanup_text char *fpr = NULL, *id = NULL;
    const char *text = "unknown";
    if (lazy_rnp_signature_get_key_fprint(sig, &fpr) == RNP_SUCCESS && fpr)
        text = fpr;
    else if (lazy_rnp_signature_get_keyid(sig, &id) == RNP_SUCCESS && id)
        text = id;
    size_t i = 0;
    for (; i < PGP_FPR_MAX && text[i]; i++)
        out[i] = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
    out[i] = '\0';
}

static int check_algorithms(const struct check *c, rnp_signature_handle_t sig, const char *signer,
                            struct err *err)
{
    cleanup_text char *hash = NULL, *type = NULL;
    uint32_t created = 0;
    if (lazy_rnp_signature_get_type(sig, &type) != RNP_SUCCESS || strcmp(type, "binary") != 0)
        return err_set(err, 0, "the signature of %s by %s is not one over a binary file", c->what,
                       signer);
    if (lazy_rnp_signature_get_hash_alg(sig, &hash) != RNP_SUCCESS || !pgp_hash_strong(hash))
        return err_set(err, 0, "the signature of %s by %s uses %s, which is too weak", c->what,
                       signer, hash ? hash : "an unknown hash");
    (void)lazy_rnp_signature_get_creation(sig, &created);
    if ((int64_t)created > (int64_t)time(NULL) + CLOCK_SKEW_S)
        return err_set(err, 0, "the signature of %s by %s was made in the future", c->what, signer);
    return 0;
}

/* The primary key's fingerprint: trust is given to keys, and subkeys come with them. */
static int primary_of(rnp_key_handle_t key, char out[PGP_FPR_MAX + 1])
{
    cleanup_text char *fpr = NULL;
    bool sub = false;
    (void)lazy_rnp_key_is_sub(key, &sub);
    rnp_result_t r =
        sub ? lazy_rnp_key_get_primary_fprint(key, &fpr) : lazy_rnp_key_get_fprint(key, &fpr);
    return r == RNP_SUCCESS && fpr && pgp_fingerprint(fpr, out) ? 0 : -1;
}

static int unknown_key(const struct check *c, const char *signer, struct err *err)
{
    return err_set(err, EKEYREJECTED,
                   "%s is signed by the key %s, which is not trusted; \"appc-vm trust\" shows how "
                   "to trust it",
                   c->what, signer);
}

static int check_key(const struct check *c, rnp_key_handle_t key, const char *signer,
                     struct err *err)
{
    bool may_sign = false;
    cleanup_free char *problem = pgp_key_problem(c->ffi, key);
    if (problem)
        return err_set(err, EKEYREJECTED, "%s is signed by the key %s, which %s", c->what, signer,
                       problem);
    if (lazy_rnp_key_allows_usage(key, "sign", &may_sign) != RNP_SUCCESS || !may_sign)
        return err_set(err, EKEYREJECTED, "%s is signed by the key %s, which is not for signing",
                       c->what, signer);
    return 0;
}

static int check_scope(const struct check *c, const char *primary, struct err *err)
{
    if (!c->name || trust_allows(c->t, primary, c->name))
        return 0;
    cleanup_free char *scopes = trust_scopes(c->t, primary);
    return err_set(err, EKEYREJECTED,
                   "%s is signed by the key %s, which is trusted for %s, not for %s", c->what,
                   primary, *scopes ? scopes : "nothing", c->name);
}

static int check_status(const struct check *c, rnp_result_t status, const char *signer,
                        struct err *err)
{
    switch (status) {
    case RNP_SUCCESS:
        return 0;
    case RNP_ERROR_SIGNATURE_EXPIRED:
        return err_set(err, 0, "the signature of %s by %s has expired", c->what, signer);
    case RNP_ERROR_SIGNATURE_INVALID:
        return err_set(err, EBADMSG,
                       "the signature of %s by %s is bad: it was made over other bytes", c->what,
                       signer);
    default:
        return err_set(err, 0, "the signature of %s by %s can't be checked: %s", c->what, signer,
                       lazy_rnp_result_to_string(status));
    }
}

static int judge(const struct check *c, rnp_op_verify_signature_t s, rnp_signature_handle_t sig,
                 char ret_signer[PGP_FPR_MAX + 1], struct err *err)
{
    char signer[PGP_FPR_MAX + 1], primary[PGP_FPR_MAX + 1];
    cleanup_key rnp_key_handle_t key = NULL;
    claimed_signer(sig, signer);
    if (check_algorithms(c, sig, signer, err) < 0)
        return -1;
    if (lazy_rnp_op_verify_signature_get_key(s, &key) != RNP_SUCCESS || !key ||
        primary_of(key, primary) < 0)
        return unknown_key(c, signer, err);
    if (check_key(c, key, signer, err) < 0 || check_scope(c, primary, err) < 0 ||
        check_status(c, lazy_rnp_op_verify_signature_get_status(s), signer, err) < 0)
        return -1;
    memcpy(ret_signer, primary, sizeof(primary));
    return 0;
}

/* Several signatures would need a rule about which of them count; the specification has none. */
static int several(const struct check *c, size_t n, struct err *err)
{
    char text[256] = "";
    for (size_t i = 0; i < n && i < 3; i++) {
        char signer[PGP_FPR_MAX + 1];
        rnp_op_verify_signature_t s = NULL;
        rnp_signature_handle_t sig = NULL;
        if (lazy_rnp_op_verify_get_signature_at(c->op, i, &s) != RNP_SUCCESS ||
            lazy_rnp_op_verify_signature_get_handle(s, &sig) != RNP_SUCCESS)
            continue;
        claimed_signer(sig, signer);
        lazy_rnp_signature_handle_destroy(sig);
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "", signer);
    }
    return err_set(err, 0, "%s has %zu signatures (by %s); exactly one is wanted", c->what, n,
                   text);
}

static int verify(struct check *c, char ret_signer[PGP_FPR_MAX + 1], struct err *err)
{
    size_t n = 0;
    rnp_op_verify_signature_t s = NULL;
    rnp_signature_handle_t sig = NULL;
    if (lazy_rnp_op_verify_detached_create(&c->op, c->ffi, c->data, c->signature) != RNP_SUCCESS)
        die_oom();
    rnp_result_t result = lazy_rnp_op_verify_execute(c->op);
    if (c->source.failed)
        return err_set(err, ECANCELED, "the signature of %s", c->what);
    (void)lazy_rnp_op_verify_get_signature_count(c->op, &n);
    if (n == 0)
        return err_set(err, 0, "the signature of %s is damaged: %s", c->what,
                       lazy_rnp_result_to_string(result));
    if (n > 1)
        return several(c, n, err);
    if (lazy_rnp_op_verify_get_signature_at(c->op, 0, &s) != RNP_SUCCESS ||
        lazy_rnp_op_verify_signature_get_handle(s, &sig) != RNP_SUCCESS)
        return err_set(err, 0, "the signature of %s is damaged", c->what);
    int r = judge(c, s, sig, ret_signer, err);
    lazy_rnp_signature_handle_destroy(sig);
    return r;
}

int sig_check(const struct trust *t, const char *text, size_t len, sig_reader *read, void *arg,
              const char *name, const char *what, char ret_signer[PGP_FPR_MAX + 1], struct err *err)
{
    struct check c = {.t = t, .what = what, .name = name, .source = {read, arg, false}};
    if (sig_check_form(text, len, what, err) < 0)
        return -1;
    c.ffi = pgp_new();
    if (lazy_rnp_input_from_callback(&c.data, source_read, NULL, &c.source) != RNP_SUCCESS ||
        lazy_rnp_input_from_memory(&c.signature, (const uint8_t *)text, len, false) != RNP_SUCCESS)
        die_oom();
    quiet_begin();
    int r = load_keys(&c, err) < 0 ? -1 : verify(&c, ret_signer, err);
    if (c.op)
        lazy_rnp_op_verify_destroy(c.op);
    lazy_rnp_input_destroy(c.signature);
    lazy_rnp_input_destroy(c.data);
    lazy_rnp_ffi_destroy(c.ffi);
    quiet_end();
    return r;
}

struct file_source {
    int fd;
    off_t offset;
};

static ssize_t read_file(void *arg, void *data, size_t cap)
{
    struct file_source *f = arg;
    ssize_t n;
    do
        n = pread(f->fd, data, cap, f->offset);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        f->offset += n;
    return n;
}

int sig_check_fd(const struct trust *t, const char *text, size_t len, int fd, const char *name,
                 const char *what, char ret_signer[PGP_FPR_MAX + 1], struct err *err)
{
    struct file_source f = {.fd = fd};
    return sig_check(t, text, len, read_file, &f, name, what, ret_signer, err);
}
