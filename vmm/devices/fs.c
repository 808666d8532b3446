/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: the device, its queues, and the general checks of requests. */
#include "vmm/devices/fs.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "vmm/devices/fs_ops.h"

/* An interrupt is not held back longer than for this much work. */
#define BATCH_BYTES    (1U << 20)
#define BATCH_REQUESTS 64

#define FUSE_MINOR_MIN   27
#define MAX_BACKGROUND   64
#define MAX_PAGES        256
#define REPLY_HEADER_LEN sizeof(struct fuse_out_header)

/*
 * What is accepted of the guest's offers. Not among them: the write-back cache, as with it the
 * guest's size and times of a file go before those of the host; locks, which are the guest's own;
 * access lists. HANDLE_KILLPRIV_V2 saves a GETXATTR for each write.
 */
#define INIT_FLAGS                                                                                 \
    ((uint32_t)(FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_AUTO_INVAL_DATA |   \
                FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2))

/* Useful only where the guest may believe what it was told along with the names. */
#define INIT_FLAGS_CACHING ((uint32_t)(FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO))

enum op_flag {
    OP_CHANGES = 1, /* refused on read-only shares */
    OP_DIR = 2,     /* the node has to be a directory */
    OP_ROOT = 4,    /* makes sense for the root */
    OP_NO_NODE = 8, /* the node is looked up by the operation itself, if at all */
    OP_NAME = 16,   /* one name of a directory entry follows the fixed arguments */
    OP_TWO_NAMES = 32,
    OP_SILENT = 64,    /* is not answered */
    OP_ANY_TIME = 128, /* before INIT, too */
    OP_COVERED = 256,  /* also below a mount point that may not be entered */
};

struct op {
    fs_op *run;
    unsigned fixed; /* bytes of arguments of fixed length */
    unsigned flags;
};

#define SETXATTR_FIXED 8 /* as without FUSE_SETXATTR_EXT */

