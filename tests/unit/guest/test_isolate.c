/* SPDX-License-Identifier: Apache-2.0 */
/* Isolators: what the table makes of a list, without a guest (ISO-02, ISO-06, ISO-15, ISO-40 to
 * ISO-47, ISO-50 to ISO-60). */
#include "scratch.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <linux/seccomp.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "guest-init/isolate.h"

static struct buf reports;
static struct scratch group;

static int set_up(void **state)
{
    (void)state;
    scratch_make(&group);
    static const char *const files[] = {"cpu.max", "cpu.weight", "memory.max", "memory.low",
                                        "io.max"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        scratch_write(&group, files[i], "", 0644);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_done(&group);
    buf_free(&reports);
    return 0;
}

static void on_report(void *ctx, const char *isolator, enum wire_isolator_result result,
                      const char *detail)
{
    (void)ctx;
    buf_printf(&reports, "%s=%s(%s)\n", isolator, wire_isolator_result_name(result), detail);
}

/* Applies a JSON list to a fresh isolation. */
static void apply(const char *json, enum ac_isolator_scope scope, struct isolation *iso)
{
    json_error_t e;
    json_t *list = json_loads(json, 0, &e), *item;
    struct ac_isolator rows[8];
    struct ac_isolators isolators = {.v = rows};
    size_t i;
    assert_non_null(list);
    json_array_foreach (list, i, item)
        rows[isolators.n++] =
            (struct ac_isolator){.name = (char *)json_string_value(json_object_get(item, "name")),
                                 .value = json_object_get(item, "value")};
    static char first[] = "254:0", second[] = "254:16";
    static char *const disks[] = {first, second, NULL};
    struct isolate_target target = {
        .scope = scope, .cgroup = group.fd, .isolation = iso, .disks = disks};
    buf_reset(&reports);
    isolation_init(iso);
    isolate_apply(&isolators, &target, on_report, NULL);
    json_decref(list);
}

static void check_file(const char *name, const char *want)
{
    cleanup_free char *text = NULL;
    size_t len;
    assert_int_equal(read_file_at(group.fd, name, 100, &text, &len, NULL), 0);
    assert_string_equal(text, want);
}

static void capabilities_are_sets(void **state)
{
    (void)state;
    struct isolation iso;
    apply("[]", AC_SCOPE_APP, &iso);
    assert_int_equal(iso.capabilities, 0xa80425fb); /* ISO-40 */
    apply("[{\"name\":\"os/linux/capabilities-remove-set\",\"value\":{\"set\":[\"CAP_MKNOD\","
          "\"CAP_SYS_ADMIN\"]}}]",
          AC_SCOPE_APP, &iso);
    assert_int_equal(iso.capabilities, 0xa80425fb & ~(1u << 27)); /* ISO-41 */
    assert_string_equal(reports.data, "os/linux/capabilities-remove-set=enforced()\n");
    apply("[{\"name\":\"os/linux/capabilities-retain-set\",\"value\":{\"set\":[\"CAP_CHOWN\"]}},"
          "{\"name\":\"os/linux/capabilities-retain-set\",\"value\":{\"set\":[\"CAP_KILL\","
          "\"CAP_CHECKPOINT_RESTORE\",\"cap_chown\"]}}]",
          AC_SCOPE_APP, &iso);
    assert_true(iso.capabilities == (1u << 5 | UINT64_C(1) << 40)); /* the last one counts */
    assert_string_equal(
        reports.data,
        "os/linux/capabilities-retain-set=ignored(a later isolator of the same name counts)\n"
        "os/linux/capabilities-retain-set=modified(cap_chown is no capability)\n");
}

static void resources_become_files_of_the_group(void **state)
{
    (void)state;
    struct isolation iso;
    static const struct {
        const char *value, *max, *weight, *result;
    } cpus[] = {
        {"{\"limit\":\"500m\"}", "50000 100000", "50", "enforced()"},
        {"{\"limit\":\"2\",\"request\":\"1\"}", "200000 100000", "100", "enforced()"},
        {"{\"limit\":\"5m\"}", "5000 1000000", "1", "enforced()"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cpus); i++) {
        cleanup_with(buf_free) struct buf json = {0};
        tear_down(NULL);
        set_up(NULL);
        buf_printf(&json, "[{\"name\":\"resource/cpu\",\"value\":%s}]", cpus[i].value);
        apply(json.data, AC_SCOPE_APP, &iso);
        check_file("cpu.max", cpus[i].max);
        check_file("cpu.weight", cpus[i].weight);
        assert_non_null(strstr(reports.data, cpus[i].result));
    }
    apply("[{\"name\":\"resource/memory\",\"value\":{\"limit\":\"1Gi\",\"request\":\"1M\"}}]",
          AC_SCOPE_POD, &iso);
    check_file("memory.max", "1073741824");
    check_file("memory.low", "1000000");
    assert_int_equal(unlinkat(group.fd, "memory.max", 0), 0);
    apply("[{\"name\":\"resource/memory\",\"value\":{\"limit\":\"1Gi\"}}]", AC_SCOPE_APP, &iso);
    assert_non_null(strstr(reports.data, "ignored(can't set memory.max"));
}

static void shares_become_weights(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"2", "1"}, {"1024", "39"}, {"262144", "10000"}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct isolation iso;
        char json[128];
        tear_down(NULL);
        set_up(NULL);
        snprintf(json, sizeof(json), "[{\"name\":\"os/linux/cpu-shares\",\"value\":%s}]",
                 rows[i][0]);
        apply(json, AC_SCOPE_APP, &iso);
        check_file("cpu.weight", rows[i][1]);
    }
}

