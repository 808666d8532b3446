/* SPDX-License-Identifier: Apache-2.0 */
/* Copying what a hostile image has in a directory to a volume. */
#include "scratch.h"

#include <errno.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/copyup.h"

struct pair {
    struct scratch from, to;
};

static int set_up(void **state)
{
    struct pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    scratch_make(&p->from);
    scratch_make(&p->to);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *p = *state;
    scratch_done(&p->from);
    scratch_done(&p->to);
    free(p);
    return 0;
}

/* By an O_PATH descriptor, as volumes has one. */
static int copy(const struct pair *p, struct err *err)
{
    cleanup_close int from = open(p->from.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    assert_true(from >= 0);
    return copyup_dir(from, p->to.fd, err);
}

static void copied(const struct pair *p)
{
    struct err e = {0};
    if (copy(p, &e) < 0)
        fail_msg("%s", e.msg);
}

static struct stat look(int dir, const char *path)
{
    struct stat st;
    assert_int_equal(fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW), 0);
    return st;
}

static void check_text(const struct scratch *s, const char *path, const char *want)
{
    cleanup_free char *text = NULL;
    size_t len;
    assert_int_equal(read_file_at(s->fd, path, 1 << 20, &text, &len, NULL), 0);
    assert_string_equal(text, want);
}

