/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: keys, signatures and encrypted archives as they come from a server. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "fetch/decrypt.h"
#include "fetch/pgp.h"
#include "fetch/sig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUT_MAX (1u << 20)

static void try_decrypt(const uint8_t *data, size_t size, struct err *err)
{
    int in = memfd_create("in", MFD_CLOEXEC), out = memfd_create("out", MFD_CLOEXEC);
    if (in < 0 || out < 0 || write(in, data, size) != (ssize_t)size)
        abort();
    if (decrypt_wanted(in))
        (void)decrypt_file(in, "sekr3t", out, OUTPUT_MAX, "x", err);
    if (lseek(out, 0, SEEK_END) > (off_t)OUTPUT_MAX)
        abort();
    close(in);
    close(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pgp_keys keys;
    struct trust none = {0};
    struct err err;
    char signer[PGP_FPR_MAX + 1];
    if (pgp_keys_read((const char *)data, size, "x", &keys, &err) == 0)
        pgp_keys_done(&keys);
    /* With no trusted key there is no signature that is good. */
    if (sig_check_fd(&none, (const char *)data, size, STDIN_FILENO, NULL, "x", signer, &err) == 0)
        abort();
    try_decrypt(data, size, &err);
    return 0;
}
