/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-fs (virtio 1.2, section 5.11): directories and files of the host as one file system of the
 * guest. The protocol is FUSE as <linux/fuse.h> has it.
 *
 *   fs.c          the device: queues, requests, INIT
 *   fs_table.c    the tables of nodes and of open files, and their descriptors
 *   fs_share.c    shares, which are the entries of the root directory
 *   fs_node.c     LOOKUP, FORGET, attributes
 *   fs_owner.c    who a file belongs to
 *   fs_dir.c      making, removing and renaming
 *   fs_file.c     opening and closing; what is done to an open file
 *   fs_io.c       READ and WRITE, straight between guest memory and files
 *   fs_readdir.c  READDIR and READDIRPLUS
 *   fs_xattr.c    extended attributes
 *
 * Theory of operation. The root directory (node 1) is made up, and read-only: its entries are the
 * shares. Every other file that the guest knows is a node: an O_PATH descriptor, found by number in
 * a table. A name is looked up below such a descriptor, one component at a time, and a symbolic
 * link is never followed, so that nobody who swaps directories on the host can lead the device
 * out of a share. A file is opened through its descriptor's entry in /proc/self/fd, which is the
 * working directory of the process; other calls that take paths are given that entry too.
 *
 * Nothing is cached here but descriptors, and the guest is told to ask again (see FS_CACHE_MS).
 * Locks are not implemented: the guest keeps them, so they hold between the apps of a pod.
 */
#ifndef APPC_VMM_DEVICES_FS_H
#define APPC_VMM_DEVICES_FS_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "vmm/devices/device.h"

struct err;

#define FS_TAG_MAX    36
#define FS_NAME_MAX   255
#define FS_SHARES_MAX 1024
#define FS_QUEUES_MAX 8 /* of requests; one more is for those of high priority */

/* Nodes that a guest may know at a time: some 100 MiB here at worst. */
#define FS_NODES_MAX (1U << 18)

/*
 * Descriptors that are wanted, should the limit of the host allow it. Nodes may be more: those of
 * files are closed when they are needed elsewhere, and found again by name.
 */
#define FS_NOFILE (1UL << 16)

/* Descriptors that the tables leave for rings, memory, and calls in progress. */
#define FS_NOFILE_RESERVE 96

/* Bytes of a request besides those of a WRITE, and of an answer besides those of a READ. */
#define FS_ARGS_MAX  (72U << 10)
#define FS_REPLY_MAX (128U << 10)

#define FS_WRITE_MAX (1U << 20)

/*
 * How long the guest may believe what it was told of a name or of attributes, by default: not at
 * all, so that it sees what the host has done as with a bind mount. Under TCG 2000 calls of stat()
 * took 1.7 to 2.2 s so, 0.6 s with 1 ms (a tick of the guest, 10 ms; an answer is then good for the
 * rest of its system call) and 0.1 s with 1 s; READ and WRITE of 1 MiB were the same in all three.
 */
#define FS_CACHE_MS 0

/* Section 5.11.4. */
struct fs_config {
    uint8_t tag[FS_TAG_MAX];
    uint32_t num_request_queues;
};

/* Who files belong to, as the guest sees it. */
enum fs_owner {
    /*
     * By what the process may do: FS_OWNER_HOST for root, else FS_OWNER_CALLER.
     */
    FS_OWNER_AUTO,
    /* What belongs to the user of this process belongs to 0, all else to 65534; chown fails. */
    FS_OWNER_CALLER,
    /* The same, but chown of files and directories is remembered in an extended attribute. */
    FS_OWNER_XATTR,
    /* As on the host. New files belong to who makes them in the guest. Needs CAP_CHOWN. */
    FS_OWNER_HOST,
};

/* A directory or a single regular file of the host. */
struct fs_share {
    char name[FS_NAME_MAX + 1];
    int fd; /* the caller's */
    bool read_only;
    bool recursive; /* other file systems below it can be entered */
    unsigned index;
    struct fs_node *node;
};