static const struct op ops[] = {
    [FUSE_LOOKUP] = {fs_op_lookup, 0, OP_DIR | OP_ROOT | OP_NAME | OP_COVERED},
    [FUSE_FORGET] = {fs_op_forget, sizeof(struct fuse_forget_in), OP_NO_NODE | OP_SILENT},
    [FUSE_GETATTR] = {fs_op_getattr, sizeof(struct fuse_getattr_in), OP_ROOT | OP_COVERED},
    [FUSE_SETATTR] = {fs_op_setattr, sizeof(struct fuse_setattr_in), OP_CHANGES},
    [FUSE_READLINK] = {fs_op_readlink, 0, 0},
    [FUSE_SYMLINK] = {fs_op_symlink, 0, OP_CHANGES | OP_DIR | OP_NAME},
    [FUSE_MKNOD] = {fs_op_mknod, sizeof(struct fuse_mknod_in), OP_CHANGES | OP_DIR | OP_NAME},
    [FUSE_MKDIR] = {fs_op_mkdir, sizeof(struct fuse_mkdir_in), OP_CHANGES | OP_DIR | OP_NAME},
    [FUSE_UNLINK] = {fs_op_unlink, 0, OP_CHANGES | OP_DIR | OP_NAME},
    [FUSE_RMDIR] = {fs_op_rmdir, 0, OP_CHANGES | OP_DIR | OP_NAME},
    [FUSE_RENAME] = {fs_op_rename, sizeof(struct fuse_rename_in),
                     OP_CHANGES | OP_DIR | OP_TWO_NAMES},
    [FUSE_LINK] = {fs_op_link, sizeof(struct fuse_link_in), OP_CHANGES | OP_DIR | OP_NAME},
    [FUSE_OPEN] = {fs_op_open, sizeof(struct fuse_open_in), 0},
    [FUSE_READ] = {fs_op_read, sizeof(struct fuse_read_in), 0},
    [FUSE_WRITE] = {fs_op_write, sizeof(struct fuse_write_in), OP_CHANGES},
    [FUSE_STATFS] = {fs_op_statfs, 0, OP_ROOT | OP_COVERED},
    [FUSE_RELEASE] = {fs_op_release, sizeof(struct fuse_release_in), OP_NO_NODE},
    [FUSE_FSYNC] = {fs_op_fsync, sizeof(struct fuse_fsync_in), 0},
    [FUSE_SETXATTR] = {fs_op_setxattr, SETXATTR_FIXED, OP_CHANGES},
    [FUSE_GETXATTR] = {fs_op_getxattr, sizeof(struct fuse_getxattr_in), OP_ROOT | OP_COVERED},
    [FUSE_LISTXATTR] = {fs_op_listxattr, sizeof(struct fuse_getxattr_in), OP_ROOT | OP_COVERED},
    [FUSE_REMOVEXATTR] = {fs_op_removexattr, 0, OP_CHANGES},
    [FUSE_FLUSH] = {fs_op_flush, sizeof(struct fuse_flush_in), 0},
    [FUSE_INIT] = {fs_op_init, 16, OP_NO_NODE | OP_ANY_TIME},
    [FUSE_OPENDIR] = {fs_op_opendir, sizeof(struct fuse_open_in), OP_DIR | OP_ROOT | OP_COVERED},
    [FUSE_READDIR] = {fs_op_readdir, sizeof(struct fuse_read_in), OP_DIR | OP_ROOT | OP_COVERED},
    [FUSE_RELEASEDIR] = {fs_op_release, sizeof(struct fuse_release_in), OP_NO_NODE},
    [FUSE_FSYNCDIR] = {fs_op_fsync, sizeof(struct fuse_fsync_in), OP_DIR | OP_ROOT | OP_COVERED},
    [FUSE_ACCESS] = {fs_op_access, sizeof(struct fuse_access_in), OP_ROOT | OP_COVERED},
    [FUSE_CREATE] = {fs_op_create, sizeof(struct fuse_create_in), OP_CHANGES | OP_DIR | OP_NAME},
    [FUSE_DESTROY] = {fs_op_destroy, 0, OP_NO_NODE},
    [FUSE_BATCH_FORGET] = {fs_op_batch_forget, sizeof(struct fuse_batch_forget_in),
                           OP_NO_NODE | OP_SILENT},
    [FUSE_FALLOCATE] = {fs_op_fallocate, sizeof(struct fuse_fallocate_in), OP_CHANGES},
    [FUSE_READDIRPLUS] = {fs_op_readdirplus, sizeof(struct fuse_read_in),
                          OP_DIR | OP_ROOT | OP_COVERED},
    [FUSE_RENAME2] = {fs_op_rename2, sizeof(struct fuse_rename2_in),
                      OP_CHANGES | OP_DIR | OP_TWO_NAMES},
    [FUSE_LSEEK] = {fs_op_lseek, sizeof(struct fuse_lseek_in), 0},
    [FUSE_COPY_FILE_RANGE] = {fs_op_copy_file_range, sizeof(struct fuse_copy_file_range_in), 0},
    [FUSE_SYNCFS] = {fs_op_syncfs, 0, OP_ROOT | OP_COVERED},
    [FUSE_TMPFILE] = {fs_op_tmpfile, sizeof(struct fuse_create_in), OP_CHANGES | OP_DIR},
    /* Nothing waits, so there is nothing to interrupt. */
    [FUSE_INTERRUPT] = {NULL, 0, OP_NO_NODE | OP_SILENT},
};

static const struct op unknown_op;

static struct fs *fs_of(struct device *d)
{
    return (struct fs *)((char *)d - offsetof(struct fs, dev));
}

