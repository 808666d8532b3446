/* SPDX-License-Identifier: Apache-2.0 */
/* Archives that are encrypted with a passphrase. */
#include "fetch/decrypt.h"

#include <errno.h>
#include <rnp/rnp_err.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "fetch/lazy_rnp.h"
#include "fetch/pgp.h"
#include "fetch/quiet.h"

/* Packet tags of RFC 4880: 1 and 3 begin an encrypted message, 9 and 18 are one without keys. */
static bool is_message_tag(unsigned char c)
{
    unsigned tag = c & 0x40 ? c & 0x3f : (c & 0x3f) >> 2;
    return (c & 0x80) && (tag == 1 || tag == 3 || tag == 9 || tag == 18 || tag == 20);
}

bool decrypt_wanted(int fd)
{
    static const char armor[] = "-----BEGIN PGP MESSAGE-----";
    char head[sizeof(armor) - 1];
    ssize_t n = pread(fd, head, sizeof(head), 0);
    if (n < 1)
        return false;
    return is_message_tag((unsigned char)head[0]) ||
           (n == (ssize_t)sizeof(head) && memcmp(head, armor, sizeof(head)) == 0);
}

struct job {
    int in, out;
    off_t offset;
    const char *passphrase;
    uint64_t left;
    bool asked, too_long;
    int write_error;
};

static bool give_passphrase(rnp_ffi_t ffi, void *arg, rnp_key_handle_t key, const char *context,
                            char *out, size_t cap)
{
    struct job *j = arg;
    size_t n = strlen(j->passphrase);
    (void)ffi, (void)context;
    if (key || n >= cap || j->asked) /* once: the same passphrase won't become right */
        return false;
    memcpy(out, j->passphrase, n + 1);
    j->asked = true;
    return true;
}

static bool on_read(void *arg, void *data, size_t cap, size_t *got)
{
    struct job *j = arg;
    ssize_t n;
    do
        n = pread(j->in, data, cap, j->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return false;
    j->offset += n;
    *got = (size_t)n;
    return true;
}

static bool on_write(void *arg, const void *data, size_t len)
{
    struct job *j = arg;
    if (len > j->left) {
        j->too_long = true;
        return false;
    }
    if (write_all(j->out, data, len) < 0) {
        j->write_error = errno;
        return false;
    }
    j->left -= len;
    return true;
}

/* The message was taken apart: was it protected as it has to be? */
static int check_protection(rnp_op_verify_t op, const char *what, struct err *err)
{
    char *mode = NULL, *cipher = NULL;
    bool valid = false;
    int r = 0;
    (void)lazy_rnp_op_verify_get_protection_info(op, &mode, &cipher, &valid);
    if (!mode || !cipher || strcmp(mode, "none") == 0)
        r = err_set(err, 0, "%s is an OpenPGP message, but not an encrypted one", what);
    else if (!str_starts(cipher, "AES"))
        r = err_set(err, 0, "%s is encrypted with %s; it has to be AES", what, cipher);
    else if (!valid)
        r = err_set(err, 0, "%s is encrypted without a proof that nobody changed it", what);
    lazy_rnp_buffer_destroy(mode);
    lazy_rnp_buffer_destroy(cipher);
    return r;
}

static int failure(const struct job *j, rnp_op_verify_t op, rnp_result_t result, uint64_t max,
                   const char *what, struct err *err)
{
    size_t passwords = 0;
    if (j->write_error)
        return err_set(err, j->write_error, "can't write the decrypted %s", what);
    if (j->too_long)
        return err_set(err, EFBIG, "%s decrypts to more than the limit of %llu bytes", what,
                       (unsigned long long)max);
    (void)lazy_rnp_op_verify_get_symenc_count(op, &passwords);
    if (passwords == 0 && (result == RNP_ERROR_NO_SUITABLE_KEY || result == RNP_ERROR_BAD_FORMAT))
        return err_set(err, 0, "%s is not encrypted with a passphrase, or is damaged", what);
    if (result == RNP_ERROR_BAD_PASSWORD)
        return err_set(err, EACCES, "the passphrase does not decrypt %s", what);
    return err_set(err, EBADMSG, "%s is encrypted, and damaged or cut off", what);
}

int decrypt_file(int fd, const char *passphrase, int out_fd, uint64_t max, const char *what,
                 struct err *err)
{
    struct job j = {.in = fd, .out = out_fd, .passphrase = passphrase, .left = max};
    rnp_ffi_t ffi = pgp_new();
    rnp_input_t in = NULL;
    rnp_output_t out = NULL;
    rnp_op_verify_t op = NULL;
    if (lazy_rnp_ffi_set_pass_provider(ffi, give_passphrase, &j) != RNP_SUCCESS ||
        lazy_rnp_input_from_callback(&in, on_read, NULL, &j) != RNP_SUCCESS ||
        lazy_rnp_output_to_callback(&out, on_write, NULL, &j) != RNP_SUCCESS ||
        lazy_rnp_op_verify_create(&op, ffi, in, out) != RNP_SUCCESS)
        die_oom();
    /* A signature inside counts for nothing: the one over the archive was checked before. */
    (void)lazy_rnp_op_verify_set_flags(op, RNP_VERIFY_IGNORE_SIGS_ON_DECRYPT);
    quiet_begin();
    rnp_result_t result = lazy_rnp_op_verify_execute(op);
    quiet_end();
    /* rnp does not always pass on that the output failed. */
    bool good = result == RNP_SUCCESS && !j.too_long && !j.write_error;
    int r = good ? check_protection(op, what, err) : failure(&j, op, result, max, what, err);
    lazy_rnp_op_verify_destroy(op);
    lazy_rnp_output_destroy(out);
    lazy_rnp_input_destroy(in);
    lazy_rnp_ffi_destroy(ffi);
    return r;
}
