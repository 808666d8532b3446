/* SPDX-License-Identifier: Apache-2.0 */
/* The jail: limits, descriptors, user, namespaces, empty root, capabilities. */
#include "vmm/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "vmm/jail_files.h"

/* The user and group of a process that was started by root; by convention nobody's. */
#define JAIL_ID 65534

/* The rights that root has over files that are not its own. */
#define CAP_BIT(cap) (1U << (cap))
#define FILE_CAPS                                                                                  \
    (CAP_BIT(CAP_CHOWN) | CAP_BIT(CAP_DAC_OVERRIDE) | CAP_BIT(CAP_FOWNER) | CAP_BIT(CAP_FSETID))

static int compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Closes all descriptors above 2 that are not in the sorted list. */
static int close_others(const int *fds, size_t n)
{
    unsigned from = STDERR_FILENO + 1;
    for (size_t i = 0; i < n; i++) {
        if (fds[i] < (int)from)
            continue;
        if ((unsigned)fds[i] > from && close_range(from, (unsigned)fds[i] - 1, 0))
            return -1;
        from = (unsigned)fds[i] + 1;
    }
    return close_range(from, ~0U, 0);
}

/*
 * A missing standard descriptor would be taken by the next one that is made, and messages would go
 * to whatever that is.
 */
static int fill_standard(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

static int keep_fds(const struct jail_spec *spec, struct err *err)
{
    cleanup_free int *fds = calloc(spec->nfds + 1, sizeof(*fds));
    if (!fds)
        return err_set(err, errno, "jail: cannot list the descriptors");
    if (spec->nfds)
        memcpy(fds, spec->fds, spec->nfds * sizeof(*fds));
    qsort(fds, spec->nfds, sizeof(*fds), compare_ints);
    if (close_others(fds, spec->nfds))
        return err_set(err, errno, "jail: cannot close descriptors");
    if (fcntl(STDIN_FILENO, F_GETFD) >= 0 && fcntl(STDOUT_FILENO, F_GETFD) >= 0 &&
        fcntl(STDERR_FILENO, F_GETFD) >= 0)
        return 0;
    return fill_standard() ? err_set(err, errno, "jail: cannot open /dev/null") : 0;
}

static int limit(int resource, rlim_t max, const char *what, struct err *err)
{
    struct rlimit r;
    if (getrlimit(resource, &r))
        return err_set(err, errno, "jail: cannot read the limit of %s", what);
    if (max > r.rlim_max)
        max = r.rlim_max;
    r = (struct rlimit){max, max};
    return setrlimit(resource, &r) ? err_set(err, errno, "jail: cannot limit %s", what) : 0;
}

/* Root becomes nobody, so that what it is outside of its namespaces has no rights either. */
static int drop_root(struct err *err)
{
    if (geteuid() != 0 && getuid() != 0)
        return 0;
    if (setgroups(0, NULL) || setresgid(JAIL_ID, JAIL_ID, JAIL_ID) ||
        setresuid(JAIL_ID, JAIL_ID, JAIL_ID))
        return err_set(err, errno, "jail: cannot become user %d", JAIL_ID);
    return 0;
}

static bool write_proc(const char *path, const char *text)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* user_namespaces(7): one user and one group, who are `id` inside. */
static bool map_ids(unsigned id, uid_t uid, gid_t gid)
{
    char text[64];
    if (!write_proc("/proc/self/setgroups", "deny"))
        return false;
    snprintf(text, sizeof(text), "%u %u 1", id, uid);
    if (!write_proc("/proc/self/uid_map", text))
        return false;
    snprintf(text, sizeof(text), "%u %u 1", id, gid);
    return write_proc("/proc/self/gid_map", text);
}

/* The tmpfs is put over /proc, which is there as it has just been used, and becomes the root. */
static bool empty_root(void)
{
    const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
    return !mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL) &&
           !mount("jail", "/proc", "tmpfs", flags, "size=4k,nr_inodes=1,mode=000") &&
           !chdir("/proc") && !syscall(SYS_pivot_root, ".", ".") && !umount2(".", MNT_DETACH) &&
           !chdir("/");
}

