/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a merged tree into a directory, without ever following a link that it finds there. */
#ifndef APPC_IMAGE_EXTRACT_H
#define APPC_IMAGE_EXTRACT_H

#include <stdbool.h>
#include <stdint.h>

#include "host/image/render.h"

/* How far an extraction is. */
struct extract_progress {
    uint64_t entries, entries_total;
    uint64_t bytes, bytes_total; /* of file data */
};

/* What could not be restored, counted by kind. */
struct extract_report {
    uint64_t entries;
    uint64_t bytes;
    uint64_t skipped_owners;
    uint64_t skipped_modes; /* setuid, setgid or sticky bits */
    uint64_t skipped_devices;
    uint64_t skipped_xattrs;
    uint64_t skipped_times; /* out of the file system's range */
};

struct extract_options {
    bool unprivileged; /* behave as for a user who is not root, even for root */
    void (*progress)(void *arg, const struct extract_progress *p); /* NULL is allowed */
    void *arg;
};

/*
 * Extracts r into the empty directory dirfd. As root it restores owners, modes, xattrs, times and
 * devices, and fails when one can't be; otherwise it skips what only root may do and counts it
 * in *ret (IMG-11, RENDER-24). The directory must be empty. 0, or -1 with a message that names
 * the path; what was written stays.
 */
int extract_render(const struct render *r, int dirfd, const struct extract_options *opt,
                   struct extract_report *ret, struct err *err);

/* One line that says what was skipped, or NULL when nothing was. The caller frees. */
char *extract_report_text(const struct extract_report *rep);

#endif
