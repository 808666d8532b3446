/* SPDX-License-Identifier: Apache-2.0 */
/* What spec/OS-SPEC.md wants in /dev, /proc and /sys of every app. */
#include "guest-init/devices.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/early.h"
#include "guest-init/inroot.h"
#include "guest-init/mnt.h"

static const struct {
    const char *name;
    mode_t mode;
    unsigned major, minor;
} nodes[] = {
    {"null", 0666, 1, 3},    {"zero", 0666, 1, 5}, {"full", 0666, 1, 7},    {"random", 0666, 1, 8},
    {"urandom", 0666, 1, 9}, {"tty", 0666, 5, 0},  {"console", 0600, 5, 1},
};

static const struct {
    const char *name, *target;
} links[] = {
    {"ptmx", "pts/ptmx"},          {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"},
    {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
};

static int populate(int dev, struct err *err)
{
    static const char *const dirs[] = {"pts", "shm", "mqueue"};
    for (size_t i = 0; i < ARRAY_SIZE(nodes); i++) {
        dev_t id = makedev(nodes[i].major, nodes[i].minor);
        if (mknodat(dev, nodes[i].name, S_IFCHR | nodes[i].mode, id) < 0)
            return err_set(err, errno, "can't create /dev/%s", nodes[i].name);
    }
    for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
        if (symlinkat(links[i].target, dev, links[i].name) < 0)
            return err_set(err, errno, "can't create /dev/%s", links[i].name);
    }
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
        if (mkdirat(dev, dirs[i], 0755) < 0)
            return err_set(err, errno, "can't create /dev/%s", dirs[i]);
    }
    return 0;
}

/* Attaches `mountfd` at an absolute path of the app's root, whose directory is made when missing.
 */
static int attach_in_root(int rootfd, int mountfd, const char *path, struct err *err)
{
    cleanup_close int target = inroot_make_dir(rootfd, path, NULL, err);
    return target < 0 ? -1 : mnt_attach(mountfd, target, "", err);
}

static int mount_dev(int rootfd, struct err *err)
{
    static const struct mnt_option dev_options[] = {
        {"mode", "0755"}, {"size", "16m"}, {NULL, NULL}};
    static const struct mnt_option pts_options[] = {
        {"newinstance", NULL}, {"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}, {NULL, NULL}};
    cleanup_close int dev = mnt_new("tmpfs", dev_options, MOUNT_ATTR_NOSUID, err);
    if (dev < 0 || populate(dev, err) < 0 || attach_in_root(rootfd, dev, "/dev", err) < 0)
        return -1;
    cleanup_close int pts =
        mnt_new("devpts", pts_options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err);
    if (pts < 0 || mnt_attach(pts, dev, "pts", err) < 0)
        return -1;
    cleanup_close int shm = mnt_clone(AT_FDCWD, EARLY_APP_SHM, 0, err);
    if (shm < 0 || mnt_attach(shm, dev, "shm", err) < 0)
        return -1;
    cleanup_close int mqueue = mnt_new("mqueue", NULL, MNT_SAFE, err);
    return mqueue < 0 ? -1 : mnt_attach(mqueue, dev, "mqueue", err);
}

int devices_mount(int rootfd, const char *cgroup, struct err *err)
{
    cleanup_close int proc = mnt_clone(AT_FDCWD, EARLY_APP_PROC, 1, err);
    if (proc < 0 || attach_in_root(rootfd, proc, "/proc", err) < 0)
        return -1;
    cleanup_close int sys = mnt_clone(AT_FDCWD, EARLY_APP_SYS, 1, err);
    if (sys < 0 || attach_in_root(rootfd, sys, "/sys", err) < 0)
        return -1;
    cleanup_close int group = mnt_clone(AT_FDCWD, cgroup, 0, err);
    if (group < 0)
        return -1;
    if (mnt_set(group, MOUNT_ATTR_RDONLY) < 0)
        return err_set(err, errno, "can't make the view of the control group read-only");
    if (mnt_attach(group, sys, "fs/cgroup", err) < 0)
        return -1;
    return mount_dev(rootfd, err);
}
