/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of system calls that seccomp isolators can name at once (ISO-26). */
#ifndef APPC_GUEST_SYSCALL_SETS_H
#define APPC_GUEST_SYSCALL_SETS_H

#include <stdbool.h>

/* What administers a kernel and not an app: modules, mounts, clocks, namespaces and the like. */
#define SYSCALLS_BLACKLIST "@appc-vm/default-blacklist"

/* All that is not on it and that the machine's ABIs have, as far as libseccomp knows them. */
#define SYSCALLS_WHITELIST "@appc-vm/default-whitelist"

/* Called for each name; what is not 0 ends the walk. */
typedef int syscall_fn(void *ctx, const char *name);

/* Whether there is such a set; then *ret is what ended the walk over it, or 0. */
bool syscall_set_walk(const char *wildcard, syscall_fn *fn, void *ctx, int *ret);

#endif
