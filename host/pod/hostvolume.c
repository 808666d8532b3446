/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of kind "host": their sources, opened by the rules of ace.md. */
#include "host/pod/hostvolume.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

static int open_source(const struct ac_volume *v, bool allow_symlinks, struct err *err)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC,
                           .resolve =
                               RESOLVE_NO_MAGICLINKS | (allow_symlinks ? 0 : RESOLVE_NO_SYMLINKS)};
    struct stat st;
    cleanup_close int fd = (int)syscall(SYS_openat2, AT_FDCWD, v->source, &how, sizeof(how));
    if (fd < 0 && errno == ELOOP)
        return err_set(err, 0,
                       "volume %s: %s is a symbolic link or lies behind one; --allow-symlinks "
                       "follows it",
                       v->name, v->source);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "volume %s: can't open %s", v->name, v->source);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(err, 0, "volume %s: %s is neither a directory nor a regular file", v->name,
                       v->source);
    return take_fd(fd);
}

static int share(const struct ac_volume *v, const char *app, bool allow_symlinks, struct plan *plan,
                 struct err *err)
{
    cleanup_free char *name = wire_share_name(app, v->name);
    for (size_t i = 0; i < plan->nshares; i++)
        if (str_eq(plan->shares[i].name, name))
            return 0;
    int fd = open_source(v, allow_symlinks, err);
    if (fd < 0)
        return -1;
    plan->shares = xreallocarray(plan->shares, plan->nshares + 1, sizeof(*plan->shares));
    plan->shares[plan->nshares++] = (struct plan_share){
        .name = take_ptr(name), .fd = fd, .read_only = v->read_only, .recursive = v->recursive};
    return 0;
}

static const struct ac_volume *pod_volume(const struct ac_pod_manifest *pod, const char *name)
{
    for (size_t i = 0; i < pod->nvolumes; i++)
        if (str_eq(pod->volumes[i].name, name))
            return &pod->volumes[i];
    return NULL;
}

int hostvolumes_open(const struct ac_pod_manifest *pod, bool allow_symlinks, struct plan *plan,
                     struct err *err)
{
    for (size_t i = 0; i < pod->napps; i++) {
        const struct ac_pod_app *app = &pod->apps[i];
        for (size_t j = 0; j < app->nmounts; j++) {
            const struct ac_mount *m = &app->mounts[j];
            const struct ac_volume *v =
                m->has_app_volume ? &m->app_volume : pod_volume(pod, m->volume);
            if (v && v->kind == AC_VOLUME_HOST &&
                share(v, m->has_app_volume ? app->name : NULL, allow_symlinks, plan, err) < 0)
                return -1;
        }
    }
    return 0;
}