/* A new guest, or a new mount: what the last one knew is forgotten. */
int fs_op_init(struct fs *fs, struct fs_request *r)
{
    struct fuse_init_in in = {0};
    struct fuse_init_out *out = (struct fuse_init_out *)fs->reply;
    memcpy(&in, r->arg, 16);
    if (in.major < FUSE_KERNEL_VERSION ||
        (in.major == FUSE_KERNEL_VERSION && in.minor < FUSE_MINOR_MIN))
        return -EPROTO;
    fs_tables_reset(fs);
    *out = (struct fuse_init_out){.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
    /* A newer kernel asks again with our version. */
    if (in.major > FUSE_KERNEL_VERSION)
        return sizeof(*out);
    out->max_readahead = in.max_readahead;
    out->flags = in.flags & (INIT_FLAGS | (fs->cache_ms ? INIT_FLAGS_CACHING : 0));
    out->max_background = MAX_BACKGROUND;
    out->congestion_threshold = MAX_BACKGROUND * 3 / 4;
    out->max_write = FS_WRITE_MAX;
    out->time_gran = 1;
    out->max_pages = MAX_PAGES;
    fs->ready = true;
    return sizeof(*out);
}

int fs_op_destroy(struct fs *fs, struct fs_request *r)
{
    (void)r;
    fs_tables_reset(fs);
    fs->ready = false;
    return 0;
}

/* The next name of the request's rest; NULL when it is not one of a directory entry. */
static const char *take_name(struct fs_request *r, int *ret_error)
{
    const char *name = (const char *)r->rest;
    size_t len = strnlen(name, r->rest_len);
    *ret_error = -EINVAL;
    if (!len || len == r->rest_len || memchr(name, '/', len) || !strcmp(name, ".") ||
        !strcmp(name, ".."))
        return NULL;
    *ret_error = -ENAMETOOLONG;
    if (len > FS_NAME_MAX)
        return NULL;
    r->rest += len + 1;
    r->rest_len -= len + 1;
    return name;
}

static int take_names(struct fs_request *r, const struct op *op)
{
    int n = op->flags & OP_TWO_NAMES ? 2 : op->flags & OP_NAME ? 1 : 0;
    int error = 0;
    for (int i = 0; i < n; i++) {
        r->name[i] = take_name(r, &error);
        if (!r->name[i])
            return error;
    }
    return 0;
}

static int check_node(struct fs *fs, struct fs_request *r, const struct op *op)
{
    struct fs_node *n = r->node = fs_node_at(fs, r->in.nodeid);
    if (!n)
        return -ESTALE;
    if (op->flags & OP_DIR && !S_ISDIR(n->type))
        return -ENOTDIR;
    if (op->flags & OP_CHANGES && (!n->share || n->share->read_only || n->covered))
        return -EROFS;
    if (!n->share && !(op->flags & OP_ROOT))
        return -EINVAL;
    if (n->covered && !(op->flags & OP_COVERED))
        return -EACCES;
    return 0;
}

/* Copies what stands before a WRITE's bytes, or all of another request. */
static int take_args(struct fs *fs, struct fs_request *r, const struct op *op)
{
    size_t want = r->in.opcode == FUSE_WRITE ? op->fixed : r->data.len;
    if (r->data.len < op->fixed)
        return -EINVAL;
    if (want > FS_ARGS_MAX)
        return -E2BIG;
    iovs_read(&r->data, fs->args, want);
    iovs_drop(&r->data, want);
    ((uint8_t *)fs->args)[want] = 0;
    r->arg = fs->args;
    r->rest = (const uint8_t *)fs->args + op->fixed;
    r->rest_len = want - op->fixed;
    return 0;
}

static int run(struct fs *fs, struct fs_request *r)
{
    const struct op *op = &unknown_op;
    if (r->in.opcode < sizeof(ops) / sizeof(ops[0]))
        op = &ops[r->in.opcode];
    r->silent = op->flags & OP_SILENT;
    if (!op->run)
        return -ENOSYS;
    if (!fs->ready && !(op->flags & OP_ANY_TIME))
        return -EIO;
    int e = take_args(fs, r, op);
    if (!e && !(op->flags & OP_NO_NODE))
        e = check_node(fs, r, op);
    if (!e)
        e = take_names(r, op);
    return e ? e : op->run(fs, r);
}

/* Writes the answer; returns what goes into the used ring's length. */
static uint32_t reply(struct fs *fs, const struct fs_request *r, struct iovs writable, int result)
{
    size_t len = result > 0 ? (size_t)result : 0;
    size_t room = writable.len - REPLY_HEADER_LEN;
    if (len > room && !r->direct) {
        result = -EIO;
        len = 0;
    }
    const struct fuse_out_header out = {
        .len = (uint32_t)(REPLY_HEADER_LEN + len),
        .error = result < 0 ? result : 0,
        .unique = r->in.unique,
    };
    iovs_write(&writable, &out, sizeof(out));
    iovs_drop(&writable, sizeof(out));
    if (len && !r->direct)
        iovs_write(&writable, fs->reply, len);
    return out.len;
}

/* Works off the request in fs->chain. What is no request is given back without an answer. */
static uint32_t answer(struct fs *fs)
{
    struct virtq_chain *c = &fs->chain;
    struct fs_request r = {.data = c->readable};
    if (iovs_read(&c->readable, &r.in, sizeof(r.in)) < sizeof(r.in) || r.in.len < sizeof(r.in) ||
        r.in.len > c->readable.len)
        return 0;
    iovs_drop_end(&r.data, r.data.len - r.in.len);
    iovs_drop(&r.data, sizeof(r.in));
    /* The vectors are cut in what follows, and the header is written at the end. */
    unsigned n = c->writable.n;
    memcpy(fs->data_iov, c->writable.v, n * sizeof(fs->data_iov[0]));
    r.room = (struct iovs){fs->data_iov, n, c->writable.len};
    iovs_drop(&r.room, REPLY_HEADER_LEN);
    int result = run(fs, &r);
    if (r.silent || c->writable.len < REPLY_HEADER_LEN)
        return 0;
    return reply(fs, &r, c->writable, result);
}

static int fs_run(struct device *d, unsigned q, struct err *err)
{
    struct fs *fs = fs_of(d);
    struct virtq *vq = &d->queues[q];
    uint64_t bytes = 0;
    bool more = true;
    virtq_kicks_off(vq);
    for (unsigned n = 0; more && n < BATCH_REQUESTS && bytes < BATCH_BYTES; n++) {
        int r = virtq_pop(vq, &fs->chain, err);
        if (r < 0)
            return -1;
        if (r == 0) {
            more = virtq_kicks_on(vq);
            continue;
        }
        bytes += fs->chain.readable.len + fs->chain.writable.len;
        virtq_push(vq, fs->chain.head, answer(fs));
    }
    virtq_flush(vq);
    if (more)
        device_again(d, q);
    return 0;
}

static const struct device_ops fs_ops = {.name = "fs", .run = fs_run};

/* How many descriptors nodes and files may have. */
static int limit_fds(struct fs *fs, struct err *err)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r))
        return err_set(err, errno, "cannot read the limit of descriptors");
    rlim_t reserve = FS_NOFILE_RESERVE + fs->nshares;
    fs->fds_max = r.rlim_cur > 2 * reserve ? (unsigned long)(r.rlim_cur - reserve) : reserve / 2;
    return 0;
}

