/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: open files, directories, attributes, owners, and what happens when things run out. */
#include "test_fs_client.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/devices/fs_ops.h"

static void reading_and_writing(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    uint64_t fh, wo, file = fs_node(t, t->rw, "file");
    char buf[64];
    assert_int_equal(fs_open(t, file, O_RDWR, &fh), 0);
    assert_int_equal(fs_read(t, file, fh, 0, buf, sizeof(buf)), 7);
    assert_memory_equal(buf, "content", 7);
    assert_int_equal(fs_read(t, file, fh, 3, buf, 2), 2);
    assert_memory_equal(buf, "te", 2);
    assert_int_equal(fs_read(t, file, fh, 7, buf, 2), 0);
    assert_int_equal(fs_read(t, file, fh, INT64_MAX, buf, 2), -EINVAL);
    assert_int_equal(fs_read(t, file, fh, UINT64_MAX, buf, 2), -EINVAL);
    assert_int_equal(fs_write(t, file, fh, 5, "XYZ", 3, 0), 3);
    assert_int_equal(fs_write(t, file, fh, INT64_MAX, "XYZ", 3, 0), -EINVAL);
    /* Appending goes to the end, whatever the guest thinks that is, but not what a cache writes. */
    assert_int_equal(fs_write(t, file, fh, 0, "end", 3, O_WRONLY | O_APPEND), 3);
    assert_int_equal(fs_read(t, file, fh, 0, buf, sizeof(buf)), 11);
    assert_memory_equal(buf, "conteXYZend", 11);
    assert_int_equal(fs_write(t, file, fh, 0, "C", 1, O_WRONLY | O_DSYNC), 1);
    assert_int_equal(fs_open(t, file, O_WRONLY, &wo), 0);
    assert_int_equal(fs_read(t, file, wo, 0, buf, 1), -EBADF);
    /* Handles that are none, or another file's, or closed. */
    assert_int_equal(fs_read(t, t->rw, fh, 0, buf, 1), -EBADF);
    assert_int_equal(fs_read(t, file, 99, 0, buf, 1), -EBADF);
    assert_int_equal(fs_release(t, file, fh), 0);
    assert_int_equal(fs_release(t, file, fh), -EBADF);
    assert_int_equal(fs_read(t, file, fh, 0, buf, 1), -EBADF);
    assert_int_equal(fs_open(t, t->rw, O_RDONLY, &fh), -EISDIR);
    fs_bench_end(t);
}

static void sizes_that_lie(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    uint64_t fh, file = fs_node(t, t->rw, "file");
    struct fuse_write_out out;
    char buf[16];
    assert_int_equal(fs_open(t, file, O_RDWR, &fh), 0);
    struct {
        struct fuse_write_in in;
        char data[16];
    } w = {{.fh = fh, .size = 17}, "0123456789abcde"};
    assert_int_equal(fs_call(t, FUSE_WRITE, file, &w, sizeof(w), &out, sizeof(out)), -EINVAL);
    w.in.size = 15;
    assert_int_equal(fs_call(t, FUSE_WRITE, file, &w, sizeof(w), &out, sizeof(out)), -EINVAL);
    w.in.size = UINT32_MAX;
    assert_int_equal(fs_call(t, FUSE_WRITE, file, &w, sizeof(w), &out, sizeof(out)), -EINVAL);
    /* A READ for more than there is room: what fits. */
    struct fuse_read_in r = {.fh = fh, .size = UINT32_MAX};
    assert_int_equal(fs_call(t, FUSE_READ, file, &r, sizeof(r), buf, 4), 4);
    r.size = 2;
    memset(front_at(&t->f, FRONT_GPA2 + (4U << 20)), 'x', 8);
    assert_int_equal(fs_call(t, FUSE_READ, file, &r, sizeof(r), buf, 8), 2);
    assert_memory_equal(front_at(&t->f, FRONT_GPA2 + (4U << 20)), "coxxxxxx", 8);
    fs_bench_end(t);
}