static void what_is_not_done_is_told(void **state)
{
    (void)state;
    struct isolation iso;
    apply("[{\"name\":\"example.com/x\",\"value\":1},"
          "{\"name\":\"os/unix/sysctl\",\"value\":{\"kernel.nope\":\"1\"}},"
          "{\"name\":\"os/linux/selinux-context\",\"value\":{\"user\":\"u\",\"role\":\"r\","
          "\"type\":\"t\",\"level\":\"s0\"}},"
          "{\"name\":\"os/linux/oom-score-adj\",\"value\":-7},"
          "{\"name\":\"os/linux/no-new-privileges\",\"value\":true}]",
          AC_SCOPE_APP, &iso);
    assert_string_equal(reports.data,
                        "example.com/x=ignored(appc-vm does not know this isolator)\n"
                        "os/unix/sysctl=ignored(it has no meaning for an app)\n"
                        "os/linux/selinux-context=ignored(the guest's kernel is built "
                        "without SELinux)\n"
                        "os/linux/oom-score-adj=enforced()\n"
                        "os/linux/no-new-privileges=enforced()\n");
    assert_true(iso.no_new_privileges && iso.has_oom_score_adj);
    assert_int_equal(iso.oom_score_adj, -7);
    apply("[{\"name\":\"os/linux/oom-score-adj\",\"value\":1}]", AC_SCOPE_POD, &iso);
    assert_non_null(strstr(reports.data, "has no meaning for a pod"));
}

/* ISO-58 to ISO-60: every disk for itself, reading and writing. */
static void disks_are_limited(void **state)
{
    (void)state;
    struct isolation iso;
    apply("[{\"name\":\"resource/block-bandwidth\",\"value\":{\"default\":true,\"limit\":\"2M\"}}]",
          AC_SCOPE_APP, &iso);
    assert_string_equal(reports.data, "resource/block-bandwidth=enforced()\n");
    check_file("io.max", "254:16 rbps=2000000 wbps=2000000");
    scratch_write(&group, "io.max", "", 0644);
    apply("[{\"name\":\"resource/block-iops\",\"value\":{\"default\":true,\"limit\":\"0\"}}]",
          AC_SCOPE_APP, &iso);
    assert_string_equal(reports.data,
                        "resource/block-iops=modified(the least limit is 1 a second)\n");
    check_file("io.max", "254:16 riops=1 wiops=1");
    /* The pod's is the device processes' to keep. */
    scratch_write(&group, "io.max", "", 0644);
    apply("[{\"name\":\"resource/block-iops\",\"value\":{\"default\":true,\"limit\":\"7\"}}]",
          AC_SCOPE_POD, &iso);
    assert_string_equal(reports.data, "resource/block-iops=enforced()\n");
    check_file("io.max", "");
    apply(
        "[{\"name\":\"resource/network-bandwidth\",\"value\":{\"default\":true,\"limit\":\"1M\"}}]",
        AC_SCOPE_APP, &iso);
    assert_non_null(strstr(reports.data, "=ignored(the pod has no network interface"));
}

