/* SPDX-License-Identifier: Apache-2.0 */
/* A FUSE client on the tests' front end, and a folder of the host with shares in it. */
#ifndef APPC_TESTS_DEVICES_FS_CLIENT_H
#define APPC_TESTS_DEVICES_FS_CLIENT_H

#include "front.h"

#include <linux/fuse.h>

#include "vmm/devices/fs.h"

/* The shares: "rw" and "ro" are directories of these names below `dir`, "one" is a file. */
struct fs_bench {
    struct fs *fs;
    struct front f;
    char dir[32];
    int fds[3];
    int proc_fd;
    uint64_t unique;
    uint32_t uid, gid;  /* who makes requests */
    uint32_t used;      /* of the last request */
    uint64_t rw, ro;    /* nodes */
    uint32_t in_parts;  /* into how many buffers the arguments are cut; 0 is one */
    bool no_reply_part; /* give no writable buffer */
};

/* With files rw/file ("content"), ro/file and one; INIT has been done. */
struct fs_bench *fs_bench_new(enum fs_owner owner);

/* The same without INIT. */
struct fs_bench *fs_bench_raw(enum fs_owner owner);
void fs_bench_end(struct fs_bench *t);

/*
 * One request with `len` bytes of arguments; up to `cap` bytes of the answer go to `out`. Returns
 * how many there are, or the (negative) errno of the answer.
 */
int fs_call(struct fs_bench *t, uint32_t opcode, uint64_t node, const void *arg, size_t len,
            void *out, size_t cap);

/* The same with a structure and one or two names (NULL for none) behind it. */
int fs_call_name(struct fs_bench *t, uint32_t opcode, uint64_t node, const void *arg, size_t len,
                 const char *name, const char *name2, void *out, size_t cap);

int fs_init_call(struct fs_bench *t, uint32_t major, uint32_t minor, struct fuse_init_out *out);

/* LOOKUP: 0 and *out, or the errno. */
int fs_find(struct fs_bench *t, uint64_t dir, const char *name, struct fuse_entry_out *out);

/* The node of a name that is there. */
uint64_t fs_node(struct fs_bench *t, uint64_t dir, const char *name);

/* OPEN and CREATE: 0 and *ret_fh, or the errno. */
int fs_open(struct fs_bench *t, uint64_t node, uint32_t flags, uint64_t *ret_fh);
int fs_create(struct fs_bench *t, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
              uint64_t *ret_node, uint64_t *ret_fh);
int fs_release(struct fs_bench *t, uint64_t node, uint64_t fh);
int fs_read(struct fs_bench *t, uint64_t node, uint64_t fh, uint64_t off, void *buf, uint32_t len);
int fs_write(struct fs_bench *t, uint64_t node, uint64_t fh, uint64_t off, const void *buf,
             uint32_t len, uint32_t flags);
int fs_attr(struct fs_bench *t, uint64_t node, struct fuse_attr *ret);

/* FORGET, which has no answer. */
void fs_forget(struct fs_bench *t, uint64_t node, uint64_t n);

/* Files of the host, by a path below the folder. */
void fs_host_write(struct fs_bench *t, const char *path, const char *text);
char *fs_host_path(struct fs_bench *t, const char *path); /* static */

#endif