static void creating(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    uint64_t node, fh, file = fs_node(t, t->rw, "file");
    struct fuse_attr a;
    assert_int_equal(fs_create(t, t->rw, "new", O_RDWR | O_EXCL, 04751, &node, &fh), 0);
    assert_int_equal(fs_attr(t, node, &a), 0);
    assert_int_equal(a.mode, S_IFREG | 04751);
    assert_int_equal(fs_create(t, t->rw, "new", O_RDWR | O_EXCL, 0600, &node, &fh), -EEXIST);
    assert_int_equal(fs_create(t, t->rw, "file", O_RDWR, 0600, &node, &fh), 0);
    assert_int_equal(node, file);
    assert_int_equal(fs_attr(t, node, &a), 0);
    assert_true(a.size == 7 && a.mode == (S_IFREG | 0644));
    assert_int_equal(fs_create(t, t->rw, "file", O_RDWR | O_TRUNC, 0600, &node, &fh), 0);
    assert_int_equal(fs_attr(t, node, &a), 0);
    assert_int_equal(a.size, 0);
    /* What the guest's kernel would not ask for. */
    assert_int_equal(symlink("/etc/passwd", fs_host_path(t, "rw/link")), 0);
    assert_int_equal(mkfifo(fs_host_path(t, "rw/fifo"), 0600), 0);
    assert_int_equal(fs_create(t, t->rw, "link", O_RDWR, 0600, &node, &fh), -ELOOP);
    assert_int_equal(fs_create(t, t->rw, "fifo", O_RDONLY, 0600, &node, &fh), -EACCES);
    assert_int_equal(fs_open(t, fs_node(t, t->rw, "link"), O_RDONLY, &fh), -EACCES);
    assert_int_equal(fs_open(t, fs_node(t, t->rw, "fifo"), O_RDONLY, &fh), -EACCES);
    struct fuse_create_in in = {.flags = O_RDWR, .mode = S_IFREG | 0600};
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out;
    assert_int_equal(
        fs_call_name(t, FUSE_TMPFILE, t->rw, &in, sizeof(in), "/", NULL, &out, sizeof(out)),
        sizeof(out));
    assert_int_equal(out.entry.attr.nlink, 0);
    struct fuse_link_in link_in = {out.entry.nodeid};
    assert_int_equal(fs_call_name(t, FUSE_LINK, t->rw, &link_in, sizeof(link_in), "tmp", NULL,
                                  &out.entry, sizeof(out.entry)),
                     sizeof(out.entry));
    assert_int_equal(access(fs_host_path(t, "rw/tmp"), F_OK), 0);
    fs_bench_end(t);
}

static int setattr(struct fs_bench *t, uint64_t node, struct fuse_setattr_in in)
{
    struct fuse_attr_out out;
    int r = fs_call(t, FUSE_SETATTR, node, &in, sizeof(in), &out, sizeof(out));
    return r < 0 ? r : 0;
}

static void attributes(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    uint64_t file = fs_node(t, t->rw, "file");
    struct fuse_setattr_in in = {.valid = FATTR_SIZE | FATTR_MODE | FATTR_ATIME | FATTR_MTIME,
                                 .size = 3,
                                 .mode = 0712,
                                 .atime = 5,
                                 .atimensec = 6,
                                 .mtime = (uint64_t)-7,
                                 .mtimensec = 8};
    struct fuse_attr a;
    assert_int_equal(setattr(t, file, in), 0);
    assert_int_equal(fs_attr(t, file, &a), 0);
    assert_true(a.size == 3 && a.mode == (S_IFREG | 0712) && a.atime == 5 && a.atimensec == 6);
    assert_true((int64_t)a.mtime == -7 && a.mtimensec == 8);
    in = (struct fuse_setattr_in){.valid = FATTR_MTIME, .mtime = 5, .mtimensec = UINT32_MAX};
    assert_int_equal(setattr(t, file, in), 0);
    in = (struct fuse_setattr_in){.valid = FATTR_SIZE, .size = UINT64_MAX};
    assert_int_equal(setattr(t, file, in), -EFBIG);
    in.size = 1;
    assert_int_equal(setattr(t, t->rw, in), -EISDIR);
    assert_int_equal(setattr(t, FUSE_ROOT_ID, in), -EROFS);
    /* Who made everything is 0 to the guest, and nobody else can be given a file. */
    assert_true(a.uid == 0 && a.gid == 0);
    in = (struct fuse_setattr_in){.valid = FATTR_UID | FATTR_GID, .uid = 0, .gid = 0};
    assert_int_equal(setattr(t, file, in), 0);
    in.uid = 1000;
    assert_int_equal(setattr(t, file, in), -EPERM);
    if (geteuid() == 0) {
        assert_int_equal(chown(fs_host_path(t, "rw/file"), 1234, 4321), 0);
        assert_int_equal(fs_attr(t, file, &a), 0);
        assert_true(a.uid == 65534 && a.gid == 65534);
    }
    fs_bench_end(t);
}

