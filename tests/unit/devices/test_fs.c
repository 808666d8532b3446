/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: the protocol, names, nodes, and requests that nobody should send. */
#include "test_fs_client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"

static void shares_are_parsed(void **state)
{
    (void)state;
    struct fs_share_spec s;
    struct err err;
    static const char *const bad[] = {"",
                                      "a",
                                      "a:",
                                      ":3",
                                      ".:3",
                                      "..:3",
                                      "a/b:3",
                                      "a:x",
                                      "a:-1",
                                      "a:3:rw",
                                      "a:3:ro:x",
                                      "a:3:ron",
                                      "a:99999999999",
                                      "a:3 ",
                                      "a:1234567890123456"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(fs_share_parse(bad[i], &s, &err), -1);
    assert_int_equal(fs_share_parse("data:7", &s, &err), 0);
    assert_string_equal(s.name, "data");
    assert_true(s.fd == 7 && !s.read_only && s.recursive);
    assert_int_equal(fs_share_parse("...:0:norec:ro", &s, &err), 0);
    assert_true(s.fd == 0 && s.read_only && !s.recursive);
    enum fs_owner owner;
    assert_int_equal(fs_owner_parse("xattr", &owner, &err), 0);
    assert_int_equal(owner, FS_OWNER_XATTR);
    assert_int_equal(fs_owner_parse("me", &owner, &err), -1);
}

static void bad_shares_are_refused(void **state)
{
    (void)state;
    struct fs *fs = calloc(1, sizeof(*fs));
    struct err err;
    struct fs_share_spec s = {.name = "a", .fd = open("/dev/null", O_PATH)};
    assert_int_equal(fs_init(fs, "t", 1, s.fd, &err), -1);
    assert_int_equal(fs_add_share(fs, &s, &err), -1);
    assert_non_null(strstr(err.msg, "neither a directory nor a file"));
    close(s.fd);
    assert_int_equal(fs_add_share(fs, &s, &err), -1);
    s.fd = open("/tmp", O_PATH);
    assert_int_equal(fs_add_share(fs, &s, &err), 0);
    assert_int_equal(fs_add_share(fs, &s, &err), -1);
    assert_non_null(strstr(err.msg, "twice"));
    fs_free(fs);
    close(s.fd);
    free(fs);
}

static void init_comes_first(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_raw(FS_OWNER_CALLER);
    struct fuse_init_out out;
    struct fuse_entry_out entry;
    struct fuse_attr attr;
    assert_int_equal(fs_find(t, FUSE_ROOT_ID, "rw", &entry), -EIO);
    assert_int_equal(fs_init_call(t, 6, 38, &out), -EPROTO);
    assert_int_equal(fs_init_call(t, 7, 20, &out), -EPROTO);
    assert_int_equal(fs_init_call(t, 8, 0, &out), sizeof(out));
    assert_int_equal(out.major, 7);
    assert_int_equal(fs_find(t, FUSE_ROOT_ID, "rw", &entry), -EIO);
    assert_int_equal(fs_init_call(t, 7, 41, &out), sizeof(out));
    assert_true(out.major == 7 && out.max_write == 1 << 20 && out.max_pages == 256);
    assert_int_equal(out.flags & (FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS | FUSE_POSIX_ACL), 0);
    assert_true(out.flags & FUSE_AUTO_INVAL_DATA && out.flags & FUSE_HANDLE_KILLPRIV_V2);
    uint64_t rw = fs_node(t, FUSE_ROOT_ID, "rw"), file = fs_node(t, rw, "file");
    assert_int_equal(fs_attr(t, file, &attr), 0);
    /* A guest that starts again knows nothing any more, and neither do we. */
    assert_int_equal(fs_init_call(t, 7, 38, &out), sizeof(out));
    assert_int_equal(fs_attr(t, file, &attr), -ESTALE);
    assert_int_equal(fs_call(t, FUSE_DESTROY, 0, NULL, 0, NULL, 0), 0);
    assert_int_equal(fs_attr(t, FUSE_ROOT_ID, &attr), -EIO);
    fs_bench_end(t);
}

static void the_root_has_the_shares(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct fuse_entry_out e;
    struct fuse_attr a;
    struct fuse_statfs_out st;
    struct fuse_mkdir_in mkdir_in = {.mode = 0755};
    assert_int_equal(fs_attr(t, FUSE_ROOT_ID, &a), 0);
    assert_true(S_ISDIR(a.mode) && a.uid == 0);
    assert_int_equal(fs_find(t, FUSE_ROOT_ID, "one", &e), 0);
    assert_true(S_ISREG(e.attr.mode) && e.attr.size == 6 && e.attr_valid == 0 &&
                e.entry_valid_nsec == 0);
    assert_int_equal(fs_find(t, FUSE_ROOT_ID, "no", &e), -ENOENT);
    assert_int_equal(fs_call_name(t, FUSE_MKDIR, FUSE_ROOT_ID, &mkdir_in, sizeof(mkdir_in), "new",
                                  NULL, &e, sizeof(e)),
                     -EROFS);
    assert_int_equal(fs_call_name(t, FUSE_UNLINK, FUSE_ROOT_ID, NULL, 0, "one", NULL, &e, 0),
                     -EROFS);
    assert_int_equal(fs_call(t, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0, &st, sizeof(st)), sizeof(st));
    assert_int_equal(fs_call(t, FUSE_SYNCFS, FUSE_ROOT_ID, "\0\0\0\0\0\0\0", 8, NULL, 0), 0);
    assert_int_equal(fs_call(t, FUSE_READLINK, FUSE_ROOT_ID, NULL, 0, &st, sizeof(st)), -EINVAL);
    /* Neither root nor shares can be forgotten. */
    fs_forget(t, FUSE_ROOT_ID, 1000);
    fs_forget(t, t->rw, 1000);
    assert_int_equal(fs_attr(t, FUSE_ROOT_ID, &a), 0);
    assert_int_equal(fs_attr(t, t->rw, &a), 0);
    fs_bench_end(t);
}

static void names_are_checked(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct fuse_entry_out e;
    struct fuse_rename_in in = {t->rw};
    char name[300];
    static const char *const bad[] = {"", ".", "..", "/", "a/b", "/etc", "../x", "file/"};
    assert_int_equal(mkdir(fs_host_path(t, "rw/a"), 0755), 0);
    fs_host_write(t, "rw/a/b", "");
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(fs_find(t, t->rw, bad[i], &e), -EINVAL);
        assert_int_equal(
            fs_call_name(t, FUSE_RENAME, t->rw, &in, sizeof(in), "file", bad[i], &e, 0), -EINVAL);
        assert_int_equal(fs_call_name(t, FUSE_RENAME, t->rw, &in, sizeof(in), bad[i], "x", &e, 0),
                         -EINVAL);
        assert_int_equal(fs_call_name(t, FUSE_UNLINK, t->rw, NULL, 0, bad[i], NULL, &e, 0),
                         -EINVAL);
    }
    memset(name, 'n', sizeof(name));
    name[256] = 0;
    assert_int_equal(fs_find(t, t->rw, name, &e), -ENAMETOOLONG);
    name[255] = 0;
    assert_int_equal(fs_find(t, t->rw, name, &e), -ENOENT);
    /* No NUL; no name at all; only one of two. */
    assert_int_equal(fs_call(t, FUSE_LOOKUP, t->rw, "file", 4, &e, sizeof(e)), -EINVAL);
    assert_int_equal(fs_call(t, FUSE_LOOKUP, t->rw, NULL, 0, &e, sizeof(e)), -EINVAL);
    assert_int_equal(fs_call_name(t, FUSE_RENAME, t->rw, &in, sizeof(in), "file", NULL, &e, 0),
                     -EINVAL);
    fs_bench_end(t);
}

