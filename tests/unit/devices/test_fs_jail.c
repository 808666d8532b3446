/* SPDX-License-Identifier: Apache-2.0 */
/* The jail of a process that serves files: what is within reach and what is not. */
#include "front.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "vmm/jail.h"

#define USER 12345

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, strerror(errno));       \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* A folder with rw/ and ro/ in it, and a secret beside them; all belongs to `owner`. */
struct place {
    char dir[32];
    int rw, ro, one;
    bool as_user, no_namespaces;
};

static void put(const char *dir, const char *name, uid_t owner)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write_all(fd, "text", 4), 0);
    assert_int_equal(fchown(fd, owner, owner), 0);
    close(fd);
}

static struct place place_new(bool as_user)
{
    struct place p = {.dir = "/tmp/test-fs-jail-XXXXXX", .as_user = as_user};
    char path[128];
    uid_t owner = as_user ? USER : geteuid();
    assert_non_null(mkdtemp(p.dir));
    static const char *const dirs[] = {"rw", "ro"};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", p.dir, dirs[i]);
        assert_int_equal(mkdir(path, 0700), 0);
        put(path, "f", owner);
        assert_int_equal(chown(path, owner, owner), 0);
        *(i ? &p.ro : &p.rw) = open(path, O_PATH | O_CLOEXEC);
    }
    put(p.dir, "secret", owner);
    put(p.dir, "one", owner);
    assert_int_equal(chown(p.dir, owner, owner), 0);
    snprintf(path, sizeof(path), "%s/one", p.dir);
    p.one = open(path, O_PATH | O_CLOEXEC);
    return p;
}

static void place_end(const struct place *p)
{
    static const char *const files[] = {"rw/new", "rw/f", "rw/other", "rw/sub/moved",
                                        "rw/sub", "rw",   "ro/f",     "ro",
                                        "secret", "one",  ""};
    char path[128];
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", p->dir, files[i]);
        remove(path);
    }
    close(p->rw);
    close(p->ro);
    close(p->one);
}

/* Filters that make the host look as if it lacked something. */
static void without(int nr, int error)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
    if (!ctx || seccomp_rule_add(ctx, SCMP_ACT_ERRNO((uint32_t)error), nr, 0) || seccomp_load(ctx))
        abort();
    seccomp_release(ctx);
}

static int trees_are_in_reach(const struct place *p, int proc_fd)
{
    struct stat st;
    char number[16];
    cleanup_close int fd = openat(p->rw, "f", O_RDWR);
    CHECK(fd >= 0 && !fstat(fd, &st) && st.st_size == 4);
    /* The user is who he was; as user 0 in a namespace. */
    CHECK(st.st_uid == geteuid());
    cleanup_close int new = openat(p->rw, "new", O_CREAT | O_EXCL | O_WRONLY, 0600);
    CHECK(new >= 0 && write(new, "x", 1) == 1);
    CHECK(!mkdirat(p->rw, "sub", 0700) && !renameat(p->rw, "new", p->rw, "sub/moved"));
    CHECK(!linkat(p->rw, "f", p->rw, "other", 0));
    cleanup_close int ro = openat(p->ro, "f", O_RDONLY);
    CHECK(ro >= 0);
    CHECK(openat(p->ro, "f", O_WRONLY) < 0 && errno == EACCES);
    CHECK(openat(p->ro, "new", O_CREAT | O_WRONLY, 0600) < 0);
    CHECK(unlinkat(p->ro, "f", 0) < 0);
    /* By way of the process's own descriptors, also a single file. */
    cleanup_close int path_fd = openat(p->rw, "f", O_PATH);
    snprintf(number, sizeof(number), "%d", path_fd);
    cleanup_close int again = openat(proc_fd, number, O_RDWR);
    CHECK(again >= 0);
    snprintf(number, sizeof(number), "%d", p->one);
    cleanup_close int one = openat(proc_fd, number, O_RDWR);
    CHECK(one >= 0 && write(one, "!", 1) == 1);
    return 0;
}

static int nothing_else_is(const struct place *p, int proc_fd)
{
    static const char *const names[] = {"..",           "../secret", "../../../etc/passwd",
                                        "../../../etc", "/",         "/etc/passwd"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CHECK(openat(p->rw, names[i], O_RDONLY) < 0);
        CHECK(openat(p->ro, names[i], O_RDONLY) < 0);
    }
    CHECK(openat(proc_fd, "../status", O_RDONLY) < 0);
    CHECK(openat(proc_fd, "../../1/status", O_RDONLY) < 0);
    CHECK(unlinkat(p->rw, "../secret", 0) < 0);
    CHECK(renameat(p->rw, "../secret", p->rw, "stolen") < 0);
    CHECK(linkat(p->rw, "../secret", p->rw, "stolen", 0) < 0);
    CHECK(mknodat(p->rw, "dev", S_IFCHR | 0600, 0x103) < 0);
    return 0;
}

static int capabilities_are(uint32_t want)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    CHECK(!syscall(SYS_capget, &head, data));
    CHECK(data[0].effective == want && data[0].permitted == want && data[0].inheritable == 0);
    CHECK(data[1].effective == 0 && data[1].permitted == 0);
    CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    return 0;
}