/* A file that the guest knows. Never freed while it has lookups or is a share. */
struct fs_node {
    uint64_t id; /* generation << 32 | slot */
    uint64_t nlookup;
    struct fs_share *share; /* NULL for the root */
    int fd;                 /* O_PATH; -1 while it is closed to save descriptors */
    uint32_t type;          /* S_IFMT bits */
    bool covered;           /* another file system lies over it and may not be entered */

    /* What makes it itself. */
    uint64_t mnt_id, dev, ino;
    struct statx_timestamp btime;

    /* Where it was seen last, for a file whose descriptor may be closed; NULL for directories. */
    uint64_t parent;
    char *name;
    unsigned nopen; /* handles */
    bool in_lru;
    TAILQ_ENTRY(fs_node) lru; /* in fs->lru while in_lru, which is while it might be closed */
    struct fs_node *next;     /* in its bucket */

    /* The time of the last change when it was opened last, if that was long ago then. */
    struct statx_timestamp opened_ctime;
    bool opened_settled;
};

/* An open file or directory. */
struct fs_handle {
    uint64_t fh; /* generation << 32 | slot */
    uint64_t node;
    int fd; /* -1 for the root and for covered directories */
    bool is_dir;
    bool used;
    int64_t pos; /* of a directory's descriptor */
};

#define FS_BUCKETS 16384

TAILQ_HEAD(fs_lru, fs_node);

/* Slots with generations: what a freed slot was called is never valid again. */
struct fs_slots {
    uint32_t *generations;
    uint32_t *free;
    size_t n, cap, nfree, free_cap, gen_cap;
};

struct fs {
    struct device dev;
    struct fs_config config;
    struct fs_share *shares[FS_SHARES_MAX];
    unsigned nshares;
    enum fs_owner owner;
    uint32_t uid, gid; /* of this process */
    unsigned cache_ms;

    bool ready; /* after INIT */
    struct fs_slots node_slots, handle_slots;
    struct fs_node **nodes; /* by slot; NULL where free */
    struct fs_handle *handles;
    struct fs_node *buckets[FS_BUCKETS];
    uint64_t hash_key;
    struct fs_lru lru;
    unsigned nnodes;
    unsigned long nfds, fds_max; /* descriptors of nodes and handles */
    uint64_t devs[256];          /* file systems seen, for inode numbers that differ */
    unsigned ndevs;

    struct virtq_chain chain; /* the request in hand */
    struct iovec data_iov[VIRTQ_CHAIN_MAX];
    uint64_t args[FS_ARGS_MAX / 8 + 1];
    uint64_t reply[FS_REPLY_MAX / 8];
    uint8_t dents[32768];
};

/* What the command line says of a share: NAME:FD[:ro][:norec]. */
struct fs_share_spec {
    char name[FS_NAME_MAX + 1];
    int fd;
    bool read_only;
    bool recursive;
};
int fs_share_parse(const char *text, struct fs_share_spec *ret, struct err *err);

/* "auto", "caller", "xattr" or "host". */
int fs_owner_parse(const char *text, enum fs_owner *ret, struct err *err);

/*
 * Adds a share to a zero-initialised *fs. The descriptor (O_PATH or O_RDONLY) of a directory or a
 * regular file stays the caller's.
 */
int fs_add_share(struct fs *fs, const struct fs_share_spec *spec, struct err *err);

/* A number of milliseconds. */
#define FS_CACHE_MS_MAX 3600000

/*
 * Fills in the device's offer; shares, owner and cache_ms are there. `proc_fd` is the directory
 * /proc/self/fd; it becomes the working directory of the process and stays the caller's.
 */
int fs_init(struct fs *fs, const char *tag, unsigned queues, int proc_fd, struct err *err);

/* Closes and frees what fs_add_share(), fs_init() and the guest have made. */
void fs_free(struct fs *fs);

#endif
