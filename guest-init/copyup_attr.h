/* SPDX-License-Identifier: Apache-2.0 */
/* The attributes of a file, given to its copy. */
#ifndef APPC_GUEST_COPYUP_ATTR_H
#define APPC_GUEST_COPYUP_ATTR_H

#include <sys/stat.h>

/*
 * Gives to/name (which is no stranger's link) owner, extended attributes, mode and times of
 * from/name, whose stat is st. Attributes that the file system of the copy knows nothing of are
 * left out. 0, or -1 with errno.
 */
int copyup_attributes(int from, int to, const char *name, const struct stat *st);

#endif
