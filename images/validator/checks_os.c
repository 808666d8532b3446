/* SPDX-License-Identifier: Apache-2.0 */
/* What OS-SPEC.md wants of Linux, the network, and what isolators leave. */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "validator.h"

#define DEFAULT_CAPS 0xa80425fbULL
#define GIB          "1073741824\n"
#define SYSFS        0x62656572
#define DEVPTS       0x1cd1
#define TMPFS        0x01021994

static void check_fs(const char *id, const char *path, long magic)
{
    struct statfs s = {0};
    check(statfs(path, &s) == 0 && s.f_type == magic, id, "%s is a file system of type %lx", path,
          (unsigned long)s.f_type);
}

static void check_device(const char *id, const char *path, unsigned maj, unsigned min, int flags)
{
    struct stat s = {0};
    bool is = stat(path, &s) == 0 && S_ISCHR(s.st_mode) && major(s.st_rdev) == maj &&
              minor(s.st_rdev) == min;
    int fd = flags < 0 ? -1 : open(path, flags | O_CLOEXEC | O_NONBLOCK);
    char c;
    bool works =
        flags < 0 || (fd >= 0 && (flags == O_WRONLY ? write(fd, "", 1) : read(fd, &c, 1)) >= 0);
    check(is && works, id, "%s is device %u:%u", path, major(s.st_rdev), minor(s.st_rdev));
    if (fd >= 0)
        close(fd);
}

static void check_full(void)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    check(fd >= 0 && write(fd, "", 1) < 0 && errno == ENOSPC, "OS-05", "/dev/full is full");
    close(fd);
}

static void check_terminals(void)
{
    struct stat s;
    check(stat("/dev/console", &s) == 0 && S_ISCHR(s.st_mode), "OS-09", "/dev/console is there");
    check_fs("OS-10", "/dev/pts", DEVPTS);
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    char name[64] = "";
    check(fd >= 0 && grantpt(fd) == 0 && unlockpt(fd) == 0 &&
              ptsname_r(fd, name, sizeof(name)) == 0 && access(name, R_OK | W_OK) == 0,
          "OS-11", "/dev/ptmx makes terminals: %s", name);
    close(fd);
}

static void check_shm(void)
{
    check_fs("OS-12", "/dev/shm", TMPFS);
    char name[64];
    snprintf(name, sizeof(name), "/validator-%d", getpid());
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    check(fd >= 0 && shm_unlink(name) == 0, "OS-12", "shared memory can be made");
    close(fd);
}

void check_os(void)
{
    check_fs("OS-01", "/proc", PROC_SUPER_MAGIC);
    check_fs("OS-02", "/sys", SYSFS);
    check_device("OS-03", "/dev/null", 1, 3, O_WRONLY);
    check_device("OS-04", "/dev/zero", 1, 5, O_RDONLY);
    check_device("OS-05", "/dev/full", 1, 7, -1);
    check_full();
    check_device("OS-06", "/dev/random", 1, 8, O_RDONLY);
    check_device("OS-07", "/dev/urandom", 1, 9, O_RDONLY);
    check_device("OS-08", "/dev/tty", 5, 0, -1);
    check_terminals();
    check_shm();
    const char *hosts = slurp("/etc/hosts");
    check(hosts && strstr(hosts, "127.0.0.1") && strstr(hosts, "localhost"), "OS-15",
          "/etc/hosts knows localhost");
}

static bool has_address(struct ifaddrs *list, const char *name)
{
    for (struct ifaddrs *i = list; i; i = i->ifa_next) {
        int family = i->ifa_addr ? i->ifa_addr->sa_family : AF_UNSPEC;
        if (strcmp(i->ifa_name, name) == 0 && (family == AF_INET || family == AF_INET6))
            return true;
    }
    return false;
}

void check_network(void)
{
    struct ifaddrs *list = NULL;
    struct if_nameindex *names = if_nameindex();
    bool up = false;
    getifaddrs(&list);
    for (struct ifaddrs *i = list; i; i = i->ifa_next)
        up = up || (strcmp(i->ifa_name, "lo") == 0 && i->ifa_flags & IFF_UP);
    check(up, "NET-01", "the loopback interface is up");
    for (size_t i = 0; names && names[i].if_name; i++)
        check(has_address(list, names[i].if_name), "NET-03", "interface %s has an address",
              names[i].if_name);
    freeifaddrs(list);
    if_freenameindex(names);
}

static unsigned long long status_field(const char *name, int radix)
{
    const char *text = slurp("/proc/self/status");
    const char *p = text ? strstr(text, name) : NULL;
    return p ? strtoull(p + strlen(name), NULL, radix) : ~0ULL;
}

void check_isolation(bool is_main)
{
    unsigned long long caps = status_field("\nCapBnd:", 16);
    check(caps == DEFAULT_CAPS, "ISO-40", "the bounding set is %llx", caps);
    check(status_field("\nCapEff:", 16) == DEFAULT_CAPS, "ISO-40", "root has what it may have");
    check(status_field("\nNoNewPrivs:", 10) == 0, "ISO-45", "no_new_privs is off");
    check(status_field("\nSeccomp:", 10) == 0, "ISO-22", "there is no filter of system calls");
    const char *max = slurp("/sys/fs/cgroup/memory.max");
    check(max && strcmp(max, is_main ? GIB : "max\n") == 0, "ISO-57", "the memory limit is %s",
          is_main ? "1 GiB" : "none");
}
