/* SPDX-License-Identifier: Apache-2.0 */
/* The VMM's own jail: which descriptors and which system calls it keeps (vmm/jail.h). */
#ifndef APPC_VMM_CONFINE_H
#define APPC_VMM_CONFINE_H

struct err;
struct options;

/* The first step, before anything is made: all but the descriptors of the command line is gone. */
int confine_enter(const struct options *o, struct err *err);

/*
 * The last step, when the VM, its memory and all threads exist, and before
 * the first byte of a device process or the first instruction of the guest.
 */
int confine_seal(struct err *err);

#endif
