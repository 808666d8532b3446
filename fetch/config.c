/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration directories: where keys and credentials lie. */
#include "fetch/config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"

void config_dirs_set(struct config_dirs *ret, const char *const *v, size_t n)
{
    *ret = (struct config_dirs){0};
    for (size_t i = 0; i < n && i < ARRAY_SIZE(ret->v); i++)
        ret->v[ret->n++] = xstrdup(v[i]);
}

static char *user_dir(const char *option)
{
    const char *env = getenv("APPC_VM_CONFIG"), *xdg = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (option && *option)
        return xstrdup(option);
    if (env && *env)
        return xstrdup(env);
    if (geteuid() == 0)
        return NULL;
    if (xdg && xdg[0] == '/')
        return xasprintf("%s/appc-vm", xdg);
    return home && home[0] == '/' ? xasprintf("%s/.config/appc-vm", home) : NULL;
}

void config_dirs_find(const char *option, struct config_dirs *ret)
{
    cleanup_free char *user = user_dir(option);
    const char *all[] = {user, CONFIG_LOCAL, CONFIG_SYSTEM};
    size_t skip = user ? 0 : 1;
    config_dirs_set(ret, all + skip, ARRAY_SIZE(all) - skip);
}

void config_dirs_done(struct config_dirs *d)
{
    for (size_t i = 0; i < d->n; i++)
        free(d->v[i]);
    *d = (struct config_dirs){0};
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int config_list(const char *dir, struct config_names *ret, struct err *err)
{
    cleanup_with(config_names_done) struct config_names names = {0};
    size_t cap = 0;
    cleanup_dir DIR *d = opendir(dir);
    if (!d && (errno == ENOENT || errno == ENOTDIR)) {
        *ret = (struct config_names){0};
        return 0;
    }
    if (!d)
        return err_set(err, errno, "can't read the directory %s", dir);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        if (names.n == CONFIG_NAMES_MAX)
            return err_set(err, 0, "%s has more than %d files", dir, CONFIG_NAMES_MAX);
        array_grow(&names.v, names.n, &cap, sizeof(*names.v));
        names.v[names.n++] = xstrdup(e->d_name);
    }
    if (names.n)
        qsort(names.v, names.n, sizeof(*names.v), by_name);
    *ret = names;
    names = (struct config_names){0};
    return 0;
}

void config_names_done(struct config_names *n)
{
    for (size_t i = 0; i < n->n; i++)
        free(n->v[i]);
    free(n->v);
    *n = (struct config_names){0};
}

static int check_owner(const char *path, const struct stat *st, bool secret, struct err *err)
{
    if (!S_ISREG(st->st_mode))
        return err_set(err, 0, "%s is not a regular file", path);
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return err_set(err, 0, "%s belongs to user %u; it has to belong to you or root", path,
                       (unsigned)st->st_uid);
    if (secret && (st->st_mode & 077))
        return err_set(err, 0, "others may read or write %s; \"chmod 600 %s\" mends it", path,
                       path);
    if (st->st_mode & 022)
        return err_set(err, 0, "others may write to %s; \"chmod go-w %s\" mends it", path, path);
    return 0;
}

int config_read(const char *path, size_t max, bool secret, char **ret_data, size_t *ret_len,
                struct err *err)
{
    struct stat st;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open %s", path);
    if (check_owner(path, &st, secret, err) < 0)
        return -1;
    return read_to_end(fd, path, max, ret_data, ret_len, err);
}
