/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: the list of what is in an archive of an image. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "fetch/oci/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oci_tar t;
    struct err err;
    struct stat st;
    cleanup_close int area = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cleanup_close int fd = memfd_create("tar", MFD_CLOEXEC);
    if (fd < 0 || area < 0 || write_all(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        abort();
    if (oci_tar_plain(&fd, "x", area, 1 << 20, &err) < 0 || oci_tar_list(fd, "x", &t, &err) < 0)
        return 0;
    if (fstat(fd, &st) < 0)
        abort();
    for (size_t i = 0; i < t.n; i++) {
        const struct oci_tar_file *f = oci_tar_find(&t, t.v[i].name);
        if (f && (f->offset > (uint64_t)st.st_size || f->size > (uint64_t)st.st_size - f->offset))
            abort();
    }
    oci_tar_done(&t);
    return 0;
}
