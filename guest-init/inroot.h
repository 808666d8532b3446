/* SPDX-License-Identifier: Apache-2.0 */
/* Paths inside a root file system that a stranger has made: no link leads out of it. */
#ifndef APPC_GUEST_INROOT_H
#define APPC_GUEST_INROOT_H

#include <stdbool.h>

struct err;

/*
 * open() of a path as a process chrooted to rootfd would see it: links, also
 * absolute ones, and ".." stay inside, and links of procfs are not followed.
 * The descriptor is close-on-exec; -1 with errno.
 */
int inroot_open(int rootfd, const char *path, int flags);

/*
 * The path with one leading slash, no trailing or double one, no "." and no
 * ".." ("/.." is "/"). NULL when it does not begin with a slash. Caller frees.
 */
char *path_clean(const char *path);

/* Whether one of two cleaned paths is the other or lies below it (VOL-08). */
bool paths_overlap(const char *a, const char *b);

/* What a directory that inroot_make_dir() returned hides or replaced. */
enum inroot_masked { INROOT_NOTHING, INROOT_CONTENT, INROOT_FILE };

/*
 * Opens the directory `path` (cleaned) of the root with O_PATH and creates what
 * is missing, 0755 and owned by the caller, who is root (VOL-02, VOL-03). A file
 * or a link to nowhere that stands in the way is removed (VOL-06). `masked`
 * may be NULL; else it says what a mount on the directory would hide.
 */
int inroot_make_dir(int rootfd, const char *path, enum inroot_masked *masked, struct err *err);

/*
 * The same for a regular file: created empty, 0644, where nothing is; a file that is there
 * stays and is masked. A directory in the way is an error.
 */
int inroot_make_file(int rootfd, const char *path, enum inroot_masked *masked, struct err *err);

#endif