static void sysctl_keys_lead_nowhere_else(void **state)
{
    (void)state;
    struct isolation iso;
    apply("[{\"name\":\"os/unix/sysctl\",\"value\":{\"kernel.appc_nope\":\"1\"}}]", AC_SCOPE_POD,
          &iso);
    assert_non_null(strstr(reports.data, "ignored"));
    assert_non_null(strstr(reports.data, "this kernel has no such setting"));
}

static void errno_names_are_known(void **state)
{
    (void)state;
    static const char *const posix[] = {
        "E2BIG",      "EACCES",    "EADDRINUSE", "EAGAIN", "EBADF",   "EBADMSG",
        "ECANCELED",  "EDEADLK",   "EDOM",       "EDQUOT", "EEXIST",  "EFAULT",
        "EILSEQ",     "EMULTIHOP", "ENOLCK",     "ENOSYS", "ENOTSUP", "EOVERFLOW",
        "EOWNERDEAD", "EPERM",     "ERANGE",     "ESTALE", "ETXTBSY", "EXDEV"};
    for (size_t i = 0; i < ARRAY_SIZE(posix); i++)
        assert_true(errno_number(posix[i]) > 0);
    assert_int_equal(errno_number("EHWPOISON"), EHWPOISON);
    assert_int_equal(errno_number("ENOTSUP"), EOPNOTSUPP);
    assert_int_equal(errno_number("EBOGUS"), 0);
    assert_int_equal(errno_number("E"), 0);
}

/* Loads the filter in a child and calls uname there: its wait status. */
static int under_filter(const struct isolation *iso)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct sock_fprog prog = {.len = iso->seccomp_len, .filter = iso->seccomp};
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
            syscall(SYS_exit_group, 99);
        char room[512];
        long r = syscall(SYS_uname, room);
        syscall(SYS_exit_group, r == 0 ? 0 : errno);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void seccomp_filters_work(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool filter;
        int exit, signal;
    } rows[] = {
        {"remove", "{\"set\":[\"uname\"],\"errno\":\"EXDEV\"}", true, EXDEV, 0},
        {"remove", "{\"set\":[\"uname\"]}", true, 0, 31},
        {"remove", "{\"set\":[\"mkdir\"]}", true, 0, 0},
        {"remove", "{\"set\":[\"@appc.io/empty\",\"uname\"]}", false, 0, 0},
        {"retain", "{\"set\":[\"uname\"]}", true, 0, 0},
        {"retain", "{\"set\":[\"read\"],\"errno\":\"ENOTSUP\"}", true, ENOTSUP, 0},
        {"retain", "{\"set\":[\"read\"]}", true, 0, 31},
        {"retain", "{\"set\":[\"@appc.io/all\",\"read\"]}", false, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct isolation iso;
        char json[256];
        snprintf(json, sizeof(json), "[{\"name\":\"os/linux/seccomp-%s-set\",\"value\":%s}]",
                 rows[i].name, rows[i].value);
        apply(json, AC_SCOPE_APP, &iso);
        assert_non_null(strstr(reports.data, "enforced"));
        assert_int_equal(iso.seccomp != NULL, rows[i].filter);
        if (iso.seccomp) {
            int status = under_filter(&iso);
            if (rows[i].signal)
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == rows[i].signal);
            else
                assert_true(WIFEXITED(status) && WEXITSTATUS(status) == rows[i].exit);
        }
        isolation_done(&iso);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capabilities_are_sets),
        cmocka_unit_test(resources_become_files_of_the_group),
        cmocka_unit_test(shares_become_weights),
        cmocka_unit_test(disks_are_limited),
        cmocka_unit_test(what_is_not_done_is_told),
        cmocka_unit_test(sysctl_keys_lead_nowhere_else),
        cmocka_unit_test(errno_names_are_known),
        cmocka_unit_test(seccomp_filters_work),
    };
    return cmocka_run_group_tests_name("guest-isolate", tests, set_up, tear_down);
}
