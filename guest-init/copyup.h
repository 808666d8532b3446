/* SPDX-License-Identifier: Apache-2.0 */
/* What an image has in a directory, copied to the volume that takes its place. */
#ifndef APPC_GUEST_COPYUP_H
#define APPC_GUEST_COPYUP_H

struct err;

#define COPYUP_DEPTH_MAX 128         /* directories inside each other; each has two files open */
#define COPYUP_LINKS_MAX (64u << 10) /* files with several names that stay one file */

/*
 * Copies the directory `from` (also O_PATH) to the empty directory `to`: owner, mode, extended
 * attributes and times of itself and of everything in it, and all content but sockets. The image
 * may be hostile, so no link is followed and nothing that is mounted below `from` is read; a file
 * that holds more than the file system of `to` has room for is refused before it is read. Hard
 * links stay links, up to COPYUP_LINKS_MAX; holes stay holes. Nobody else may change `from` and
 * `to` meanwhile. On failure -1, and what was copied is left.
 */
int copyup_dir(int from, int to, struct err *err);

#endif
