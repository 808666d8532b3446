/* SPDX-License-Identifier: Apache-2.0 */
/* The jail, and the device programs in it: what is not possible any more. */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "vmm/jail.h"

/* Runs f in a child; its wait status. f returns the exit status. */
static int in_child(int (*f)(void *), void *arg)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(f(arg));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_exit(int status, int want)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) != want)
        fail_msg("wait status 0x%x, wanted exit %d", (unsigned)status, want);
}

static const struct jail_spec plain = {.nofile = 64};

/* Filters that make the host look as if it lacked something; they stay on top of the jail's. */
static void without(int nr, int error)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx || seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)error), nr, 0) || seccomp_load(ctx))
        abort();
    seccomp_release(ctx);
}

static int probe_levels(void *arg)
{
    struct err err;
    int want = *(int *)arg;
    if (want < JAIL_NAMESPACES)
        without(SCMP_SYS(unshare), EPERM);
    if (want < JAIL_LANDLOCK)
        without(SCMP_SYS(landlock_create_ruleset), ENOSYS);
    return jail_probe(&err) == want ? 0 : 1;
}

/* This host has all of it; what is taken away is noticed. */
static void levels_are_told(void **state)
{
    (void)state;
    for (int want = JAIL_SECCOMP; want <= JAIL_NAMESPACES; want++)
        assert_exit(in_child(probe_levels, &want), 0);
    assert_string_equal(jail_level_name(JAIL_LANDLOCK), "landlock");
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, strerror(errno));       \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int limits_hold(void)
{
    struct rlimit r;
    CHECK(!getrlimit(RLIMIT_CORE, &r) && r.rlim_max == 0);
    CHECK(!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_max <= 64);
    CHECK(!getrlimit(RLIMIT_NPROC, &r) && r.rlim_max == 0);
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    CHECK(prctl(PR_GET_DUMPABLE) == 0);
    return 0;
}

static int no_rights(void)
{
    CHECK(geteuid() != 0 && getuid() != 0 && getegid() != 0);
    CHECK(prctl(PR_CAPBSET_READ, 0) == 0 || geteuid() != 65534);
    CHECK(setuid(0) < 0);
    CHECK(fork() < 0);
    return 0;
}