static void nodes_have_generations(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct fuse_attr a;
    uint64_t file = fs_node(t, t->rw, "file");
    assert_int_equal(fs_node(t, t->rw, "file"), file);
    fs_forget(t, file, 1);
    assert_int_equal(fs_attr(t, file, &a), 0);
    /* More than there are: it does not go below zero. */
    fs_forget(t, file, UINT64_MAX);
    assert_int_equal(fs_attr(t, file, &a), -ESTALE);
    fs_forget(t, file, 1);
    uint64_t again = fs_node(t, t->rw, "file");
    assert_int_not_equal(again, file);
    assert_int_equal(again & UINT32_MAX, file & UINT32_MAX);
    assert_int_equal(fs_attr(t, file, &a), -ESTALE);
    static const uint64_t wrong[] = {0, 2000, UINT64_MAX, UINT32_MAX, 1ULL << 32 | 1, 1ULL << 63};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(fs_attr(t, wrong[i], &a), -ESTALE);
        fs_forget(t, wrong[i], 1);
    }
    struct {
        struct fuse_batch_forget_in in;
        struct fuse_forget_one one[2];
    } batch = {{2000, 0}, {{again, 1}, {t->rw, 1}}};
    t->no_reply_part = true;
    fs_call(t, FUSE_BATCH_FORGET, 0, &batch, sizeof(batch), NULL, 0);
    t->no_reply_part = false;
    assert_int_equal(fs_attr(t, again, &a), -ESTALE);
    fs_bench_end(t);
}

