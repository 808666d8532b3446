/* SPDX-License-Identifier: Apache-2.0 */
/* The groups of a user, from the passwd and group files of an image. */
#include "host/oci/accounts.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"

#define FIELDS_MAX 8

/* Splits one line at the colons, in place; how many fields there are. */
static size_t split(char *line, char *fields[FIELDS_MAX])
{
    size_t n = 0;
    fields[n++] = line;
    for (char *p = line; n < FIELDS_MAX && (p = strchr(p, ':')); fields[n++] = p)
        *p++ = '\0';
    return n;
}

/* The next line as a copy, NULL behind the last; the caller frees. */
static char *next_line(const char **p, const char *end)
{
    if (*p >= end)
        return NULL;
    const char *nl = memchr(*p, '\n', (size_t)(end - *p));
    size_t len = (size_t)((nl ? nl : end) - *p);
    char *line = xstrndup(*p, len);
    *p += len + 1;
    return line;
}

static bool parse_id(const char *s, uint32_t *ret)
{
    uint64_t v;
    if (parse_u64(s, UINT32_MAX - 1, &v) < 0)
        return false;
    *ret = (uint32_t)v;
    return true;
}

bool accounts_find_user(const char *text, size_t len, const char *user, char **ret_name,
                        uint32_t *ret_gid)
{
    uint32_t wanted = 0, uid, gid;
    bool by_number = parse_id(user, &wanted);
    const char *p = text;
    for (char *line; (line = next_line(&p, text + len));) {
        cleanup_free char *owned = line;
        char *f[FIELDS_MAX];
        if (split(line, f) < 4 || !parse_id(f[2], &uid) || !parse_id(f[3], &gid))
            continue;
        if (strcmp(f[0], user) != 0 && !(by_number && uid == wanted))
            continue;
        *ret_name = xstrdup(f[0]);
        *ret_gid = gid;
        return true;
    }
    return false;
}

static bool lists(char *members, const char *name)
{
    char *save;
    for (char *m = strtok_r(members, ",", &save); m; m = strtok_r(NULL, ",", &save))
        if (strcmp(m, name) == 0)
            return true;
    return false;
}

uint32_t *accounts_groups_of(const char *text, size_t len, const char *name, size_t *ret_n)
{
    uint32_t *v = NULL, gid;
    size_t n = 0, cap = 0;
    const char *p = text;
    for (char *line; n < ACCOUNTS_GROUPS_MAX && (line = next_line(&p, text + len));) {
        cleanup_free char *owned = line;
        char *f[FIELDS_MAX];
        if (split(line, f) < 4 || !parse_id(f[2], &gid) || !lists(f[3], name))
            continue;
        array_grow(&v, n, &cap, sizeof(*v));
        v[n++] = gid;
    }
    *ret_n = n;
    return v;
}
