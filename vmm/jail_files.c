/* SPDX-License-Identifier: Apache-2.0 */
/* The jail: Landlock, and the ids of a process that serves files of others. */
#include "vmm/jail_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Landlock's right of its third version, which headers may not have. */
#define ACCESS_TRUNCATE (1ULL << 14)

#define ACCESS_FIRST ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* of the first version */
#define ACCESS_READ                                                                                \
    ((uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                        \
                LANDLOCK_ACCESS_FS_READ_DIR))
#define ACCESS_FILE                                                                                \
    ((uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                        \
                LANDLOCK_ACCESS_FS_WRITE_FILE) |                                                   \
     ACCESS_TRUNCATE)

#define MAP_MAX 4096

/* What this namespace knows of ids, as the map of one that is to know the same. */
static size_t identity(const char *own_map, char *ret, size_t cap)
{
    unsigned inside, outside, count;
    size_t len = 0;
    cleanup_file FILE *f = fopen(own_map, "re");
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers, which fit */
    while (f && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3 && len + 48 < cap)
        len += (size_t)snprintf(ret + len, cap - len, "%u %u %u\n", inside, inside, count);
    return len;
}

static bool write_map(pid_t pid, const char *which)
{
    char path[64], text[MAP_MAX];
    snprintf(path, sizeof(path), "/proc/self/%s", which);
    size_t len = identity(path, text, sizeof(text));
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, which);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    return len && fd >= 0 && write(fd, text, len) == (ssize_t)len;
}

/* The child: one byte says that the parent is in its namespace, one says that it is mapped. */
static void mapper(int sock, pid_t parent)
{
    char c;
    if (read(sock, &c, 1) == 1 && write_map(parent, "uid_map") && write_map(parent, "gid_map") &&
        write(sock, "k", 1) == 1)
        _exit(0);
    _exit(1);
}

int jail_map_start(void)
{
    int sv[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(sv[0]);
        mapper(sv[1], parent);
    }
    close(sv[1]);
    if (pid < 0) {
        close(sv[0]);
        return -1;
    }
    return sv[0];
}

bool jail_map_finish(int sock)
{
    char c;
    bool done = write(sock, "n", 1) == 1 && read(sock, &c, 1) == 1;
    /* Its only child. */
    while (wait(NULL) < 0 && errno == EINTR)
        ;
    return done;
}

static bool allow(int ruleset, const struct jail_tree *t, uint64_t handled)
{
    struct stat st;
    if (fstat(t->fd, &st))
        return false;
    struct landlock_path_beneath_attr a = {
        .parent_fd = t->fd,
        .allowed_access = t->read_only ? ACCESS_READ : handled,
    };
    if (!S_ISDIR(st.st_mode))
        a.allowed_access &= ACCESS_FILE;
    a.allowed_access &= handled;
    return !syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &a, 0);
}

/* Without REFER nothing can be renamed from one directory to another. */
static uint64_t handled_access(const struct jail_spec *spec)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t handled = ACCESS_FIRST;
    if (version < 1 || (version < 2 && spec->ntrees))
        return 0;
    if (version >= 2)
        handled |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        handled |= ACCESS_TRUNCATE;
    return handled;
}

bool jail_landlock(const struct jail_spec *spec)
{
    const struct landlock_ruleset_attr attr = {.handled_access_fs = handled_access(spec)};
    if (!attr.handled_access_fs)
        return false;
    cleanup_close int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (fd < 0)
        return false;
    for (size_t i = 0; i < spec->ntrees; i++) {
        if (!allow(fd, &spec->trees[i], attr.handled_access_fs))
            return false;
    }
    return !syscall(SYS_landlock_restrict_self, fd, 0);
}
