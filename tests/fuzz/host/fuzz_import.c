/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: an archive file from an attacker is recognised, decompressed up to a small limit,
 * and what comes out is opened as an image.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "host/image/aci_image.h"
#include "host/image/import_source.h"

#define OUTPUT_MAX  (1u << 20)
#define CHUNK_BYTES 1000 /* no divisor of anything: buffers run out in the middle */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memory_file(const void *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write_all(fd, data, size) < 0)
        abort();
    return fd;
}

/* Copies what the archive holds to `out`; true when it came to its end without a fault. */
static bool decompress(int in, int out)
{
    struct import_source *s;
    struct err err;
    char chunk[CHUNK_BYTES];
    size_t total = 0;
    ssize_t n;
    if (import_source_open(in, "input", &s, &err) < 0)
        return false;
    while ((n = import_source_read(s, chunk, sizeof(chunk), &err)) > 0 && total < OUTPUT_MAX) {
        if ((size_t)n > sizeof(chunk) || write_all(out, chunk, (size_t)n) < 0)
            abort();
        total += (size_t)n;
    }
    import_source_free(s);
    return n == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cleanup_close int in = memory_file(data, size);
    cleanup_close int out = memory_file("", 0);
    struct aci_image *image;
    struct ac_fault fault;
    struct err err;
    if (decompress(in, out) && aci_image_open(out, "input", &image, &fault, &err) == 0)
        aci_image_close(image);
    return 0;
}
