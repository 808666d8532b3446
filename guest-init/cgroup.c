/* SPDX-License-Identifier: Apache-2.0 */
/* Control groups: one for init, one for the pod, and one in it for each app. */
#include "guest-init/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/str.h"

#define INIT_GROUP        "init"
#define INIT_MEMORY_MIN   "33554432" /* never reclaimed from init, whatever the apps do */
#define CONTROLLERS_MAX   4096
#define PROCS_MAX         (1u << 20)
#define SIGNAL_ROUNDS_MAX 8

int cgroup_write(int dirfd, const char *file, const char *value)
{
    cleanup_close int fd = openat(dirfd, file, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    return write(fd, value, strlen(value)) < 0 ? -1 : 0;
}

/* Hands every controller that the group has down to its children. */
static int enable_controllers(int dirfd, struct err *err)
{
    cleanup_free char *text = NULL;
    cleanup_with(buf_free) struct buf all = {0};
    size_t len;
    if (read_file_at(dirfd, "cgroup.controllers", CONTROLLERS_MAX, &text, &len, err) < 0)
        return -1;
    for (char *save = NULL, *name = strtok_r(text, " \n", &save); name;
         name = strtok_r(NULL, " \n", &save))
        buf_printf(&all, "%s+%s", all.len ? " " : "", name);
    if (all.len && cgroup_write(dirfd, "cgroup.subtree_control", all.data) < 0)
        return err_set(err, errno, "can't enable the cgroup controllers");
    return 0;
}

static int make_group(int parent, const char *name, struct err *err)
{
    if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
        return err_set(err, errno, "can't create control group %s", name);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? err_set(err, errno, "can't open control group %s", name) : fd;
}

int cgroup_setup(const char *root, struct err *err)
{
    cleanup_close int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rootfd < 0)
        return err_set(err, errno, "can't open %s", root);
    cleanup_close int init = make_group(rootfd, INIT_GROUP, err);
    if (init < 0)
        return -1;
    if (cgroup_write(init, "cgroup.procs", "0") < 0)
        return err_set(err, errno, "can't enter control group %s", INIT_GROUP);
    if (enable_controllers(rootfd, err) < 0)
        return -1;
    (void)cgroup_write(init, "memory.min", INIT_MEMORY_MIN);
    (void)cgroup_write(init, "cpu.weight", "10000");
    cleanup_close int pod = make_group(rootfd, CGROUP_POD, err);
    if (pod < 0 || enable_controllers(pod, err) < 0)
        return -1;
    return cgroup_filter_devices(pod, err);
}

int cgroup_open_pod(const char *root, struct err *err)
{
    cleanup_close int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rootfd < 0)
        return err_set(err, errno, "can't open %s", root);
    return make_group(rootfd, CGROUP_POD, err);
}

int cgroup_make_app(const char *root, const char *name, int *ret_events, struct err *err)
{
    cleanup_close int pod = cgroup_open_pod(root, err);
    if (pod < 0)
        return -1;
    cleanup_close int app = make_group(pod, name, err);
    if (app < 0)
        return -1;
    int events = openat(app, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (events < 0)
        return err_set(err, errno, "can't watch control group %s", name);
    *ret_events = events;
    return take_fd(app);
}

bool cgroup_populated(int events_fd)
{
    char text[256];
    ssize_t n = pread(events_fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "populated 1") != NULL;
}

/* One pass over the group's processes; how many got the signal. */
static unsigned signal_once(int dirfd, int signo)
{
    cleanup_free char *text = NULL;
    size_t len;
    unsigned count = 0;
    if (read_file_at(dirfd, "cgroup.procs", PROCS_MAX, &text, &len, NULL) < 0)
        return 0;
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        uint64_t pid;
        if (parse_u64(line, INT32_MAX, &pid) == 0 && pid > 1)
            count += kill((pid_t)pid, signo) == 0;
    }
    return count;
}

void cgroup_signal(int dirfd, int signo)
{
    if (signo == SIGKILL && cgroup_write(dirfd, "cgroup.kill", "1") == 0)
        return;
    unsigned rounds = signo == SIGKILL ? SIGNAL_ROUNDS_MAX : 1;
    while (rounds-- > 0 && signal_once(dirfd, signo) > 0)
        ;
}
