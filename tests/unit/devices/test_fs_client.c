/* SPDX-License-Identifier: Apache-2.0 */
/* A FUSE client on the tests' front end. */
#include "test_fs_client.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#define HEADER (FRONT_GPA + FRONT_DATA)
#define ARGS   (FRONT_GPA2 + 1)
#define OUT    (FRONT_GPA + FRONT_DATA + 0x1000)
#define REPLY  (FRONT_GPA2 + (4U << 20))
#define QUEUE  1

char *fs_host_path(struct fs_bench *t, const char *path)
{
    static char text[512];
    snprintf(text, sizeof(text), "%s/%s", t->dir, path);
    return text;
}

void fs_host_write(struct fs_bench *t, const char *path, const char *text)
{
    int fd = open(fs_host_path(t, path), O_CREAT | O_WRONLY | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    close(fd);
}

static void add_share(struct fs_bench *t, unsigned i, const char *name)
{
    struct fs_share_spec spec = {.recursive = true, .read_only = !strcmp(name, "ro")};
    struct err err;
    snprintf(spec.name, sizeof(spec.name), "%s", name);
    t->fds[i] = spec.fd = open(fs_host_path(t, name), O_PATH | O_CLOEXEC);
    assert_true(spec.fd >= 0);
    assert_int_equal(fs_add_share(t->fs, &spec, &err), 0);
}

struct fs_bench *fs_bench_raw(enum fs_owner owner)
{
    struct fs_bench *t = test_calloc(1, sizeof(*t));
    struct err err;
    strcpy(t->dir, "/tmp/test-fs-XXXXXX");
    assert_non_null(mkdtemp(t->dir));
    assert_int_equal(mkdir(fs_host_path(t, "rw"), 0755), 0);
    assert_int_equal(mkdir(fs_host_path(t, "ro"), 0755), 0);
    fs_host_write(t, "rw/file", "content");
    fs_host_write(t, "ro/file", "content");
    fs_host_write(t, "one", "single");
    t->fs = calloc(1, sizeof(*t->fs));
    t->fs->owner = owner;
    add_share(t, 0, "rw");
    add_share(t, 1, "ro");
    add_share(t, 2, "one");
    t->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fs_init(t->fs, "volumes", 1, t->proc_fd, &err), 0);
    front_start(&t->f, &t->fs->dev);
    front_negotiate(&t->f, 0);
    front_queues(&t->f, 2);
    t->uid = geteuid();
    t->gid = getegid();
    return t;
}