static int choose_owner(struct fs *fs, struct err *err)
{
    fs->uid = geteuid();
    fs->gid = getegid();
    if (fs->owner == FS_OWNER_AUTO)
        fs->owner = fs->uid ? FS_OWNER_CALLER : FS_OWNER_HOST;
    if (getrandom(&fs->hash_key, sizeof(fs->hash_key), 0) != sizeof(fs->hash_key))
        return err_set(err, errno, "cannot get random bytes");
    return 0;
}

int fs_init(struct fs *fs, const char *tag, unsigned queues, int proc_fd, struct err *err)
{
    size_t len = strlen(tag);
    if (!fs->nshares)
        return err_set(err, 0, "there is no share; give --share");
    if (!len || len > FS_TAG_MAX)
        return err_set(err, 0, "tag \"%s\": give 1 to %d bytes", tag, FS_TAG_MAX);
    if (fchdir(proc_fd))
        return err_set(err, errno, "cannot work in the folder of the process's descriptors");
    umask(0);
    if (limit_fds(fs, err) || choose_owner(fs, err))
        return -1;
    memcpy(fs->config.tag, tag, len);
    fs->config.num_request_queues = htole32(queues);
    fs->dev.ops = &fs_ops;
    fs->dev.offered = 0;
    fs->dev.nqueues = 1 + queues;
    fs->dev.config = &fs->config;
    fs->dev.config_len = sizeof(fs->config);
    return device_init(&fs->dev, err);
}

void fs_free(struct fs *fs)
{
    device_free(&fs->dev);
    fs_tables_free(fs);
    for (unsigned i = 0; i < fs->nshares; i++)
        free(fs->shares[i]);
    fs->nshares = 0;
}