static void all_comes_along(void **state)
{
    const struct pair *p = *state;
    const struct timespec times[2] = {{1000000000, 5}, {1234567890, 7}};
    scratch_write(&p->from, "a/b/file", "text", 0640);
    scratch_write(&p->from, "a/suid", "x", 04755);
    scratch_write(&p->from, "empty", "", 0400);
    assert_int_equal(mkfifoat(p->from.fd, "fifo", 0622), 0);
    assert_int_equal(fchmodat(p->from.fd, "fifo", 0622, 0), 0);
    assert_int_equal(fchmodat(p->from.fd, "a", 0500, 0), 0); /* no longer writable */
    assert_int_equal(fchmodat(p->from.fd, "a/b", 01777, 0), 0);
    assert_int_equal(fchmod(p->from.fd, 0700), 0);
    assert_int_equal(utimensat(p->from.fd, "a/b/file", times, 0), 0);
    assert_int_equal(utimensat(p->from.fd, "a", times, 0), 0);
    copied(p);
    check_text(&p->to, "a/b/file", "text");
    check_text(&p->to, "empty", "");
    static const struct {
        const char *path;
        mode_t mode;
    } rows[] = {
        {".", S_IFDIR | 0700},        {"a", S_IFDIR | 0500},       {"a/b", S_IFDIR | 01777},
        {"a/b/file", S_IFREG | 0640}, {"a/suid", S_IFREG | 04755}, {"empty", S_IFREG | 0400},
        {"fifo", S_IFIFO | 0622},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(look(p->to.fd, rows[i].path).st_mode, rows[i].mode);
    assert_true(look(p->to.fd, "a/b/file").st_mtim.tv_sec == 1234567890);
    assert_true(look(p->to.fd, "a").st_mtim.tv_nsec == 7);
    assert_int_equal(fchmodat(p->from.fd, "a", 0755, 0), 0);
    assert_int_equal(fchmodat(p->to.fd, "a", 0755, 0), 0);
}

static void owners_come_along(void **state)
{
    const struct pair *p = *state;
    if (geteuid() != 0)
        skip();
    scratch_write(&p->from, "d/f", "x", 06755);
    assert_int_equal(symlinkat("f", p->from.fd, "d/l"), 0);
    assert_int_equal(fchownat(p->from.fd, "d", 1000, 1001, 0), 0);
    assert_int_equal(fchownat(p->from.fd, "d/f", 7, 8, 0), 0);
    assert_int_equal(fchmodat(p->from.fd, "d/f", 06755, 0), 0);
    assert_int_equal(fchownat(p->from.fd, "d/l", 9, 10, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(fchown(p->from.fd, 1000, 1000), 0);
    assert_int_equal(mknodat(p->from.fd, "null", S_IFCHR | 0666, 0x103), 0);
    copied(p);
    assert_true(look(p->to.fd, ".").st_uid == 1000 && look(p->to.fd, ".").st_gid == 1000);
    assert_true(look(p->to.fd, "d").st_uid == 1000 && look(p->to.fd, "d").st_gid == 1001);
    assert_true(look(p->to.fd, "d/f").st_uid == 7 && look(p->to.fd, "d/l").st_gid == 10);
    assert_int_equal(look(p->to.fd, "d/f").st_mode & 07777, 06755);
    assert_true(S_ISCHR(look(p->to.fd, "null").st_mode) && look(p->to.fd, "null").st_rdev == 0x103);
}

static void no_link_is_followed(void **state)
{
    const struct pair *p = *state;
    static const char *const targets[] = {"/etc", "/etc/passwd", "../../../..", "loop", "."};
    char name[16];
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        snprintf(name, sizeof(name), "l%zu", i);
        assert_int_equal(symlinkat(targets[i], p->from.fd, name), 0);
    }
    copied(p);
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        char text[64] = "";
        snprintf(name, sizeof(name), "l%zu", i);
        assert_true(readlinkat(p->to.fd, name, text, sizeof(text) - 1) > 0);
        assert_string_equal(text, targets[i]);
    }
}

static void hard_links_stay_links(void **state)
{
    const struct pair *p = *state;
    scratch_write(&p->from, "d/e/one", "same", 0644);
    assert_int_equal(linkat(p->from.fd, "d/e/one", p->from.fd, "two", 0), 0);
    assert_int_equal(linkat(p->from.fd, "two", p->from.fd, "d/three", 0), 0);
    copied(p);
    assert_int_equal(look(p->to.fd, "two").st_nlink, 3);
    assert_true(look(p->to.fd, "two").st_ino == look(p->to.fd, "d/e/one").st_ino);
    assert_true(look(p->to.fd, "two").st_ino == look(p->to.fd, "d/three").st_ino);
    assert_int_equal(look(p->from.fd, "two").st_nlink, 3); /* none to the original */
    check_text(&p->to, "two", "same");
}

static void holes_stay_holes(void **state)
{
    const struct pair *p = *state;
    const off_t size = 3 << 20;
    cleanup_close int fd = openat(p->from.fd, "sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "middle", 6, (1 << 20) + 5), 6);
    assert_int_equal(ftruncate(fd, size), 0);
    static const char zeros[1 << 20];
    cleanup_close int plain = openat(p->from.fd, "zeros", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(pwrite_all(plain, zeros, sizeof(zeros), 0), 0);
    copied(p);
    struct stat st = look(p->to.fd, "sparse");
    assert_int_equal(st.st_size, size);
    assert_true(st.st_blocks * 512 < size / 2);
    assert_int_equal(look(p->to.fd, "zeros").st_size, sizeof(zeros));
    assert_true(look(p->to.fd, "zeros").st_blocks * 512 < (off_t)sizeof(zeros) / 2);
    char text[8] = "";
    cleanup_close int back = openat(p->to.fd, "sparse", O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread_all(back, text, 7, (1 << 20) + 5), 0);
    assert_string_equal(text, "middle");
}

static void attributes_come_along(void **state)
{
    const struct pair *p = *state;
    char value[16] = "";
    scratch_write(&p->from, "f", "x", 0400);
    cleanup_close int from = openat(p->from.fd, "f", O_RDONLY | O_CLOEXEC);
    if (fsetxattr(from, "user.note", "hello", 5, 0) < 0 && errno == ENOTSUP)
        skip();
    copied(p);
    cleanup_close int to = openat(p->to.fd, "f", O_RDONLY | O_CLOEXEC);
    assert_int_equal(fgetxattr(to, "user.note", value, sizeof(value)), 5);
    assert_string_equal(value, "hello");
}

static void depth_is_bounded(void **state)
{
    const struct pair *p = *state;
    cleanup_close int dir = dup(p->from.fd);
    for (int i = 0; i < COPYUP_DEPTH_MAX; i++) {
        if (i == COPYUP_DEPTH_MAX - 1)
            copied(p); /* so many are allowed: the top one and 127 below it */
        assert_int_equal(mkdirat(dir, "d", 0755), 0);
        int next = openat(dir, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(dir);
        dir = next;
    }
    struct scratch other;
    struct err e = {0};
    scratch_make(&other);
    assert_int_equal(copyup_dir(p->from.fd, other.fd, &e), -1);
    assert_non_null(strstr(e.msg, "more than 128 directories"));
    scratch_done(&other);
}

static void a_volume_that_is_not_empty_is_an_error(void **state)
{
    const struct pair *p = *state;
    struct err e = {0};
    scratch_write(&p->from, "d/f", "theirs", 0644);
    scratch_write(&p->to, "d/f", "mine", 0644);
    assert_int_equal(copy(p, &e), -1);
    assert_non_null(strstr(e.msg, "can't copy \"d\""));
    check_text(&p->to, "d/f", "mine");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(all_comes_along),     TEST(owners_come_along),
        TEST(no_link_is_followed), TEST(hard_links_stay_links),
        TEST(holes_stay_holes),    TEST(attributes_come_along),
        TEST(depth_is_bounded),    TEST(a_volume_that_is_not_empty_is_an_error),
    };
    return cmocka_run_group_tests_name("guest-copyup", tests, NULL, NULL);
}