struct fs_bench *fs_bench_new(enum fs_owner owner)
{
    struct fs_bench *t = fs_bench_raw(owner);
    struct fuse_init_out out;
    assert_true(fs_init_call(t, 7, 38, &out) > 0);
    t->rw = fs_node(t, FUSE_ROOT_ID, "rw");
    t->ro = fs_node(t, FUSE_ROOT_ID, "ro");
    return t;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

void fs_bench_end(struct fs_bench *t)
{
    if (front_end(&t->f))
        fail_msg("the device gave up: %s", t->f.err.msg);
    fs_free(t->fs);
    free(t->fs);
    for (int i = 0; i < 3; i++)
        close(t->fds[i]);
    close(t->proc_fd);
    nftw(t->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    test_free(t);
}

static size_t add_args(struct fs_bench *t, struct front_buf *bufs, size_t len)
{
    size_t parts = t->in_parts && t->in_parts <= len ? t->in_parts : 1, n = 0;
    for (size_t i = 0; i < parts && len; i++) {
        size_t from = len * i / parts, to = len * (i + 1) / parts;
        bufs[n++] = (struct front_buf){ARGS + from, (uint32_t)(to - from), false};
    }
    return n;
}

int fs_call(struct fs_bench *t, uint32_t opcode, uint64_t node, const void *arg, size_t len,
            void *out, size_t cap)
{
    struct front_buf bufs[64] = {{HEADER, sizeof(struct fuse_in_header), false}};
    struct fuse_in_header h = {
        .len = (uint32_t)(sizeof(h) + len),
        .opcode = opcode,
        .unique = ++t->unique,
        .nodeid = node,
        .uid = t->uid,
        .gid = t->gid,
    };
    struct fuse_out_header o;
    memcpy(front_at(&t->f, HEADER), &h, sizeof(h));
    if (len)
        memcpy(front_at(&t->f, ARGS), arg, len);
    memset(front_at(&t->f, OUT), 0xee, sizeof(o));
    size_t n = 1 + add_args(t, bufs + 1, len);
    if (!t->no_reply_part) {
        bufs[n++] = (struct front_buf){OUT, sizeof(o), true};
        if (cap)
            bufs[n++] = (struct front_buf){REPLY, (uint32_t)cap, true};
    }
    front_add(&t->f, QUEUE, bufs, n);
    front_kick(&t->f, QUEUE);
    front_used(&t->f, QUEUE, &t->used);
    if (!t->used)
        return 0;
    memcpy(&o, front_at(&t->f, OUT), sizeof(o));
    assert_int_equal(o.unique, t->unique);
    assert_int_equal(o.len, t->used);
    if (o.error) {
        assert_int_equal(o.len, sizeof(o));
        return o.error;
    }
    if (o.len > sizeof(o))
        memcpy(out, front_at(&t->f, REPLY), o.len - sizeof(o));
    return (int)(o.len - sizeof(o));
}

int fs_call_name(struct fs_bench *t, uint32_t opcode, uint64_t node, const void *arg, size_t len,
                 const char *name, const char *name2, void *out, size_t cap)
{
    char buf[8192];
    size_t n = len;
    memcpy(buf, arg ? arg : "", len);
    const char *names[] = {name, name2};
    for (size_t i = 0; i < 2 && names[i]; i++) {
        memcpy(buf + n, names[i], strlen(names[i]) + 1);
        n += strlen(names[i]) + 1;
    }
    return fs_call(t, opcode, node, buf, n, out, cap);
}

int fs_init_call(struct fs_bench *t, uint32_t major, uint32_t minor, struct fuse_init_out *out)
{
    struct fuse_init_in in = {
        .major = major, .minor = minor, .max_readahead = 131072, .flags = 0x7fffffff};
    return fs_call(t, FUSE_INIT, 0, &in, sizeof(in), out, sizeof(*out));
}

int fs_find(struct fs_bench *t, uint64_t dir, const char *name, struct fuse_entry_out *out)
{
    int r = fs_call_name(t, FUSE_LOOKUP, dir, NULL, 0, name, NULL, out, sizeof(*out));
    return r < 0 ? r : 0;
}

uint64_t fs_node(struct fs_bench *t, uint64_t dir, const char *name)
{
    struct fuse_entry_out out;
    assert_int_equal(fs_find(t, dir, name, &out), 0);
    return out.nodeid;
}

int fs_open(struct fs_bench *t, uint64_t node, uint32_t flags, uint64_t *ret_fh)
{
    struct fuse_open_in in = {.flags = flags};
    struct fuse_open_out out;
    int r = fs_call(t, FUSE_OPEN, node, &in, sizeof(in), &out, sizeof(out));
    if (r >= 0)
        *ret_fh = out.fh;
    return r < 0 ? r : 0;
}

int fs_create(struct fs_bench *t, uint64_t dir, const char *name, uint32_t flags, uint32_t mode,
              uint64_t *ret_node, uint64_t *ret_fh)
{
    struct fuse_create_in in = {.flags = flags, .mode = S_IFREG | mode};
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out;
    int r = fs_call_name(t, FUSE_CREATE, dir, &in, sizeof(in), name, NULL, &out, sizeof(out));
    if (r < 0)
        return r;
    *ret_node = out.entry.nodeid;
    *ret_fh = out.open.fh;
    return 0;
}

int fs_release(struct fs_bench *t, uint64_t node, uint64_t fh)
{
    struct fuse_release_in in = {.fh = fh};
    char none;
    return fs_call(t, FUSE_RELEASE, node, &in, sizeof(in), &none, 0);
}

int fs_read(struct fs_bench *t, uint64_t node, uint64_t fh, uint64_t off, void *buf, uint32_t len)
{
    struct fuse_read_in in = {.fh = fh, .offset = off, .size = len};
    return fs_call(t, FUSE_READ, node, &in, sizeof(in), buf, len);
}

int fs_write(struct fs_bench *t, uint64_t node, uint64_t fh, uint64_t off, const void *buf,
             uint32_t len, uint32_t flags)
{
    struct fuse_write_in in = {.fh = fh, .offset = off, .size = len, .flags = flags};
    struct fuse_write_out out;
    char *all = malloc(sizeof(in) + len);
    memcpy(all, &in, sizeof(in));
    memcpy(all + sizeof(in), buf, len);
    int r = fs_call(t, FUSE_WRITE, node, all, sizeof(in) + len, &out, sizeof(out));
    free(all);
    return r < 0 ? r : (int)out.size;
}

int fs_attr(struct fs_bench *t, uint64_t node, struct fuse_attr *ret)
{
    struct fuse_getattr_in in = {0};
    struct fuse_attr_out out;
    int r = fs_call(t, FUSE_GETATTR, node, &in, sizeof(in), &out, sizeof(out));
    if (r >= 0)
        *ret = out.attr;
    return r < 0 ? r : 0;
}

void fs_forget(struct fs_bench *t, uint64_t node, uint64_t n)
{
    struct fuse_forget_in in = {n};
    t->no_reply_part = true;
    fs_call(t, FUSE_FORGET, node, &in, sizeof(in), NULL, 0);
    t->no_reply_part = false;
    assert_int_equal(t->used, 0);
}
