/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's mount API by descriptor: no path is looked up twice. */
#ifndef APPC_GUEST_MNT_H
#define APPC_GUEST_MNT_H

#include <stdint.h>

#include <sys/mount.h>

struct err;

/* Attributes of kernel file systems in an app's root: MOUNT_ATTR_... bits. */
#define MNT_SAFE (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

/* One option of a file system; value NULL for a flag. The list ends with a NULL key. */
struct mnt_option {
    const char *key, *value;
};

/*
 * Makes a mount that is not attached anywhere yet and returns its descriptor.
 * `attrs` are MOUNT_ATTR_ bits of the mount; the file system itself is opened
 * read-only when `options` has the flag "ro". The kernel's own explanation, when it gives one, is
 * in the error.
 */
int mnt_new(const char *fstype, const struct mnt_option *options, uint64_t attrs, struct err *err);

/* Attaches a mount at `path` relative to dirfd, or to dirfd itself when path is "". */
int mnt_attach(int mountfd, int dirfd, const char *path, struct err *err);

/* mnt_new() and mnt_attach() at an absolute path of init's own. */
int mnt_at(const char *fstype, const struct mnt_option *options, uint64_t attrs, const char *path,
           struct err *err);

/* A detached copy of the mount at dirfd/path; with `tree` of all below it too. */
int mnt_clone(int dirfd, const char *path, int tree, struct err *err);

/* Sets MOUNT_ATTR_ bits of a mount (not of those below). 0, or -1 with errno. */
int mnt_set(int mountfd, uint64_t attrs);

#endif
