/* SPDX-License-Identifier: Apache-2.0 */
/* Starting one process of an app: everything between fork and exec. */
#include "guest-init/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "guest-init/exec.h"

#define APP_UMASK       0022
#define APP_NOFILE_SOFT 1024   /* select() breaks beyond */
#define APP_NOFILE_HARD 524288 /* for those who raise it */

static int setup_stdio(const struct process_spec *s, struct err *err)
{
    /* Above 2 first: the three may stand in each other's way. */
    int fds[3] = {s->in, s->out, s->err};
    for (int i = 0; i < 3; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
        if (fds[i] < 0)
            return err_set(err, errno, "can't duplicate a standard stream");
    }
    for (int i = 0; i < 3; i++) {
        if (dup2(fds[i], i) < 0)
            return err_set(err, errno, "can't set up standard stream %d", i);
    }
    return 0;
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        (void)signal(i, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Takes effect on exec (ISO-34). */
static int set_profile(const char *profile, struct err *err)
{
    char text[512];
    int n = snprintf(text, sizeof(text), "exec %s", profile);
    cleanup_close int fd = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
    if (n >= (int)sizeof(text) || fd < 0 || write(fd, text, (size_t)n) < 0)
        return err_set(err, errno, "can't choose AppArmor profile \"%s\"", profile);
    return 0;
}

/* What needs init's view of /proc and its privileges. */
static int before_root(const struct process_spec *s, struct err *err)
{
    struct rlimit files = {APP_NOFILE_SOFT, APP_NOFILE_HARD};
    if (setsid() < 0)
        return err_set(err, errno, "can't make a session");
    if (setrlimit(RLIMIT_NOFILE, &files) < 0)
        return err_set(err, errno, "can't set the limit of open files");
    if (s->isolation->apparmor && set_profile(s->isolation->apparmor, err) < 0)
        return -1;
    if (s->isolation->has_oom_score_adj) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", s->isolation->oom_score_adj);
        cleanup_close int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, (size_t)n) < 0)
            return err_set(err, errno, "can't set oom_score_adj to %s", text);
    }
    return 0;
}

static int enter_root(const struct process_spec *s, struct err *err)
{
    if (setns(s->mntns, CLONE_NEWNS) < 0)
        return err_set(err, errno, "can't enter the app's mount namespace");
    /* The app sees its own control group as the root of all. */
    if (s->cgroup >= 0 && unshare(CLONE_NEWCGROUP) < 0)
        return err_set(err, errno, "can't make a control group namespace");
    umask(APP_UMASK);
    return 0;
}

static int drop_bounding_set(uint64_t keep, struct err *err)
{
    for (unsigned cap = 0; cap < 64; cap++) {
        if (keep >> cap & 1)
            continue;
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            if (errno == EINVAL) /* beyond the last that this kernel knows */
                return 0;
            return err_set(err, errno, "can't drop capability %u", cap);
        }
    }
    return 0;
}

/*
 * Sets permitted and effective capabilities for the time until exec. Then the
 * bounding set (root) or nothing (others) is what remains, as execve() makes it.
 * CAP_SYS_ADMIN stays that long when a filter is to be loaded without no_new_privs.
 */
static int set_capabilities(const struct process_spec *s, struct err *err)
{
    uint64_t set = s->identity->uid == 0 ? s->isolation->capabilities : 0;
    if (s->isolation->seccomp && !s->isolation->no_new_privileges)
        set |= UINT64_C(1) << CAP_SYS_ADMIN;
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)set, .permitted = (uint32_t)set},
        {.effective = (uint32_t)(set >> 32), .permitted = (uint32_t)(set >> 32)},
    };
    /* Ones that this kernel lacks are not to be had. */
    struct __user_cap_data_struct have[2];
    if (syscall(SYS_capget, &head, have) < 0)
        return err_set(err, errno, "can't read the capabilities");
    for (int i = 0; i < 2; i++) {
        data[i].permitted &= have[i].permitted;
        data[i].effective = data[i].permitted;
    }
    if (syscall(SYS_capset, &head, data) < 0)
        return err_set(err, errno, "can't set the capabilities");
    return 0;
}