static bool enter_namespaces(const struct jail_spec *spec)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    bool all = spec->files && uid == 0;
    /* After a change of user the files in /proc/self would be root's. */
    if (prctl(PR_SET_DUMPABLE, 1))
        return false;
    cleanup_close int mapper = all ? jail_map_start() : -1;
    if ((all && mapper < 0) ||
        unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS))
        return false;
    bool mapped = all ? jail_map_finish(mapper) : map_ids(spec->files ? 0 : JAIL_ID, uid, gid);
    return mapped && empty_root();
}

static int drop_capabilities(uint32_t keep, struct err *err)
{
    /* EINVAL is the end of the list. Who may not drop (EPERM) has nothing to drop either. */
    unsigned long cap = 0;
    while (!prctl(PR_CAPBSET_DROP, cap))
        cap++;
    if (errno != EINVAL && errno != EPERM)
        return err_set(err, errno, "jail: cannot drop capability %lu", cap);
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {.effective = keep, .permitted = keep}};
    if (syscall(SYS_capset, &head, data))
        return err_set(err, errno, "jail: cannot drop capabilities");
    return 0;
}

/* A change of user clears the signal that the parent's death sends; this sets it again. */
static int restore_death_signal(int sig, pid_t parent, struct err *err)
{
    if (sig && prctl(PR_SET_PDEATHSIG, sig))
        return err_set(err, errno, "jail: cannot set the parent-death signal");
    if (sig && getppid() != parent)
        raise(sig);
    return 0;
}

static int confine(const struct jail_spec *spec, struct err *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return err_set(err, errno, "jail: cannot set no_new_privs");
    uid_t uid = geteuid();
    if (!spec->files && drop_root(err))
        return -1;
    enum jail_level level = enter_namespaces(spec) ? JAIL_NAMESPACES : JAIL_SECCOMP;
    /* In a namespace without a map all files would be somebody else's. */
    if (spec->files && geteuid() != 0 && geteuid() != uid)
        return err_set(err, 0, "jail: cannot map the user %u into a namespace", uid);
    if (jail_landlock(spec) && level == JAIL_SECCOMP)
        level = JAIL_LANDLOCK;
    if (drop_capabilities(spec->files && uid == 0 ? FILE_CAPS : 0, err) ||
        prctl(PR_SET_DUMPABLE, 0))
        return -1;
    if (spec->nproc != JAIL_NPROC_KEEP && limit(RLIMIT_NPROC, spec->nproc, "processes", err))
        return -1;
    return (int)level;
}

int jail_enter(const struct jail_spec *spec, struct err *err)
{
    int sig = 0;
    pid_t parent = getppid();
    if (prctl(PR_GET_PDEATHSIG, &sig))
        return err_set(err, errno, "jail: cannot read the parent-death signal");
    if (keep_fds(spec, err) || limit(RLIMIT_CORE, 0, "core files", err) ||
        limit(RLIMIT_NOFILE, spec->nofile, "descriptors", err))
        return -1;
    int level = confine(spec, err);
    if (level < 0 || restore_death_signal(sig, parent, err))
        return -1;
    return level;
}

int jail_probe(struct err *err)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return err_set(err, errno, "jail: cannot make a process to try in");
    if (pid == 0) {
        const struct jail_spec spec = {.nofile = 64};
        int level = jail_enter(&spec, NULL);
        _exit(level < 0 ? 255 : level);
    }
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return err_set(err, errno, "jail: cannot wait for the trial");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) > JAIL_NAMESPACES)
        return err_set(err, 0, "jail: the trial failed");
    return WEXITSTATUS(status);
}

const char *jail_level_name(enum jail_level level)
{
    static const char *const names[] = {"seccomp", "landlock", "namespaces"};
    return names[level];
}