static void hard_links_are_one_node(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct fuse_entry_out e;
    uint64_t file = fs_node(t, t->rw, "file");
    struct fuse_link_in in = {file};
    assert_int_equal(
        fs_call_name(t, FUSE_LINK, t->rw, &in, sizeof(in), "link", NULL, &e, sizeof(e)), sizeof(e));
    assert_true(e.nodeid == file && e.attr.nlink == 2);
    assert_int_equal(
        fs_call_name(t, FUSE_LINK, t->rw, &in, sizeof(in), "link", NULL, &e, sizeof(e)), -EEXIST);
    /* Never from one share to another, nor a directory. */
    in.oldnodeid = fs_node(t, t->ro, "file");
    assert_int_equal(fs_call_name(t, FUSE_LINK, t->rw, &in, sizeof(in), "x", NULL, &e, sizeof(e)),
                     -EXDEV);
    in.oldnodeid = t->rw;
    assert_int_equal(fs_call_name(t, FUSE_LINK, t->rw, &in, sizeof(in), "x", NULL, &e, sizeof(e)),
                     -EPERM);
    in.oldnodeid = 77777;
    assert_int_equal(fs_call_name(t, FUSE_LINK, t->rw, &in, sizeof(in), "x", NULL, &e, sizeof(e)),
                     -ESTALE);
    /* The same file by way of another share is another node, as that may be read-only. */
    assert_int_equal(link(fs_host_path(t, "rw/file"), "/tmp/test-fs-other"), 0);
    assert_int_equal(rename("/tmp/test-fs-other", fs_host_path(t, "ro/same")), 0);
    assert_int_not_equal(fs_node(t, t->ro, "same"), file);
    fs_bench_end(t);
}

static void names_come_and_go(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct fuse_entry_out e;
    struct fuse_mkdir_in mkdir_in = {.mode = 01751};
    struct fuse_mknod_in mknod_in = {.mode = S_IFIFO | 0600};
    char text[64];
    assert_int_equal(
        fs_call_name(t, FUSE_MKDIR, t->rw, &mkdir_in, sizeof(mkdir_in), "d", NULL, &e, sizeof(e)),
        sizeof(e));
    assert_int_equal(e.attr.mode, S_IFDIR | 01751);
    uint64_t d = e.nodeid;
    assert_int_equal(
        fs_call_name(t, FUSE_MKNOD, d, &mknod_in, sizeof(mknod_in), "p", NULL, &e, sizeof(e)),
        sizeof(e));
    assert_int_equal(e.attr.mode, S_IFIFO | 0600);
    static const uint32_t devices[] = {S_IFCHR, S_IFBLK, S_IFDIR, S_IFLNK, 0};
    for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
        mknod_in.mode = devices[i] | 0600;
        assert_int_equal(
            fs_call_name(t, FUSE_MKNOD, d, &mknod_in, sizeof(mknod_in), "c", NULL, &e, sizeof(e)),
            -EPERM);
    }
    assert_int_equal(fs_call_name(t, FUSE_SYMLINK, d, NULL, 0, "s", "../../../etc", &e, sizeof(e)),
                     sizeof(e));
    assert_int_equal(fs_call(t, FUSE_READLINK, e.nodeid, NULL, 0, text, sizeof(text)), 12);
    assert_memory_equal(text, "../../../etc", 12);
    /* A name below a link is not below what it points to. */
    assert_int_equal(fs_find(t, e.nodeid, "passwd", &e), -ENOTDIR);
    assert_int_equal(fs_call(t, FUSE_SYMLINK, d, "s2\0target", 9, &e, sizeof(e)), -EINVAL);
    assert_int_equal(fs_call_name(t, FUSE_RMDIR, t->rw, NULL, 0, "d", NULL, &e, 0), -ENOTEMPTY);
    assert_int_equal(fs_call_name(t, FUSE_UNLINK, d, NULL, 0, "s", NULL, &e, 0), 0);
    assert_int_equal(fs_call_name(t, FUSE_UNLINK, d, NULL, 0, "p", NULL, &e, 0), 0);
    assert_int_equal(fs_call_name(t, FUSE_UNLINK, t->rw, NULL, 0, "d", NULL, &e, 0), -EISDIR);
    assert_int_equal(fs_call_name(t, FUSE_RMDIR, t->rw, NULL, 0, "d", NULL, &e, 0), 0);
    assert_int_equal(fs_find(t, d, "x", &e), -ENOENT);
    fs_bench_end(t);
}

