/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of images: which os and arch exist, and which image satisfies a request. */
#include "schema/label.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"

static const struct {
    const char *os;
    const char *arches; /* separated by ", " */
} known[] = {
    {"linux", "amd64, i386, aarch64, aarch64_be, armv6l, armv7l, armv7b, ppc64, ppc64le, s390x"},
    {"freebsd", "amd64, i386, arm"},
    {"darwin", "x86_64, i386"},
};

const char *ac_os_names(void)
{
    return "linux, freebsd, darwin";
}

const char *ac_arch_names(const char *os)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (str_eq(known[i].os, os))
            return known[i].arches;
    return NULL;
}

static bool in_list(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ",");
        if (n == len && memcmp(p, word, n) == 0)
            return true;
        p += n;
        p += strspn(p, ", ");
    }
    return false;
}

enum ac_os_arch ac_os_arch_check(const char *os, const char *arch)
{
    if (!os)
        return AC_OS_ARCH_OK;
    const char *arches = ac_arch_names(os);
    if (!arches)
        return AC_OS_ARCH_BAD_OS;
    return !arch || in_list(arches, arch) ? AC_OS_ARCH_OK : AC_OS_ARCH_BAD_ARCH;
}

bool ac_labels_match(const struct ac_pairs *wanted, const struct ac_pairs *have)
{
    for (size_t i = 0; i < wanted->n; i++)
        if (!str_eq(ac_pairs_get(have, wanted->v[i].name), wanted->v[i].value))
            return false;
    return true;
}

bool ac_labels_run_on(const struct ac_pairs *labels, const char *os, const char *arch)
{
    const char *need_os = ac_pairs_get(labels, "os"), *need_arch = ac_pairs_get(labels, "arch");
    if (!need_os)
        return true;
    return str_eq(need_os, os) && (!need_arch || str_eq(need_arch, arch));
}
