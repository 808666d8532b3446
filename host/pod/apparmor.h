/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor profiles for the guest's kernel. */
#ifndef APPC_HOST_POD_APPARMOR_H
#define APPC_HOST_POD_APPARMOR_H

#include <stdint.h>

struct err;

/*
 * Opens a policy as the kernel takes it: `path` is one, or the text of profiles, which
 * apparmor_parser then compiles for the guest's kernel. The caller owns *ret_fd, whose *ret_len
 * bytes (at most WIRE_PROFILE_SIZE_MAX) are not empty.
 */
int apparmor_open(const char *path, int *ret_fd, uint64_t *ret_len, struct err *err);

#endif