static int rename2(struct fs_bench *t, const char *a, uint64_t dir, const char *b, uint32_t flags)
{
    struct fuse_rename2_in in = {.newdir = dir, .flags = flags};
    char none;
    return fs_call_name(t, FUSE_RENAME2, t->rw, &in, sizeof(in), a, b, &none, 0);
}

static void renaming(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    fs_host_write(t, "rw/b", "b");
    uint64_t file = fs_node(t, t->rw, "file"), b = fs_node(t, t->rw, "b");
    assert_int_equal(rename2(t, "file", t->rw, "b", RENAME_NOREPLACE), -EEXIST);
    assert_int_equal(rename2(t, "file", t->rw, "b", RENAME_EXCHANGE), 0);
    assert_int_equal(fs_node(t, t->rw, "file"), b);
    assert_int_equal(fs_node(t, t->rw, "b"), file);
    assert_int_equal(rename2(t, "file", t->rw, "b", RENAME_WHITEOUT), -EINVAL);
    assert_int_equal(rename2(t, "file", t->rw, "b", 0x80), -EINVAL);
    assert_int_equal(rename2(t, "file", t->ro, "x", 0), -EXDEV);
    assert_int_equal(rename2(t, "file", file, "x", 0), -ENOTDIR);
    assert_int_equal(rename2(t, "file", 4711, "x", 0), -ESTALE);
    assert_int_equal(rename2(t, "file", FUSE_ROOT_ID, "x", 0), -EXDEV);
    assert_int_equal(rename2(t, "no", t->rw, "x", 0), -ENOENT);
    fs_bench_end(t);
}

static void read_only_is_read_only(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct fuse_entry_out e;
    struct fuse_mkdir_in mkdir_in = {.mode = 0755};
    struct fuse_setattr_in set = {.valid = FATTR_MODE, .mode = 0777};
    struct fuse_attr_out attr;
    struct fuse_access_in access_in = {W_OK, 0};
    uint64_t file = fs_node(t, t->ro, "file"), fh, node;
    char buf[16];
    assert_int_equal(fs_open(t, file, O_RDWR, &fh), -EROFS);
    assert_int_equal(fs_open(t, file, O_WRONLY, &fh), -EROFS);
    assert_int_equal(fs_open(t, file, O_RDONLY | O_TRUNC, &fh), -EROFS);
    assert_int_equal(fs_open(t, file, O_ACCMODE, &fh), -EROFS);
    assert_int_equal(fs_create(t, t->ro, "n", O_RDONLY, 0644, &node, &fh), -EROFS);
    assert_int_equal(
        fs_call_name(t, FUSE_MKDIR, t->ro, &mkdir_in, sizeof(mkdir_in), "d", NULL, &e, sizeof(e)),
        -EROFS);
    assert_int_equal(fs_call(t, FUSE_SETATTR, file, &set, sizeof(set), &attr, sizeof(attr)),
                     -EROFS);
    assert_int_equal(fs_call(t, FUSE_ACCESS, file, &access_in, sizeof(access_in), &e, 0), -EROFS);
    assert_int_equal(fs_open(t, file, O_RDONLY, &fh), 0);
    assert_int_equal(fs_read(t, file, fh, 0, buf, sizeof(buf)), 7);
    assert_int_equal(fs_write(t, file, fh, 0, "x", 1, 0), -EROFS);
    assert_int_equal(fs_release(t, file, fh), 0);
    fs_bench_end(t);
}

