/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the jail that are about files and their owners. For jail.c. */
#ifndef APPC_VMM_JAIL_FILES_H
#define APPC_VMM_JAIL_FILES_H

#include <stdbool.h>

#include "vmm/jail.h"

/*
 * A process in a new user namespace can map one id only; this makes one outside that maps all ids
 * that there are to themselves. Start it before unshare(): a socket to it, or -1. Finish closes
 * nothing and is true when the ids are mapped.
 */
int jail_map_start(void);
bool jail_map_finish(int mapper);

/*
 * Refuses access to files by path, but for the trees of `spec`. False when the kernel cannot, or
 * not without refusing renames that the trees allow.
 */
bool jail_landlock(const struct jail_spec *spec);

#endif
