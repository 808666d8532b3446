/* SPDX-License-Identifier: Apache-2.0 */
/* The extended attributes of a file as pax records. */
#include "host/image/build_xattr.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/image/build_tar.h"

#define NAMES_MAX (64u << 10) /* XATTR_LIST_MAX of Linux */
#define VALUE_MAX (64u << 10) /* XATTR_SIZE_MAX of Linux */

static bool wanted(const char *name)
{
    static const char *const machine[] = {"security.selinux", "security.ima", "security.evm"};
    for (size_t i = 0; i < ARRAY_SIZE(machine); i++)
        if (strcmp(name, machine[i]) == 0)
            return false;
    return !str_starts(name, "trusted.overlay.");
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int add_record(const char *access_path, const char *path, const char *name, char *value,
                      struct buf *pax, struct err *err)
{
    ssize_t n = lgetxattr(access_path, name, value, VALUE_MAX);
    if (n < 0 && errno == ENODATA)
        return 0;
    if (n < 0)
        return err_set(err, errno, "can't read the attribute %s of %s", name, path);
    cleanup_free char *key = xasprintf("SCHILY.xattr.%s", name);
    tar_pax_record(pax, key, value, (size_t)n);
    return 0;
}

int xattr_records(const char *access_path, const char *path, struct buf *pax, struct err *err)
{
    ssize_t len = llistxattr(access_path, NULL, 0);
    if (len == 0 || (len < 0 && (errno == ENOTSUP || errno == EPERM)))
        return 0;
    cleanup_free char *list = xmalloc(NAMES_MAX);
    len = llistxattr(access_path, list, NAMES_MAX);
    if (len < 0)
        return err_set(err, errno, "can't read the attributes of %s", path);
    cleanup_free char *value = xmalloc(VALUE_MAX);
    cleanup_free const char **names = NULL;
    size_t n = 0, cap = 0;
    for (const char *p = list; p < list + len; p += strlen(p) + 1) {
        array_grow(&names, n, &cap, sizeof(*names));
        names[n++] = p;
    }
    if (n)
        qsort(names, n, sizeof(*names), by_name);
    for (size_t i = 0; i < n; i++)
        if (wanted(names[i]) && add_record(access_path, path, names[i], value, pax, err) < 0)
            return -1;
    return 0;
}
