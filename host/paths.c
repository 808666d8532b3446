/* SPDX-License-Identifier: Apache-2.0 */
/* Where things lie: the data directory and the companion programs. */
#include "host/paths.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

int paths_data_dir(const char *option, char **ret, struct err *err)
{
    const char *dir = option ? option : getenv("APPC_VM_DIR");
    if (dir && *dir) {
        *ret = xstrdup(dir);
        return 0;
    }
    if (geteuid() == 0) {
        *ret = xstrdup("/var/lib/appc-vm");
        return 0;
    }
    const char *xdg = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        *ret = xasprintf("%s/appc-vm", xdg);
    else if (home && home[0] == '/')
        *ret = xasprintf("%s/.local/share/appc-vm", home);
    else
        return err_set(err, 0, "no home directory for the images; give --dir=DIR");
    return 0;
}

int paths_companion(const char *name, char **ret, struct err *err)
{
    static const char *const places[] = {".", "../libexec/appc-vm"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n < 0)
        return err_set(err, errno, "can't find out where appc-vm lies (is /proc mounted?)");
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        cleanup_free char *path = xasprintf("%s/%s/%s", self, places[i], name);
        char *real = realpath(path, NULL);
        if (real) {
            *ret = real;
            return 0;
        }
    }
    return err_set(err, 0, "%s is missing beside %s/appc-vm; \"./dev setup\" builds it", name,
                   self);
}