static int xattr_get(struct fs_bench *t, uint64_t node, const char *name, uint32_t size, void *out)
{
    struct fuse_getxattr_in in = {.size = size};
    return fs_call_name(t, FUSE_GETXATTR, node, &in, sizeof(in), name, NULL, out, size ? size : 8);
}

static int xattr_set(struct fs_bench *t, uint64_t node, const char *name, const char *value)
{
    char buf[512];
    uint32_t head[2] = {(uint32_t)strlen(value), 0};
    size_t n = strlen(name) + 1;
    memcpy(buf, head, 8);
    memcpy(buf + 8, name, n);
    memcpy(buf + 8 + n, value, head[0]);
    return fs_call(t, FUSE_SETXATTR, node, buf, 8 + n + head[0], NULL, 0);
}

static void owners_in_attributes(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_XATTR);
    uint64_t node, fh, file = fs_node(t, t->rw, "file");
    struct fuse_setattr_in in = {.valid = FATTR_UID, .uid = 999};
    struct fuse_attr a;
    char buf[64];
    assert_int_equal(setattr(t, file, in), 0);
    assert_int_equal(fs_attr(t, file, &a), 0);
    assert_true(a.uid == 999 && a.gid == 0);
    in = (struct fuse_setattr_in){.valid = FATTR_GID, .gid = 4000000000U};
    assert_int_equal(setattr(t, file, in), 0);
    assert_int_equal(fs_attr(t, file, &a), 0);
    assert_true(a.uid == 999 && a.gid == 4000000000U);
    assert_int_equal(getxattr(fs_host_path(t, "rw/file"), FS_OWNER_NAME, buf, 64), 14);
    assert_memory_equal(buf, "999:4000000000", 14);
    /* Only the device changes it. */
    assert_int_equal(xattr_get(t, file, FS_OWNER_NAME, 64, buf), -ENODATA);
    assert_int_equal(xattr_set(t, file, FS_OWNER_NAME, "0:0"), -EOPNOTSUPP);
    t->uid = 5;
    t->gid = 6;
    assert_int_equal(fs_create(t, t->rw, "mine", O_RDWR, 0600, &node, &fh), 0);
    assert_int_equal(fs_attr(t, node, &a), 0);
    assert_true(a.uid == 5 && a.gid == 6);
    static const char *const odd[] = {
        "", "5", ":", "5:", "-1:5", "4294967295:1", "1:2:3", "x:y", "11111111111111111111111"};
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        assert_int_equal(
            setxattr(fs_host_path(t, "rw/mine"), FS_OWNER_NAME, odd[i], strlen(odd[i]), 0), 0);
        assert_int_equal(fs_attr(t, node, &a), 0);
        assert_true(a.uid == 0 && a.gid == 0);
    }
    fs_bench_end(t);
}

