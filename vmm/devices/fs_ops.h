/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of virtio-fs have from each other: requests, nodes, handles. For fs*.c. */
#ifndef APPC_VMM_DEVICES_FS_OPS_H
#define APPC_VMM_DEVICES_FS_OPS_H

#include "vmm/devices/fs.h"

/*
 * A request that has passed the general checks: it is as long as it says, its fixed arguments and
 * its names are there, and its node exists and is of the right kind.
 */
struct fs_request {
    struct fuse_in_header in;
    struct fs_node *node;
    const void *arg;     /* the fixed arguments, aligned */
    const uint8_t *rest; /* copied bytes behind them and behind the names */
    size_t rest_len;
    const char *name[2]; /* checked names of directory entries */
    struct iovs data;    /* the bytes to write, in guest memory */
    struct iovs room;    /* of the answer behind its header, in guest memory */
    bool direct;         /* the answer's bytes are in `room` already */
    bool silent;         /* there is no answer */
};

/*
 * An operation: the number of bytes of the answer, which stand in fs->reply unless r->direct, or a
 * negative errno.
 */
typedef int fs_op(struct fs *fs, struct fs_request *r);

fs_op fs_op_init, fs_op_destroy;                                                    /* fs.c */
fs_op fs_op_lookup, fs_op_forget, fs_op_batch_forget, fs_op_getattr, fs_op_setattr; /* fs_node.c */
fs_op fs_op_readlink, fs_op_statfs, fs_op_access;
fs_op fs_op_mknod, fs_op_mkdir, fs_op_symlink, fs_op_unlink, fs_op_rmdir; /* fs_dir.c */
fs_op fs_op_rename, fs_op_rename2, fs_op_link;
fs_op fs_op_open, fs_op_create, fs_op_tmpfile, fs_op_release, fs_op_opendir; /* fs_file.c */
fs_op fs_op_flush, fs_op_fsync, fs_op_syncfs, fs_op_fallocate, fs_op_lseek;
fs_op fs_op_copy_file_range;
fs_op fs_op_read, fs_op_write;                                            /* fs_io.c */
fs_op fs_op_readdir, fs_op_readdirplus;                                   /* fs_readdir.c */
fs_op fs_op_getxattr, fs_op_setxattr, fs_op_listxattr, fs_op_removexattr; /* fs_xattr.c */

/* fs_table.c */

/* The node of this number, or NULL. */
struct fs_node *fs_node_at(struct fs *fs, uint64_t id);

/*
 * The node's descriptor, which is opened again if it had to be closed; or -ENFILE, or -ESTALE when
 * the file is not any more where it was.
 */
int fs_node_fd(struct fs *fs, struct fs_node *n);

/*
 * The node of the file whose O_PATH descriptor is `fd` (taken over in every case) and which was
 * found as `name` in `parent` (NULL: it has no name that is known); NULL: *ret_error says why.
 * Does not count a lookup.
 */
struct fs_node *fs_node_get(struct fs *fs, struct fs_share *share, int fd, struct fs_node *parent,
                            const char *name, struct statx *ret_stx, int *ret_error);

/* Takes `n` lookups back, at most those that there are; the last one frees the node. */
void fs_node_forget(struct fs *fs, struct fs_node *n, uint64_t lookups);

/* Remembers that the node is now called `name` in `parent`, if it is what one finds there. */
void fs_node_moved(struct fs *fs, struct fs_node *parent, const char *name);

/* Frees the node whatever its lookups are. */
void fs_node_free(struct fs *fs, struct fs_node *node);

/* Makes room for one more descriptor: 0 or -ENFILE. */
int fs_fd_room(struct fs *fs);

/* Opens `name` in a directory with openat2(), never leaving it: a descriptor or a negative errno.
 */
int fs_open_at(int dir, const char *name, int flags, mode_t mode);

/* Opens the file of an O_PATH descriptor: a descriptor or a negative errno. */
int fs_reopen(int fd, int flags);

/* The entry of a descriptor in the working directory. */
struct fs_path {
    char text[12];
};
struct fs_path fs_path(int fd);

/* All that is ever asked of statx(); 0 or a negative errno. */
int fs_statx(int fd, struct statx *ret);

/* An open file of the node: takes fd over; NULL when there is no room (fd is closed then). */
struct fs_handle *fs_handle_new(struct fs *fs, struct fs_node *n, int fd, bool is_dir);

/* The handle of this number if it was opened for this node, or NULL. */
struct fs_handle *fs_handle_at(struct fs *fs, uint64_t fh, uint64_t node, bool is_dir);
void fs_handle_free(struct fs *fs, struct fs_handle *h);

/* Forgets all nodes but root and shares, and closes all handles. */
void fs_tables_reset(struct fs *fs);
void fs_tables_free(struct fs *fs);

/* The root or a share: it stays. fd is the caller's. NULL with errno. */
struct fs_node *fs_node_pinned(struct fs *fs, struct fs_share *share, int fd);

/* fs_share.c */

/* The share of this name, or NULL. */
struct fs_share *fs_share_find(struct fs *fs, const char *name);

/* fs_node.c */

/* Fills in an answer for a node and counts a lookup. */
void fs_entry(struct fs *fs, struct fs_node *n, const struct statx *stx,
              struct fuse_entry_out *ret);

/*
 * Looks `name` up in a directory: the node and its attributes, without counting a lookup; or NULL
 * and *ret_error. `dir_fd` is the directory's descriptor.
 */
struct fs_node *fs_lookup(struct fs *fs, struct fs_node *dir, int dir_fd, const char *name,
                          struct statx *ret_stx, int *ret_error);

/* The same as the answer to a request that made the name: the length of the answer or an errno. */
int fs_answer_entry(struct fs *fs, struct fs_node *dir, const char *name);

/* The inode number that the guest sees. */
uint64_t fs_ino(struct fs *fs, uint64_t dev, uint64_t ino);

/* fs_owner.c */

/* Who the file belongs to as the guest sees it; `fd` may be -1 where only *stx is known. */
void fs_owner_show(struct fs *fs, int fd, const struct statx *stx, uint32_t *ret_uid,
                   uint32_t *ret_gid);

/* chown by the guest, (uint32_t)-1 for what stays: 0 or a negative errno. */
int fs_owner_set(struct fs *fs, int fd, uint32_t uid, uint32_t gid);

/*
 * The file was just made by this user of the guest with these bits of its mode. A directory with
 * the set-group-ID bit hands its group on. 0 or a negative errno.
 */
int fs_owner_new(struct fs *fs, int dir_fd, int fd, uint32_t uid, uint32_t gid, mode_t mode);

/* Clears set-ID bits as a write by somebody without CAP_FSETID does. */
void fs_owner_drop_setid(struct fs *fs, int fd);

#define FS_OWNER_NAME   "user.appc-vm.owner"
#define FS_OWNER_PREFIX "user.appc-vm."
#define FS_NOBODY       65534U

#endif