static int become_user(const struct process_spec *s, struct err *err)
{
    const struct identity *id = s->identity;
    if (drop_bounding_set(s->isolation->capabilities, err) < 0)
        return -1;
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        return err_set(err, errno, "can't keep the capabilities for a moment");
    _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "group lists are passed as they are");
    if (setgroups(s->ngroups, s->groups) < 0)
        return err_set(err, errno, "can't set the supplementary groups");
    if (setresgid(id->gid, id->gid, id->gid) < 0)
        return err_set(err, errno, "can't become group %u", id->gid);
    if (setresuid(id->uid, id->uid, id->uid) < 0)
        return err_set(err, errno, "can't become user %u", id->uid);
    if (s->isolation->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_set(err, errno, "can't set no_new_privs");
    return set_capabilities(s, err);
}

static int load_filter(const struct isolation *iso, struct err *err)
{
    struct sock_fprog prog = {.len = iso->seccomp_len, .filter = iso->seccomp};
    if (iso->seccomp && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
        return err_set(err, errno, "can't load the seccomp filter");
    return 0;
}

/* Returns only when it failed. */
static void run(const struct process_spec *s, struct err *err)
{
    reset_signals();
    if (setup_stdio(s, err) < 0 || before_root(s, err) < 0 || enter_root(s, err) < 0 ||
        become_user(s, err) < 0)
        return;
    if (chdir(s->directory) < 0) {
        err_set(err, errno, "can't enter the working directory %s", s->directory);
        return;
    }
    char *const *env = s->env;
    if (s->sockets && s->sockets->n) {
        env = listen_environment(s->sockets, env);
        if (listen_install(s->sockets) < 0) {
            err_set(err, errno, "can't pass on the sockets");
            return;
        }
    }
    if (load_filter(s->isolation, err) < 0)
        return;
    exec_program(s->argv, env, s->isolation->seccomp == NULL, err);
}

static _Noreturn void child(const struct process_spec *s, struct process_failure *failure,
                            int writer)
{
    struct err err = {0};
    /* Its end tells that the program runs, so it must not be where a socket goes. */
    if (s->sockets && s->sockets->n)
        (void)fcntl(writer, F_DUPFD_CLOEXEC, LISTEN_FIRST_FD + (int)s->sockets->n);
    run(s, &err);
    memcpy(failure->msg, err.msg, sizeof(failure->msg) - 1);
    failure->failed = 1;
    syscall(SYS_exit_group, 127);
    __builtin_unreachable();
}

/* fork() into the control group, so that not one page is charged to init's. */
static pid_t fork_into(int cgroup)
{
    struct clone_args args = {.exit_signal = SIGCHLD};
    if (cgroup >= 0) {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)cgroup;
    }
    return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int process_start(const struct process_spec *spec, struct process *ret, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set(err, errno, "can't make a pipe");
    cleanup_close int reader = fds[0], writer = fds[1];
    struct process_failure *failure =
        mmap(NULL, sizeof(*failure), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (failure == MAP_FAILED)
        return err_set(err, errno, "can't get a shared page");
    pid_t pid = fork_into(spec->cgroup);
    if (pid == 0)
        child(spec, failure, writer);
    int forked = errno;
    close(take_fd(writer)); /* the child has the only one until it executes */
    if (pid < 0) {
        munmap(failure, sizeof(*failure));
        return err_set(err, forked, "can't fork");
    }
    *ret = (struct process){.pid = pid, .started = take_fd(reader), .failure = failure};
    return 0;
}

int process_result(struct process *p, struct err *err)
{
    if (!p->failure->failed)
        return 0;
    p->failure->msg[sizeof(p->failure->msg) - 1] = '\0';
    return err_set(err, 0, "%s", p->failure->msg);
}

void process_done(struct process *p)
{
    if (p->failure)
        munmap(p->failure, sizeof(*p->failure));
    if (p->started >= 0)
        close(p->started);
    *p = (struct process){.started = -1};
}