static void owners_of_the_host(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct fs_bench *t = fs_bench_new(FS_OWNER_AUTO);
    uint64_t node, fh;
    struct stat st;
    struct fuse_entry_out e;
    struct fuse_mkdir_in in = {.mode = 0700};
    t->uid = 1234;
    t->gid = 4321;
    assert_int_equal(fs_create(t, t->rw, "f", O_RDWR, 06711, &node, &fh), 0);
    assert_int_equal(stat(fs_host_path(t, "rw/f"), &st), 0);
    assert_true(st.st_uid == 1234 && st.st_gid == 4321 && (st.st_mode & 07777) == 06711);
    struct fuse_write_in w = {.fh = fh, .write_flags = FUSE_WRITE_KILL_SUIDGID};
    struct fuse_write_out out;
    assert_int_equal(fs_call(t, FUSE_WRITE, node, &w, sizeof(w), &out, sizeof(out)), sizeof(out));
    assert_int_equal(stat(fs_host_path(t, "rw/f"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    /* A directory that hands its group on. */
    assert_int_equal(chown(fs_host_path(t, "rw"), 0, 77), 0);
    assert_int_equal(chmod(fs_host_path(t, "rw"), 02755), 0);
    assert_int_equal(fs_call_name(t, FUSE_MKDIR, t->rw, &in, sizeof(in), "d", NULL, &e, sizeof(e)),
                     sizeof(e));
    assert_true(e.attr.uid == 1234 && e.attr.gid == 77);
    fs_bench_end(t);
}

static void extended_attributes(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    uint64_t file = fs_node(t, t->rw, "file");
    struct fuse_getxattr_in in = {.size = 64};
    char buf[64];
    static const char *const others[] = {"security.capability", "trusted.x",
                                         "system.posix_acl_access", "user", "x.y"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        assert_int_equal(xattr_get(t, file, others[i], 64, buf), -ENODATA);
        assert_int_equal(xattr_set(t, file, others[i], "v"), -EOPNOTSUPP);
    }
    assert_int_equal(xattr_set(t, file, "user.a", "value"), 0);
    assert_int_equal(xattr_get(t, file, "user.a", 64, buf), 5);
    assert_int_equal(xattr_get(t, file, "user.a", 4, buf), -ERANGE);
    assert_int_equal(xattr_get(t, file, "user.a", 0, buf), 8);
    assert_int_equal(*(uint32_t *)(void *)buf, 5);
    assert_int_equal(setxattr(fs_host_path(t, "rw/file"), FS_OWNER_NAME, "1:1", 3, 0), 0);
    assert_int_equal(fs_call(t, FUSE_LISTXATTR, file, &in, sizeof(in), buf, 64), 7);
    assert_memory_equal(buf, "user.a", 7);
    uint32_t lie[4] = {1000, 0};
    memcpy(lie + 2, "user.b", 7);
    assert_int_equal(fs_call(t, FUSE_SETXATTR, file, lie, sizeof(lie), NULL, 0), -EINVAL);
    assert_int_equal(xattr_get(t, FUSE_ROOT_ID, "user.a", 64, buf), -ENODATA);
    assert_int_equal(fs_call_name(t, FUSE_REMOVEXATTR, file, NULL, 0, "user.a", NULL, buf, 0), 0);
    fs_bench_end(t);
}

/* Reads a directory with answers of at most `room` bytes: how many names, "." and ".." included. */
static int list(struct fs_bench *t, uint64_t node, uint32_t room, bool plus)
{
    struct fuse_open_in open_in = {0};
    struct fuse_open_out open;
    uint64_t off = 0;
    int n = 0, len;
    assert_int_equal(fs_call(t, FUSE_OPENDIR, node, &open_in, sizeof(open_in), &open, sizeof(open)),
                     sizeof(open));
    do {
        static uint64_t buf[8192];
        struct fuse_read_in in = {.fh = open.fh, .offset = off, .size = room};
        len = fs_call(t, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof(in), buf, room);
        size_t head = plus ? sizeof(struct fuse_entry_out) : 0;
        for (int at = 0; at < len; n++) {
            const struct fuse_dirent *d = (const void *)((uint8_t *)buf + at + head);
            off = d->off;
            at += (int)FUSE_REC_ALIGN(head + FUSE_NAME_OFFSET + d->namelen);
        }
    } while (len > 0);
    struct fuse_release_in rel = {.fh = open.fh};
    assert_int_equal(fs_call(t, FUSE_RELEASEDIR, node, &rel, sizeof(rel), NULL, 0), 0);
    return len < 0 ? len : n;
}

static void reading_directories(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    char name[64];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "rw/a-file-with-number-%d", i);
        fs_host_write(t, name, "");
    }
    static const uint32_t rooms[] = {300, 512, 4096, 65536};
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
        assert_int_equal(list(t, t->rw, rooms[i], false), 503);
        assert_int_equal(list(t, t->rw, rooms[i], true), 503);
        assert_int_equal(list(t, FUSE_ROOT_ID, rooms[i], false), 5);
        assert_int_equal(list(t, FUSE_ROOT_ID, rooms[i], true), 5);
    }
    assert_int_equal(list(t, t->rw, 8, false), -EINVAL);
    /* Each READDIRPLUS was a lookup. */
    struct fuse_attr a;
    uint64_t node = fs_node(t, t->rw, "a-file-with-number-7");
    fs_forget(t, node, 4);
    assert_int_equal(fs_attr(t, node, &a), 0);
    fs_forget(t, node, 1);
    assert_int_equal(fs_attr(t, node, &a), -ESTALE);
    fs_bench_end(t);
}

