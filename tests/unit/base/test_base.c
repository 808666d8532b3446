/* SPDX-License-Identifier: Apache-2.0 */
/* base/: errors, buffers, strings, descriptor passing. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

static void errors_carry_context(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(err_set(&e, ENOENT, "can't open %s", "a\nb"), -1);
    assert_string_equal(e.msg, "can't open a?b: No such file or directory");
    err_prefix(&e, "pod %d", 7);
    assert_string_equal(e.msg, "pod 7: can't open a?b: No such file or directory");
    assert_int_equal(e.errnum, ENOENT);
    assert_int_equal(err_set(NULL, 0, "dropped"), -1);
}

static void long_errors_are_cut(void **state)
{
    (void)state;
    struct err e = {0};
    char longest[3 * ERR_MSG_MAX];
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    err_set(&e, EIO, "%s", longest);
    assert_int_equal(strlen(e.msg), ERR_MSG_MAX - 1);
    err_prefix(&e, "head");
    assert_true(str_starts(e.msg, "head: xxx"));
    assert_true(strlen(e.msg) < ERR_MSG_MAX);
}

static void numbers_are_strict(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int ok;
        uint64_t value;
    } rows[] = {
        {"0", 1, 0},
        {"65535", 1, 65535},
        {"65536", 0, 0},
        {"", 0, 0},
        {"-1", 0, 0},
        {"+1", 0, 0},
        {" 1", 0, 0},
        {"1 ", 0, 0},
        {"0x1", 0, 0},
        {"00012", 1, 12},
        {"99999999999999999999", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t v = 42;
        assert_int_equal(parse_u64(rows[i].text, 65535, &v) == 0, rows[i].ok);
        assert_int_equal(v, rows[i].ok ? rows[i].value : 42);
    }
    uint64_t v;
    assert_int_equal(parse_u64("18446744073709551615", UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(parse_u64("18446744073709551616", UINT64_MAX, &v), -1);
    assert_int_equal(parse_u64("7", 3, &v), -1);
}

static void sizes_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int ok;
        uint64_t value;
    } rows[] = {
        {"512", 1, 512},        {"4K", 1, 4096},
        {"4k", 1, 4096},        {"1M", 1, 1 << 20},
        {"1MiB", 1, 1 << 20},   {"2Gi", 1, 2ULL << 30},
        {"3GB", 1, 3ULL << 30}, {"1T", 1, 1ULL << 40},
        {"1X", 0, 0},           {"M", 0, 0},
        {"1MM", 0, 0},          {"18446744073709551615K", 0, 0},
        {"-1M", 0, 0},          {"1.5G", 0, 0},
        {"8B", 1, 8},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t v = 42;
        assert_int_equal(parse_size(rows[i].text, &v) == 0, rows[i].ok);
        assert_true(v == (rows[i].ok ? rows[i].value : 42));
    }
}

static void durations_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int ok;
        uint64_t value;
    } rows[] = {
        {"0", 1, 0},       {"90", 1, 90},          {"90s", 1, 90},        {"15m", 1, 900},
        {"12h", 1, 43200}, {"30d", 1, 2592000},    {"2w", 1, 14 * 86400}, {"", 0, 0},
        {"d", 0, 0},       {"1y", 0, 0},           {"1dd", 0, 0},         {"-1d", 0, 0},
        {"1 d", 0, 0},     {"99999999999w", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        uint64_t v = 42;
        assert_int_equal(parse_duration(rows[i].text, &v) == 0, rows[i].ok);
        assert_true(v == (rows[i].ok ? rows[i].value : 42));
    }
}

static void buffers_grow(void **state)
{
    (void)state;
    cleanup_with(buf_free) struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_printf(&b, "%d,", i);
    assert_int_equal(strlen(b.data), b.len);
    assert_true(str_starts(b.data, "0,1,2,"));
    assert_true(str_ends(b.data, ",999,"));
    buf_consume(&b, 2);
    assert_true(str_starts(b.data, "1,2,"));
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    cleanup_free char *s = buf_take(&b);
    assert_string_equal(s, "");
}

static void descriptors_travel(void **state)
{
    (void)state;
    int sv[2], p[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(send_fds(sv[0], "hi", 2, p, 2), 0);
    char data[8];
    int fds[FDPASS_MAX];
    size_t n;
    assert_int_equal(recv_fds(sv[1], data, sizeof(data), fds, &n), 2);
    assert_int_equal(n, 2);
    assert_int_equal(write_all(fds[1], "x", 1), 0);
    assert_int_equal(read_all(p[0], data, 1), 0);
    assert_int_equal(data[0], 'x');
    assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
    close(sv[0]);
    assert_int_equal(recv_fds(sv[1], data, sizeof(data), fds, &n), 0);
}

static void atomic_files_leave_nothing(void **state)
{
    (void)state;
    char dir[] = "/tmp/appc-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    int fd = open(dir, O_DIRECTORY | O_CLOEXEC);
    struct err e;
    assert_int_equal(mkdir_parents_at(fd, "a/b/c", 0755, &e), 0);
    assert_int_equal(mkdir_parents_at(fd, "a/b/c", 0755, &e), 0);
    assert_int_equal(write_file_atomic_at(fd, "a/b/c/f", "data", 4, 0600, true, &e), 0);
    char *data;
    size_t len;
    assert_int_equal(read_file_at(fd, "a/b/c/f", 4, &data, &len, &e), 0);
    assert_int_equal(len, 4);
    assert_string_equal(data, "data");
    free(data);
    assert_int_equal(read_file_at(fd, "a/b/c/f", 3, &data, &len, &e), -1);
    assert_int_equal(e.errnum, EFBIG);
    /* Nothing is the empty string, whatever the memory held before. */
    assert_int_equal(read_file_at(AT_FDCWD, "/dev/null", 3, &data, &len, &e), 0);
    assert_int_equal(len, 0);
    assert_string_equal(data, "");
    free(data);
    assert_int_equal(write_file_atomic_at(fd, "a/b/c", "data", 4, 0600, true, &e), -1);
    assert_int_equal(unlinkat(fd, "a/b/c/f", 0), 0);
    assert_int_equal(unlinkat(fd, "a/b/c", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(fd, "a/b", AT_REMOVEDIR), 0);
    assert_int_equal(unlinkat(fd, "a", AT_REMOVEDIR), 0);
    close(fd);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_carry_context), cmocka_unit_test(long_errors_are_cut),
        cmocka_unit_test(numbers_are_strict),   cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(durations_have_units), cmocka_unit_test(buffers_grow),
        cmocka_unit_test(descriptors_travel),   cmocka_unit_test(atomic_files_leave_nothing),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
