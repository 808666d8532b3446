/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor in the guest's kernel: which profiles it has, and giving it more. */
#ifndef APPC_GUEST_APPARMOR_H
#define APPC_GUEST_APPARMOR_H

#include <stdbool.h>
#include <stdint.h>

struct err;

#define APPARMOR_UNCONFINED "unconfined" /* the profile that is always there */

/* Whether the kernel runs with AppArmor. */
bool apparmor_enabled(void);

/* Whether it has the profile. */
bool apparmor_has(const char *profile);

/*
 * Loads the compiled policy, of at most WIRE_PROFILE_SIZE_MAX bytes, that lies `offset` bytes from
 * the beginning of a disk, such as "vda".
 */
int apparmor_load(const char *disk, uint64_t offset, uint64_t length, struct err *err);

#endif