static void what_is_done_to_open_files(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    uint64_t fh, file = fs_node(t, t->rw, "file");
    struct fuse_attr a;
    assert_int_equal(fs_open(t, file, O_RDWR, &fh), 0);
    struct fuse_fallocate_in fa = {.fh = fh, .length = 1 << 20};
    assert_int_equal(fs_call(t, FUSE_FALLOCATE, file, &fa, sizeof(fa), NULL, 0), 0);
    fa.mode = FALLOC_FL_COLLAPSE_RANGE;
    assert_int_equal(fs_call(t, FUSE_FALLOCATE, file, &fa, sizeof(fa), NULL, 0), -EOPNOTSUPP);
    fa = (struct fuse_fallocate_in){.fh = fh, .offset = UINT64_MAX, .length = 1};
    assert_int_equal(fs_call(t, FUSE_FALLOCATE, file, &fa, sizeof(fa), NULL, 0), -EFBIG);
    assert_int_equal(fs_attr(t, file, &a), 0);
    assert_int_equal(a.size, 1 << 20);
    struct fuse_lseek_in ls = {.fh = fh, .whence = SEEK_HOLE};
    struct fuse_lseek_out lo;
    assert_int_equal(fs_call(t, FUSE_LSEEK, file, &ls, sizeof(ls), &lo, sizeof(lo)), sizeof(lo));
    ls.whence = SEEK_SET;
    assert_int_equal(fs_call(t, FUSE_LSEEK, file, &ls, sizeof(ls), &lo, sizeof(lo)), -EINVAL);
    struct fuse_copy_file_range_in c = {
        .fh_in = fh, .nodeid_out = file, .fh_out = fh, .off_out = 1000, .len = 7};
    struct fuse_write_out w;
    assert_int_equal(fs_call(t, FUSE_COPY_FILE_RANGE, file, &c, sizeof(c), &w, sizeof(w)),
                     sizeof(w));
    assert_int_equal(w.size, 7);
    c.fh_out = 5555;
    assert_int_equal(fs_call(t, FUSE_COPY_FILE_RANGE, file, &c, sizeof(c), &w, sizeof(w)), -EBADF);
    struct fuse_fsync_in fs_in = {.fh = fh, .fsync_flags = FUSE_FSYNC_FDATASYNC};
    assert_int_equal(fs_call(t, FUSE_FSYNC, file, &fs_in, sizeof(fs_in), NULL, 0), 0);
    struct fuse_flush_in fl = {.fh = fh};
    assert_int_equal(fs_call(t, FUSE_FLUSH, file, &fl, sizeof(fl), NULL, 0), 0);
    /* Locks are the guest's own. */
    struct fuse_lk_in lk = {.fh = fh};
    static const uint32_t lock_ops[] = {FUSE_GETLK, FUSE_SETLK, FUSE_SETLKW, FUSE_IOCTL, FUSE_POLL};
    for (size_t i = 0; i < ARRAY_SIZE(lock_ops); i++)
        assert_int_equal(fs_call(t, lock_ops[i], file, &lk, sizeof(lk), &lo, 8), -ENOSYS);
    t->no_reply_part = true;
    assert_int_equal(fs_call(t, FUSE_INTERRUPT, file, &fl, 8, NULL, 0), 0);
    t->no_reply_part = false;
    fs_bench_end(t);
}

static int rename_in(struct fs_bench *t, const char *from, const char *to)
{
    struct fuse_rename_in in = {t->rw};
    return fs_call_name(t, FUSE_RENAME, t->rw, &in, sizeof(in), from, to, NULL, 0);
}