static int in_jail(const struct place *p)
{
    struct err err = {0};
    if (p->as_user && (setgid(USER) || setuid(USER)))
        return 1;
    if (p->no_namespaces)
        without(SCMP_SYS(unshare), EPERM);
    bool root = geteuid() == 0;
    int proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY);
    const int fds[] = {p->rw, p->ro, p->one, proc_fd};
    const struct jail_tree trees[] = {{p->rw, false}, {p->ro, true}, {p->one, false}};
    const struct jail_spec spec = {
        .fds = fds, .nfds = 4, .files = true, .trees = trees, .ntrees = 3, .nofile = 64};
    int level = jail_enter(&spec, &err);
    CHECK(level == (p->no_namespaces ? JAIL_LANDLOCK : JAIL_NAMESPACES));
    CHECK(geteuid() == (p->no_namespaces && p->as_user ? USER : 0));
    /* The kernel does not limit root's processes; the filter of system calls will. */
    CHECK(root || fork() < 0);
    if (capabilities_are(root ? 1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER |
                                    1U << CAP_FSETID
                              : 0))
        return 1;
    if (trees_are_in_reach(p, proc_fd) || nothing_else_is(p, proc_fd))
        return 1;
    /* Root can give files away, a user cannot. */
    int r = fchownat(p->rw, "f", 4321, 4321, 0);
    CHECK(root ? r == 0 : r < 0);
    CHECK(!root || openat(p->rw, "f", O_RDWR) >= 0);
    return 0;
}

static void try_place(bool as_user, bool no_namespaces)
{
    int status;
    struct place p = place_new(as_user);
    p.no_namespaces = no_namespaces;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(in_jail(&p));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    place_end(&p);
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        fail_msg("user %d, no namespaces %d: wait status 0x%x", as_user, no_namespaces,
                 (unsigned)status);
}

static void only_the_trees_are_in_reach(void **state)
{
    (void)state;
    try_place(false, false);
    try_place(false, true);
    if (geteuid() != 0)
        return;
    try_place(true, false);
    try_place(true, true);
}

static const char *program(void)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/appc-dev-fs", getenv("APPC_DEVICES"));
    return path;
}

#define GPA (FRONT_GPA + FRONT_DATA)

/* One request to the program: the error of the answer. */
static int call(struct front *f, uint32_t opcode, uint64_t node, const void *arg, uint32_t len,
                void *out, uint32_t cap)
{
    struct fuse_in_header h = {
        .len = (uint32_t)sizeof(h) + len, .opcode = opcode, .unique = 1, .nodeid = node};
    const struct front_buf bufs[] = {{GPA, h.len, false},
                                     {GPA + 8192, sizeof(struct fuse_out_header), true},
                                     {GPA + 16384, cap, true}};
    memcpy(front_at(f, GPA), &h, sizeof(h));
    memcpy((char *)front_at(f, GPA) + sizeof(h), arg, len);
    front_add(f, 1, bufs, 3);
    front_kick(f, 1);
    front_used(f, 1, NULL);
    memcpy(out, front_at(f, GPA + 16384), cap);
    return ((struct fuse_out_header *)front_at(f, GPA + 8192))->error;
}

/* The whole of it: the program in its jail makes a file that belongs to who started it. */
static void the_program_serves(void **state)
{
    (void)state;
    struct place p = place_new(false);
    struct front f;
    char share[64], path[128];
    struct fuse_init_in init = {.major = 7, .minor = 38};
    struct fuse_init_out init_out;
    struct fuse_entry_out e;
    struct {
        struct fuse_create_in in;
        char name[4];
    } create = {{.flags = O_RDWR, .mode = S_IFREG | 0640}, "new"};
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out;
    struct stat st;
    fcntl(p.rw, F_SETFD, 0);
    snprintf(share, sizeof(share), "--share=data:%d", p.rw);
    front_spawn(&f, (const char *const[]){program(), share, "--queues=2", NULL});
    front_negotiate(&f, 0);
    struct {
        uint32_t offset, size, flags;
        uint8_t bytes[40];
    } config = {0, 40, 0, {0}};
    front_send(&f, VU_GET_CONFIG, VU_VERSION, &config, sizeof(config), NULL, 0);
    front_reply(&f, VU_GET_CONFIG, &config, sizeof(config));
    assert_string_equal(config.bytes, "volumes");
    assert_int_equal(config.bytes[36], 2);
    front_queues(&f, 3);
    assert_int_equal(call(&f, FUSE_INIT, 0, &init, sizeof(init), &init_out, sizeof(init_out)), 0);
    assert_int_equal(call(&f, FUSE_LOOKUP, 1, "data", 5, &e, sizeof(e)), 0);
    assert_int_equal(call(&f, FUSE_CREATE, e.nodeid, &create, sizeof(create), &out, sizeof(out)),
                     0);
    assert_int_equal(call(&f, FUSE_LOOKUP, e.nodeid, "..", 3, &e, sizeof(e)), -EINVAL);
    snprintf(path, sizeof(path), "%s/rw/new", p.dir);
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_uid == geteuid() && (st.st_mode & 07777) == 0640);
    assert_int_equal(front_end(&f), 0);
    place_end(&p);
}

static void wrong_options(void **state)
{
    (void)state;
    static const char *const rows[] = {"--share=a",     "--share=a/b:2", "--share=a:777",
                                       "--ownership=x", "--cache-ms=-1", "--queues=0",
                                       "--socket-fd=2"};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            dup2(open("/dev/null", O_WRONLY), 2);
            execl(program(), "appc-dev-fs", rows[i], (char *)NULL);
            _exit(99);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), i == ARRAY_SIZE(rows) - 1 ? 1 : 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_trees_are_in_reach),
        cmocka_unit_test(the_program_serves),
        cmocka_unit_test(wrong_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