/* What holds on every level. */
static int nothing_can_be_opened(void)
{
    static const char *const paths[] = {
        "/", ".", "..", "/proc/self/status", "/etc/passwd", "/dev/null", "../../../etc/passwd"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        CHECK(open(paths[i], O_RDONLY) < 0);
    CHECK(open("/new", O_CREAT | O_WRONLY, 0600) < 0);
    CHECK(mkdirat(AT_FDCWD, "/dir", 0700) < 0);
    return 0;
}

static int no_network(void)
{
    cleanup_close int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(s >= 0);
    struct sockaddr_storage a = {.ss_family = AF_INET};
    memcpy((char *)&a + 2, "\0\11\177\0\0\1", 6); /* 127.0.0.1, port 9 */
    CHECK(connect(s, (struct sockaddr *)&a, 16) < 0 && errno == ENETUNREACH);
    return 0;
}

static int full_jail(void *arg)
{
    struct err err;
    (void)arg;
    int stay = open("/dev/zero", O_RDONLY), go = open("/dev/zero", O_RDONLY);
    const struct jail_spec spec = {.fds = &stay, .nfds = 1, .nofile = 64};
    int level = jail_enter(&spec, &err);
    CHECK(level == JAIL_NAMESPACES);
    char c;
    CHECK(read(stay, &c, 1) == 1);
    CHECK(read(go, &c, 1) < 0 && errno == EBADF);
    if (limits_hold() || nothing_can_be_opened() || no_network())
        return 1;
    return no_rights();
}

static int as_user(void *arg)
{
    if (setgid(12345) || setuid(12345))
        return 1;
    return full_jail(arg);
}

static void nothing_is_left_in_the_jail(void **state)
{
    (void)state;
    assert_exit(in_child(full_jail, NULL), 0);
    if (geteuid() == 0)
        assert_exit(in_child(as_user, NULL), 0);
}

static int weak_jail(void *arg)
{
    struct err err;
    (void)arg;
    without(SCMP_SYS(unshare), EPERM);
    int level = jail_enter(&plain, &err);
    CHECK(level == JAIL_LANDLOCK);
    if (limits_hold())
        return 1;
    CHECK(open("/etc/passwd", O_RDONLY) < 0);
    CHECK(geteuid() != 0);
    CHECK(setuid(0) < 0);
    return 0;
}

static void landlock_holds_without_namespaces(void **state)
{
    (void)state;
    assert_exit(in_child(weak_jail, NULL), 0);
}

/* Standard descriptors that are closed are filled, so that no other one gets their number. */
static int closed_standard(void *arg)
{
    struct err err;
    (void)arg;
    close(0);
    close(1);
    CHECK(jail_enter(&plain, &err) >= 0);
    CHECK(fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0);
    CHECK(dup(2) == 3);
    return 0;
}

static int death_signal_is_kept(void *arg)
{
    struct err err;
    int sig = 0;
    (void)arg;
    CHECK(!prctl(PR_SET_PDEATHSIG, SIGTERM));
    CHECK(jail_enter(&plain, &err) >= 0);
    CHECK(!prctl(PR_GET_PDEATHSIG, &sig) && sig == SIGTERM);
    return 0;
}

static void what_was_agreed_is_kept(void **state)
{
    (void)state;
    assert_exit(in_child(closed_standard, NULL), 0);
    assert_exit(in_child(death_signal_is_kept, NULL), 0);
}

enum forbidden {
    CALL_ALLOWED,
    CALL_OPEN,
    CALL_SOCKET,
    CALL_EXEC,
    CALL_PTRACE,
    CALL_FCNTL_OTHER,
    CALL_MMAP_EXEC,
    CALLS,
};

static const struct jail_rule few[] = {
    {.nr = SCMP_SYS(exit_group)},
    {.nr = SCMP_SYS(write)},
    {SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFL},
};
static const struct jail_rule more[] = {
    {SCMP_SYS(mmap), 2, PROT_EXEC, 0},
};

static int sealed(void *arg)
{
    struct err err;
    if (jail_enter(&plain, &err) < 0 || jail_seal(few, ARRAY_SIZE(few), more, 1, &err))
        return 1;
    switch (*(enum forbidden *)arg) {
    case CALL_ALLOWED:
        return fcntl(0, F_GETFL) < 0 ||
               mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
    case CALL_OPEN:
        return (int)syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0);
    case CALL_SOCKET:
        return socket(AF_UNIX, SOCK_STREAM, 0);
    case CALL_EXEC:
        return execl("/bin/true", "true", NULL);
    case CALL_PTRACE:
        return (int)syscall(SYS_ptrace, 0, 0, 0, 0);
    case CALL_FCNTL_OTHER:
        return fcntl(0, F_DUPFD, 0);
    case CALL_MMAP_EXEC:
        return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
               MAP_FAILED;
    default:
        return 1;
    }
}

static void other_calls_kill(void **state)
{
    (void)state;
    for (enum forbidden call = CALL_ALLOWED; call < CALLS; call++) {
#ifdef __SANITIZE_ADDRESS__
        if (call == CALL_MMAP_EXEC)
            continue; /* the sanitizer's own mmap is allowed there */
#endif
        int status = in_child(sealed, &call);
        if (call == CALL_ALLOWED)
            assert_exit(status, 0);
        else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("call %d: wait status 0x%x", call, (unsigned)status);
    }
}

/* The programs themselves. */

static const char *program(const char *kind)
{
    static char path[4096];
    const char *dir = getenv("APPC_DEVICES");
    assert_non_null(dir);
    snprintf(path, sizeof(path), "%s/appc-dev-%s", dir, kind);
    return path;
}