static void descriptors_run_out(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    enum { FILES = 200 };
    uint64_t node[FILES], fh[FILES];
    struct fuse_attr a;
    char name[32];
    int r = 0, open = 0;
    t->fs->fds_max = 40;
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "rw/f%d", i);
        fs_host_write(t, name, "x");
        node[i] = fs_node(t, t->rw, name + 3);
        assert_true(t->fs->nfds <= 40);
    }
    /* All are still known: their descriptors come back when they are asked for. */
    for (int i = 0; i < FILES; i++)
        assert_int_equal(fs_attr(t, node[i], &a), 0);
    /* Renamed by the guest it is found, renamed or replaced by the host it is stale. */
    assert_int_equal(rename_in(t, "f0", "g0"), 0);
    assert_int_equal(rename(fs_host_path(t, "rw/f2"), "/tmp/test-fs-moved"), 0);
    assert_int_equal(unlink("/tmp/test-fs-moved"), 0);
    fs_host_write(t, "rw/f2", "other");
    for (int i = 10; i < FILES; i++)
        assert_int_equal(fs_attr(t, node[i], &a), 0);
    assert_int_equal(fs_attr(t, node[0], &a), 0);
    assert_int_equal(fs_attr(t, node[2], &a), -ESTALE);
    /* Open files cannot be put aside: an error, and all is well when some are closed. */
    while (open < FILES && !(r = fs_open(t, node[10 + open], O_RDWR, &fh[open])))
        open++;
    assert_int_equal(r, -ENFILE);
    assert_true(open > 10 && open <= 40);
    assert_int_equal(fs_create(t, t->rw, "more", O_RDWR, 0600, &node[9], &fh[open]), -ENFILE);
    while (open-- > 0)
        assert_int_equal(fs_release(t, node[10 + open], fh[open]), 0);
    assert_int_equal(fs_attr(t, node[199], &a), 0);
    assert_int_equal(fs_open(t, node[199], O_RDWR, &fh[0]), 0);
    fs_bench_end(t);
}

/* Somebody on the host swaps a directory and a link to a place outside. */
struct swapper {
    char a[64], b[64];
    bool stop;
};

static void *swap(void *data)
{
    struct swapper *s = data;
    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED))
        syscall(SYS_renameat2, AT_FDCWD, s->a, AT_FDCWD, s->b, RENAME_EXCHANGE);
    return NULL;
}

static void swapped_links_lead_nowhere(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct swapper s = {0};
    struct fuse_entry_out e;
    pthread_t thread;
    unsigned dirs = 0, links = 0;
    assert_int_equal(mkdir(fs_host_path(t, "outside"), 0755), 0);
    fs_host_write(t, "outside/f", "secret");
    assert_int_equal(mkdir(fs_host_path(t, "rw/d"), 0755), 0);
    fs_host_write(t, "rw/d/f", "inside");
    assert_int_equal(symlink("../outside", fs_host_path(t, "rw/l")), 0);
    snprintf(s.a, sizeof(s.a), "%s/rw/d", t->dir);
    snprintf(s.b, sizeof(s.b), "%s/rw/l", t->dir);
    assert_int_equal(pthread_create(&thread, NULL, swap, &s), 0);
    for (int i = 0; i < 3000 || !dirs || !links; i++) {
        uint64_t d = fs_node(t, t->rw, "d"), fh;
        char buf[8];
        int r = fs_find(t, d, "f", &e);
        if (r) {
            assert_int_equal(r, -ENOTDIR);
            links++;
            continue;
        }
        dirs++;
        assert_int_equal(fs_open(t, e.nodeid, O_RDONLY, &fh), 0);
        assert_int_equal(fs_read(t, e.nodeid, fh, 0, buf, 8), 6);
        assert_memory_equal(buf, "inside", 6);
        fs_release(t, e.nodeid, fh);
    }
    __atomic_store_n(&s.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    fs_bench_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_and_writing),
        cmocka_unit_test(sizes_that_lie),
        cmocka_unit_test(creating),
        cmocka_unit_test(attributes),
        cmocka_unit_test(owners_in_attributes),
        cmocka_unit_test(owners_of_the_host),
        cmocka_unit_test(extended_attributes),
        cmocka_unit_test(reading_directories),
        cmocka_unit_test(what_is_done_to_open_files),
        cmocka_unit_test(descriptors_run_out),
        cmocka_unit_test(swapped_links_lead_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
