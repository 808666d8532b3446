/* SPDX-License-Identifier: Apache-2.0 */
/* What init does before it knows anything of its pod. */
#include "guest-init/early.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/mnt.h"

#define NS_PER_S        1000000000ULL
#define CLOCK_TOLERANCE (NS_PER_S / 2)
#define CPUS_MAX        256
#define INIT_NOFILE     1048576 /* two pipes, two sockets and more for each of 1024 apps */

void early_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
        if (fd < 0) /* before devtmpfs: anything that takes up the number */
            fd = eventfd(0, 0);
    } while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

static int make_dirs(const char *const *names, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (mkdir(names[i], 0755) < 0 && errno != EEXIST)
            return err_set(err, errno, "can't create %s", names[i]);
    }
    return 0;
}

/* Covers the initramfs by a tmpfs and makes that the root. */
static int switch_root(struct err *err)
{
    static const struct mnt_option options[] = {{"mode", "0755"}, {"size", "16m"}, {NULL, NULL}};
    cleanup_close int fd = mnt_new("tmpfs", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID, err);
    if (fd < 0)
        return -1;
    if (mnt_attach(fd, AT_FDCWD, "/", err) < 0)
        return -1;
    /* "/" still names the initramfs; the descriptor names what covers it now. */
    if (fchdir(fd) < 0 || chroot(".") < 0)
        return err_set(err, errno, "can't change to the new root");
    return 0;
}

/*
 * Mounts, control groups and the network wait for RCU grace periods, some ticks each, unless they
 * are told to hurry; with the few CPUs of a guest that costs nothing.
 */
static void hurry_rcu(void)
{
    cleanup_close int fd = open("/sys/kernel/rcu_expedited", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        (void)!write(fd, "1", 1);
}

int early_mounts(struct err *err)
{
    static const char *const dirs[] = {"/dev",         "/proc",       "/sys",        "/app",
                                       EARLY_APP_PROC, EARLY_APP_SYS, EARLY_APP_SHM, EARLY_LOWER,
                                       EARLY_ROOT,     EARLY_SCRATCH, EARLY_SHARES};
    umask(0);
    if (switch_root(err) < 0 || make_dirs(dirs, ARRAY_SIZE(dirs), err) < 0)
        return -1;
    if (mnt_at("sysfs", NULL, MNT_SAFE, "/sys", err) < 0)
        return -1;
    hurry_rcu();
    if (mnt_at("devtmpfs", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, "/dev", err) < 0 ||
        mnt_at("proc", NULL, MNT_SAFE, "/proc", err) < 0 ||
        mnt_at("cgroup2", NULL, MNT_SAFE, EARLY_CGROUP, err) < 0)
        return -1;
    return 0;
}

/* What an app as root could reach the whole guest through. Absent ones are skipped. */
static const char *const read_only_proc[] = {"sys", "sysrq-trigger", "irq", "bus", "fs"};
static const char *const hidden_proc[] = {"kcore",      "kallsyms",    "keys",
                                          "timer_list", "sched_debug", "config.gz"};

/* Puts `mountfd` over /app/proc/NAME; that it does not exist is fine. */
static int cover_proc(int procfd, const char *name, int mountfd, struct err *err)
{
    if (faccessat(procfd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    return mnt_attach(mountfd, procfd, name, err);
}

static int protect_proc(int procfd, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(read_only_proc); i++) {
        if (faccessat(procfd, read_only_proc[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        cleanup_close int fd = mnt_clone(procfd, read_only_proc[i], 0, err);
        if (fd < 0)
            return -1;
        if (mnt_set(fd, MOUNT_ATTR_RDONLY) < 0)
            return err_set(err, errno, "can't make /proc/%s read-only", read_only_proc[i]);
        if (cover_proc(procfd, read_only_proc[i], fd, err) < 0)
            return -1;
    }
    for (size_t i = 0; i < ARRAY_SIZE(hidden_proc); i++) {
        if (faccessat(procfd, hidden_proc[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        cleanup_close int null = mnt_clone(AT_FDCWD, "/dev/null", 0, err);
        if (null < 0 || cover_proc(procfd, hidden_proc[i], null, err) < 0)
            return -1;
    }
    return 0;
}

int early_templates(struct err *err)
{
    static const struct mnt_option shm[] = {{"mode", "1777"}, {NULL, NULL}};
    if (mnt_at("proc", NULL, MNT_SAFE, EARLY_APP_PROC, err) < 0 ||
        mnt_at("sysfs", NULL, MNT_SAFE | MOUNT_ATTR_RDONLY, EARLY_APP_SYS, err) < 0 ||
        mnt_at("tmpfs", shm, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, EARLY_APP_SHM, err) < 0)
        return -1;
    cleanup_close int procfd = open(EARLY_APP_PROC, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (procfd < 0)
        return err_set(err, errno, "can't open %s", EARLY_APP_PROC);
    return protect_proc(procfd, err);
}

void early_cpus(void)
{
    for (unsigned i = 1; i < CPUS_MAX; i++) {
        char path[64];
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%u/online", i);
        cleanup_close int fd = open(path, O_RDWR | O_CLOEXEC);
        char state = '1';
        if (fd < 0)
            return;
        if (pread(fd, &state, 1, 0) == 1 && state == '0')
            (void)!pwrite(fd, "1", 1, 0);
    }
}

void early_privileges(void)
{
    struct rlimit files = {INIT_NOFILE, INIT_NOFILE};
    struct sched_param rr = {.sched_priority = 1};
    (void)setrlimit(RLIMIT_NOFILE, &files);
    /* Real-time, so that apps that spin don't delay their own output; children are ordinary. */
    (void)sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &rr);
    /* Apps share the PID space: without this, root in an app could read init's memory. */
    (void)prctl(PR_SET_DUMPABLE, 0);
}

int early_clock(uint64_t realtime_ns, struct err *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t have = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
    uint64_t diff = have > realtime_ns ? have - realtime_ns : realtime_ns - have;
    if (diff <= CLOCK_TOLERANCE)
        return 0;
    struct timespec to = {.tv_sec = (time_t)(realtime_ns / NS_PER_S),
                          .tv_nsec = (long)(realtime_ns % NS_PER_S)};
    return clock_settime(CLOCK_REALTIME, &to) < 0 ? err_set(err, errno, "can't set the clock") : 0;
}