/* Runs a program to its end with nothing on its socket; its standard error in ret. */
static int run(const char *const argv[], char *ret, size_t cap)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], 2);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(99);
    }
    close(ends[1]);
    size_t len = 0;
    ssize_t n;
    while (len + 1 < cap && (n = read(ends[0], ret + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    ret[len] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void wrong_options_are_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *a, *b, *why;
        int status;
    } rows[] = {
        {"rng", NULL, NULL, "--socket-fd is missing", 2},
        {"rng", "--socket-fd=x", NULL, "not the number of a descriptor", 2},
        {"rng", "--socket-fd=777", NULL, "descriptor 777", 2},
        {"rng", "--nonsense", NULL, "unknown option", 2},
        {"rng", "extra", NULL, "unexpected argument", 2},
        {"blk", "--extent=zero:511", NULL, "not a multiple", 2},
        {"blk", "--serial=123456789012345678901", NULL, "longer than 20", 2},
        {"blk", "--queues=9", NULL, "not a number from 1 to 8", 2},
        {"blk", "--socket-fd=2", NULL, "at least one extent", 1},
        {"blk", "--socket-fd=2", "--extent=2:0:512", "neither a file nor a disk", 1},
        {"vsock", "--guest-cid=2", NULL, "not a number from 3", 2},
        {"vsock", "--guest-cid=4294967295", NULL, "not a number from 3", 2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[4096];
        const char *const argv[] = {program(rows[i].kind), rows[i].a, rows[i].b, NULL};
        assert_exit(run(argv, text, sizeof(text)), rows[i].status);
        if (!strstr(text, rows[i].why) || strchr(text, '\n') != text + strlen(text) - 1)
            fail_msg("wanted \"%s\", got \"%s\"", rows[i].why, text);
    }
}

static void the_programs_enter_the_jail(void **state)
{
    (void)state;
    static const char *const kinds[] = {"blk", "vsock", "rng"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        char text[256];
        const char *const argv[] = {program(kinds[i]), "--check-jail", NULL};
        assert_exit(run(argv, text, sizeof(text)), 0);
    }
}

/* A guest that breaks its ring: one line, status 3. A front end that goes: status 0. */
static void ends_have_their_status(void **state)
{
    (void)state;
    struct front f;
    const char *const argv[] = {program("rng"), NULL};
    front_spawn(&f, argv);
    front_negotiate(&f, 0);
    front_queues(&f, 1);
    assert_exit(front_end(&f), 0);
    front_spawn(&f, argv);
    front_negotiate(&f, 0);
    front_queues(&f, 1);
    f.q[0].avail_idx = 1000;
    front_kick(&f, 0);
    assert_exit(front_wait_end(&f), 3);
}

/* The front end cuts the memory off under a running device. */
static void truncated_memory_ends_the_device(void **state)
{
    (void)state;
    struct front f;
    const char *const argv[] = {program("rng"), NULL};
    front_spawn(&f, argv);
    front_negotiate(&f, 0);
    front_queues(&f, 1);
    int kick = f.q[0].kick;
    assert_int_equal(ftruncate(f.memfd, 0), 0);
    uint64_t one = 1;
    assert_int_equal(write(kick, &one, sizeof(one)), sizeof(one));
    assert_exit(front_wait_end(&f), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_told),
        cmocka_unit_test(nothing_is_left_in_the_jail),
        cmocka_unit_test(landlock_holds_without_namespaces),
        cmocka_unit_test(what_was_agreed_is_kept),
        cmocka_unit_test(other_calls_kill),
        cmocka_unit_test(wrong_options_are_one_line),
        cmocka_unit_test(the_programs_enter_the_jail),
        cmocka_unit_test(ends_have_their_status),
        cmocka_unit_test(truncated_memory_ends_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
