/* SPDX-License-Identifier: Apache-2.0 */
/* os/unix/sysctl: settings of the pod's own kernel. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "guest-init/inroot.h"
#include "guest-init/isolate.h"

/* 0, or the errno value. Keys have dots where the path has slashes (ISO-74: no other way down). */
static int write_one(int procsys, const char *key, const char *value)
{
    cleanup_free char *path = xstrdup(key);
    for (char *p = path; *p; p++) {
        if (*p == '/' || (*p == '.' && (p == path || p[1] == '.' || p[1] == '\0')))
            return EINVAL;
    }
    for (char *p = path; (p = strchr(p, '.'));)
        *p = '/';
    cleanup_close int fd = inroot_open(procsys, path, O_WRONLY);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return errno;
    return 0;
}

void isolate_sysctl(const struct ac_isolator_view *view, struct isolate_target *target,
                    struct isolate_outcome *out)
{
    (void)target;
    size_t failed = 0;
    cleanup_close int procsys = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < view->sysctl.n; i++) {
        int e = write_one(procsys, view->sysctl.v[i].name, view->sysctl.v[i].value);
        if (e == 0)
            continue;
        failed++;
        isolate_note(out, WIRE_ISOLATOR_MODIFIED, "can't set %.100s: %s", view->sysctl.v[i].name,
                     e == ENOENT ? "this kernel has no such setting" : strerror(e));
    }
    if (failed && failed == view->sysctl.n)
        out->result = WIRE_ISOLATOR_IGNORED;
}
