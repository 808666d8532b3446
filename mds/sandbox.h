/* SPDX-License-Identifier: Apache-2.0 */
/* What the metadata service gives up before it reads a byte of anybody. */
#ifndef APPC_MDS_SANDBOX_H
#define APPC_MDS_SANDBOX_H

struct err;

/*
 * For the rest of its life the process can only use the descriptors it has or is sent, memory
 * and clocks; everything else kills it. It leaves no core file and can't be traced by others of
 * the same user, as it holds the master key. Programs built with sanitizers keep their system
 * calls, which these need.
 */
int sandbox_enter(struct err *err);

#endif
