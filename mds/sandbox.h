/* SPDX-License-Identifier: Apache-2.0 */
/* What the metadata service gives up: it holds the master key and talks to a guest. */
#ifndef APPC_MDS_SANDBOX_H
#define APPC_MDS_SANDBOX_H

#include <stddef.h>

struct err;

/*
 * Enters the jail (vmm/jail.h) with the `n` descriptors of `fds`. Libraries that would open a
 * file later do it now.
 */
int sandbox_enter(const int *fds, size_t n, struct err *err);

/* From here on only what serving takes is allowed; call it before the first connection. */
int sandbox_seal(struct err *err);

#endif