/* A request of raw bytes: the length that the device says it has written. */
static uint32_t raw(struct fs_bench *t, const void *data, uint32_t len, uint32_t room)
{
    const struct front_buf bufs[] = {{FRONT_GPA2, len, false}, {FRONT_GPA2 + 8192, room, true}};
    uint32_t used;
    memcpy(front_at(&t->f, FRONT_GPA2), data, len);
    front_add(&t->f, 1, len ? bufs : bufs + 1, (len ? 1 : 0) + (room ? 1 : 0));
    front_kick(&t->f, 1);
    front_used(&t->f, 1, &used);
    return used;
}

static void malformed_requests_are_survived(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct fuse_in_header h = {.len = sizeof(h), .opcode = FUSE_STATFS, .nodeid = 1};
    const struct fuse_out_header *o = front_at(&t->f, FRONT_GPA2 + 8192);
    assert_int_equal(raw(t, &h, sizeof(h), 4096), 16 + sizeof(struct fuse_statfs_out));
    for (uint32_t len = 0; len < sizeof(h); len += 13)
        assert_int_equal(raw(t, &h, len, 4096), 0);
    h.len = sizeof(h) + 1;
    assert_int_equal(raw(t, &h, sizeof(h), 4096), 0);
    h.len = sizeof(h) - 1;
    assert_int_equal(raw(t, &h, sizeof(h), 4096), 0);
    h.len = sizeof(h);
    /* No room for the header of an answer; none for the answer. */
    assert_int_equal(raw(t, &h, sizeof(h), 15), 0);
    assert_int_equal(raw(t, &h, sizeof(h), 0), 0);
    assert_int_equal(raw(t, &h, sizeof(h), 17), 16);
    assert_int_equal(o->error, -EIO);
    /* Every operation without its arguments, and those that do not exist. */
    for (h.opcode = 0; h.opcode < 5000; h.opcode += h.opcode < 64 ? 1 : 997) {
        struct fuse_attr a;
        for (h.nodeid = 0; h.nodeid < 6; h.nodeid++)
            raw(t, &h, sizeof(h), 4096);
        struct fuse_init_out out;
        assert_true(fs_init_call(t, 7, 38, &out) > 0);
        assert_int_equal(fs_attr(t, FUSE_ROOT_ID, &a), 0);
    }
    h.opcode = 9999;
    assert_int_equal(raw(t, &h, sizeof(h), 64), 16);
    assert_int_equal(o->error, -ENOSYS);
    fs_bench_end(t);
}

static void arguments_in_pieces(void **state)
{
    (void)state;
    struct fs_bench *t = fs_bench_new(FS_OWNER_CALLER);
    struct fuse_entry_out e;
    uint64_t fh, node;
    for (t->in_parts = 1; t->in_parts < 40; t->in_parts += 3) {
        assert_int_equal(fs_find(t, t->rw, "file", &e), 0);
        assert_int_equal(fs_create(t, t->rw, "new", O_RDWR, 0600, &node, &fh), 0);
        assert_int_equal(fs_write(t, node, fh, 0, "some text in pieces", 19, 0), 19);
        char buf[32];
        assert_int_equal(fs_read(t, node, fh, 5, buf, sizeof(buf)), 14);
        assert_memory_equal(buf, "text in pieces", 14);
        assert_int_equal(fs_release(t, node, fh), 0);
    }
    fs_bench_end(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_parsed),
        cmocka_unit_test(bad_shares_are_refused),
        cmocka_unit_test(init_comes_first),
        cmocka_unit_test(the_root_has_the_shares),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(nodes_have_generations),
        cmocka_unit_test(hard_links_are_one_node),
        cmocka_unit_test(names_come_and_go),
        cmocka_unit_test(renaming),
        cmocka_unit_test(read_only_is_read_only),
        cmocka_unit_test(malformed_requests_are_survived),
        cmocka_unit_test(arguments_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
