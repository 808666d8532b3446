/* SPDX-License-Identifier: Apache-2.0 */
/* Putting volumes into an app's root: spec/ace.md, "Volume Setup". */
#include "guest-init/volumes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/copyup.h"
#include "guest-init/early.h"
#include "guest-init/inroot.h"
#include "guest-init/mnt.h"
#include "wire/wire.h"

#define STORE_DIR "volumes"

/* Where a directory lies below the app's root, after all links. Caller frees; NULL with *err. */
static char *resolved_path(int fd, const char *root_path, struct err *err)
{
    char link[64], path[4096];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    size_t skip = str_eq(root_path, "/") ? 0 : strlen(root_path);
    path[n > 0 ? n : 0] = '\0';
    if (n < 0 || strncmp(path, root_path, skip) != 0) {
        err_set(err, n < 0 ? errno : 0, "can't tell where a volume's target lies");
        return NULL;
    }
    return xstrdup(path[skip] ? path + skip : "/");
}

/* The folder of an empty volume, which is made by whoever comes first: *ret_fresh, then. */
static int open_empty(int scratchfd, const struct volume_mount *m, bool *ret_fresh, struct err *err)
{
    uint32_t mode = m->volume ? m->volume->mode : 0755;
    uid_t uid = m->volume ? m->volume->uid : 0;
    gid_t gid = m->volume ? m->volume->gid : 0;
    cleanup_free char *path = xasprintf(STORE_DIR "/%s", m->store);
    bool fresh = faccessat(scratchfd, path, F_OK, 0) < 0;
    if (fresh && mkdir_parents_at(scratchfd, path, 0755, err) < 0)
        return -1;
    cleanup_close int fd = openat(scratchfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "can't open volume \"%s\"", m->name);
    if (fresh && (fchown(fd, uid, gid) < 0 || fchmod(fd, (mode_t)mode & 07777) < 0))
        return err_set(err, errno, "can't set owner and mode of volume \"%s\"", m->name);
    *ret_fresh = fresh;
    return take_fd(fd);
}

int volumes_mount_shares(const struct volume_plan *plan, struct err *err)
{
    static bool mounted;
    static const struct mnt_option options[] = {{"source", WIRE_FS_TAG}, {NULL, NULL}};
    for (size_t i = 0; i < plan->n && !mounted; i++) {
        if (!plan->v[i].share)
            continue;
        if (mnt_at("virtiofs", options, MOUNT_ATTR_NODEV, EARLY_SHARES, err) < 0)
            return err_prefix(err, "the host's virtio-fs");
        mounted = true;
    }
    return 0;
}

/* The virtio-fs device has an entry for each host volume of the pod. */
static int open_share(const struct volume_mount *m, struct err *err)
{
    cleanup_free char *path = xasprintf(EARLY_SHARES "/%s", m->share);
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? err_set(err, errno, "can't open what the host shares of it") : fd;
}

static int open_source(int scratchfd, const struct volume_mount *m, bool *ret_fresh,
                       struct err *err)
{
    return m->share ? open_share(m, err) : open_empty(scratchfd, m, ret_fresh, err);
}

static int attach(const struct volume_mount *m, int source, int target, struct err *err)
{
    cleanup_close int mount = mnt_clone(source, "", 0, err);
    if (mount < 0)
        return -1;
    uint64_t attrs = MOUNT_ATTR_NODEV | (m->read_only ? MOUNT_ATTR_RDONLY : 0);
    if (mnt_set(mount, attrs) < 0)
        return err_set(err, errno, "can't protect volume \"%s\"", m->name);
    return mnt_attach(mount, target, "", err);
}

/* The targets as they are found in the root, before the first volume hides anything. */
struct targets {
    int *fds;
    int *sources;
    char **paths;
    size_t n;
};

static void targets_done(struct targets *t)
{
    for (size_t i = 0; i < t->n; i++) {
        close(t->fds[i]);
        close(t->sources[i]);
        free(t->paths[i]);
    }
    free(t->fds);
    free(t->sources);
    free(t->paths);
}

static void warn_masked(const struct volume_mount *m, enum inroot_masked masked,
                        volume_warn_fn *warn, void *ctx)
{
    if (masked == INROOT_NOTHING)
        return;
    cleanup_free char *text =
        xasprintf(masked == INROOT_FILE ? "volume \"%s\" replaces the file at %s"
                                        : "volume \"%s\" hides what the image has in %s",
                  m->name, m->path);
    warn(ctx, text);
}

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int find_target(struct targets *t, const struct volume_plan *plan, int rootfd,
                       const char *root_path, int scratchfd, enum inroot_masked *masked,
                       struct err *err)
{
    const struct volume_mount *m = &plan->v[t->n];
    bool fresh = false;
    cleanup_close int source = open_source(scratchfd, m, &fresh, err);
    if (source < 0)
        return err_prefix(err, "volume \"%s\"", m->name);
    /* VOL-12: a single file goes onto a file. */
    cleanup_close int fd = is_file(source) ? inroot_make_file(rootfd, m->path, masked, err)
                                           : inroot_make_dir(rootfd, m->path, masked, err);
    bool copied = fresh && m->volume && m->volume->from_image;
    if (fd < 0 || (copied && copyup_dir(fd, source, err) < 0))
        return err_prefix(err, "volume \"%s\"", m->name);
    if (copied && *masked == INROOT_CONTENT)
        *masked = INROOT_NOTHING;
    char *path = resolved_path(fd, root_path, err);
    if (!path)
        return err_prefix(err, "volume \"%s\"", m->name);
    t->paths[t->n] = path;
    t->sources[t->n] = take_fd(source);
    t->fds[t->n++] = take_fd(fd);
    for (size_t i = 0; i + 1 < t->n; i++) {
        if (paths_overlap(t->paths[i], path))
            return err_set(err, 0, "volumes \"%s\" (%s) and \"%s\" (%s) overlap at %s",
                           plan->v[i].name, plan->v[i].path, m->name, m->path, path);
    }
    return 0;
}

int volumes_mount(const struct volume_plan *plan, int rootfd, const char *root_path, int scratchfd,
                  volume_warn_fn *warn, void *ctx, struct err *err)
{
    cleanup_with(targets_done) struct targets t = {.fds = xcalloc(plan->n + 1, sizeof(int)),
                                                   .sources = xcalloc(plan->n + 1, sizeof(int)),
                                                   .paths = xcalloc(plan->n + 1, sizeof(char *))};
    for (size_t i = 0; i < plan->n; i++) {
        enum inroot_masked masked = INROOT_NOTHING;
        if (find_target(&t, plan, rootfd, root_path, scratchfd, &masked, err) < 0)
            return -1;
        warn_masked(&plan->v[i], masked, warn, ctx);
    }
    for (size_t i = 0; i < plan->n; i++) {
        if (attach(&plan->v[i], t.sources[i], t.fds[i], err) < 0)
            return err_prefix(err, "volume \"%s\"", plan->v[i].name);
    }
    return 0;
}
