/* SPDX-License-Identifier: Apache-2.0 */
/* The root file system of one app, in a mount namespace of its own. */
#include "guest-init/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "guest-init/devices.h"
#include "guest-init/early.h"
#include "guest-init/inroot.h"
#include "guest-init/mnt.h"
#include "guest-init/notify.h"

static int mount_image(const char *device, struct err *err)
{
    const struct mnt_option options[] = {{"source", device}, {"ro", NULL}, {NULL, NULL}};
    if (mnt_at("erofs", options, MOUNT_ATTR_RDONLY, EARLY_LOWER, err) < 0)
        return err_prefix(err, "the image's root file system on %s", device);
    return 0;
}

/* The upper folder is the root directory that the app sees: it looks like the image's. */
static int copy_root_attributes(const char *upper, struct err *err)
{
    struct stat st;
    if (stat(EARLY_LOWER, &st) < 0 || chown(upper, st.st_uid, st.st_gid) < 0 ||
        chmod(upper, st.st_mode & 07777) < 0)
        return err_set(err, errno, "can't copy the attributes of the image's root directory");
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    (void)utimensat(AT_FDCWD, upper, times, 0);
    return 0;
}

/* The overlay; its descriptor is the root for everything that follows. */
static int mount_overlay(const char *app_name, struct err *err)
{
    cleanup_free char *upper = xasprintf(EARLY_SCRATCH "/apps/%s/upper", app_name);
    cleanup_free char *work = xasprintf(EARLY_SCRATCH "/apps/%s/work", app_name);
    if (mkdir_parents_at(AT_FDCWD, upper, 0755, err) < 0 ||
        mkdir_parents_at(AT_FDCWD, work, 0755, err) < 0 || copy_root_attributes(upper, err) < 0)
        return -1;
    /* Nothing outlives the pod but by an orderly end, which syncs: fsync need not reach the disk.
     */
    const struct mnt_option options[] = {{"lowerdir", EARLY_LOWER},
                                         {"upperdir", upper},
                                         {"workdir", work},
                                         {"volatile", NULL},
                                         {NULL, NULL}};
    cleanup_close int fd = mnt_new("overlay", options, MOUNT_ATTR_NODEV, err);
    if (fd < 0 || mnt_attach(fd, AT_FDCWD, EARLY_ROOT, err) < 0)
        return -1;
    return take_fd(fd);
}

/* Whether a directory lies on the root file system itself, not on a volume. */
static bool on_root_mount(int rootfd, int dirfd)
{
    struct statx a, b;
    return statx(rootfd, "", AT_EMPTY_PATH, STATX_MNT_ID, &a) == 0 &&
           statx(dirfd, "", AT_EMPTY_PATH, STATX_MNT_ID, &b) == 0 && a.stx_mnt_id == b.stx_mnt_id;
}

static int write_new(int etc, const char *name, const char *text, struct err *err)
{
    cleanup_close int fd =
        openat(etc, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_set(err, errno, "can't create /etc/%s", name);
    return write_all(fd, text, strlen(text)) < 0 ? err_set(err, errno, "can't write /etc/%s", name)
                                                 : 0;
}

/* Replaces a file of the image, or a link there, but nothing on a volume or below one (OS-16). */
static int replace(const struct rootfs_spec *spec, int etc, bool on_volume, const char *name,
                   const char *text, struct err *err)
{
    if (!on_volume && (unlinkat(etc, name, 0) == 0 || errno == ENOENT))
        return write_new(etc, name, text, err);
    if (!on_volume && errno != EBUSY)
        return err_set(err, errno, "can't replace /etc/%s", name);
    cleanup_free char *why = xasprintf("/etc/%s lies on a volume and stays as it is", name);
    spec->warn(spec->ctx, spec->app_name, why);
    return 0;
}

/* /etc/hosts when neither image nor volume has one (OS-14 to OS-16), and what the user gave. */
static int write_etc(const struct rootfs_spec *spec, int rootfd, struct err *err)
{
    struct stat st;
    cleanup_close int etc = inroot_make_dir(rootfd, "/etc", NULL, err);
    if (etc < 0)
        return -1;
    bool volume = !on_root_mount(rootfd, etc);
    if (spec->resolv_conf && replace(spec, etc, volume, "resolv.conf", spec->resolv_conf, err) < 0)
        return -1;
    if (spec->hosts)
        return replace(spec, etc, volume, "hosts", spec->hosts, err);
    if (fstatat(etc, "hosts", &st, AT_SYMLINK_NOFOLLOW) == 0 || volume)
        return 0;
    cleanup_free char *text = xasprintf("127.0.0.1\tlocalhost\n"
                                        "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                        "127.0.1.1\t%s\n",
                                        spec->hostname);
    return write_new(etc, "hosts", text, err);
}

static int pivot(int rootfd, struct err *err)
{
    if (fchdir(rootfd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
        umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return err_set(err, errno, "can't make the root file system the root");
    return 0;
}

struct warn_context {
    const struct rootfs_spec *spec;
};

static void warn(void *ctx, const char *text)
{
    const struct rootfs_spec *spec = ((struct warn_context *)ctx)->spec;
    spec->warn(spec->ctx, spec->app_name, text);
}

static int add_volumes(const struct rootfs_spec *spec, int rootfd, struct err *err)
{
    struct warn_context w = {spec};
    if (spec->volumes->n == 0)
        return 0;
    cleanup_close int scratch = open(EARLY_SCRATCH, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (scratch < 0)
        return err_set(err, errno, "can't open the scratch file system");
    return volumes_mount(spec->volumes, rootfd, EARLY_ROOT, scratch, warn, &w, err);
}

/* Everything that happens in the app's own namespace. */
static int build_inside(const struct rootfs_spec *spec, struct rootfs *ret, struct err *err)
{
    if (mount_image(spec->device, err) < 0)
        return -1;
    cleanup_close int root = mount_overlay(spec->app_name, err);
    /* The image's own files decide who the user is, so this comes before any volume. */
    if (root < 0 || identity_resolve(root, spec->user, spec->group, &ret->identity, err) < 0)
        return -1;
    if (devices_mount(root, spec->cgroup, err) < 0 ||
        (spec->notify && (ret->notify = notify_listen(EARLY_ROOT, err)) < 0) ||
        add_volumes(spec, root, err) < 0 || write_etc(spec, root, err) < 0)
        return -1;
    if (spec->read_only && mnt_set(root, MOUNT_ATTR_RDONLY) < 0)
        return err_set(err, errno, "can't make the root file system read-only");
    return pivot(root, err);
}

int rootfs_build(const struct rootfs_spec *spec, int init_ns, struct rootfs *ret, struct err *err)
{
    cleanup_with(rootfs_done) struct rootfs made = {.mntns = -1, .notify = -1};
    if (volumes_mount_shares(spec->volumes, err) < 0)
        return -1;
    if (unshare(CLONE_NEWNS) < 0)
        return err_set(err, errno, "can't make a mount namespace");
    made.mntns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    int r = made.mntns < 0 ? err_set(err, errno, "can't open the mount namespace")
                           : build_inside(spec, &made, err);
    if (setns(init_ns, CLONE_NEWNS) < 0)
        return err_set(err, errno, "can't return to init's own mount namespace");
    if (r < 0)
        return -1;
    *ret = made;
    made = (struct rootfs){.mntns = -1, .notify = -1};
    return 0;
}

void rootfs_done(struct rootfs *r)
{
    if (r->mntns >= 0)
        close(r->mntns);
    if (r->notify >= 0)
        close(r->notify);
    r->mntns = r->notify = -1;
    identity_done(&r->identity);
}
