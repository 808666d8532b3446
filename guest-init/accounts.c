/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups as the image's own passwd and group files know them. */
#include "guest-init/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/inroot.h"

/* One field of a line. */
struct field {
    const char *p;
    size_t len;
};

#define PASSWD_FIELDS 7
#define GROUP_FIELDS  4

/* Takes the next line off *text; false at the end. */
static bool next_line(const char **text, size_t *len, struct field *ret)
{
    if (*len == 0)
        return false;
    const char *end = memchr(*text, '\n', *len);
    size_t n = end ? (size_t)(end - *text) : *len;
    *ret = (struct field){*text, n};
    n += end ? 1 : 0;
    *text += n;
    *len -= n;
    return true;
}

/* Splits at colons; the last field takes the rest. Returns how many fields there are. */
static size_t split(struct field line, struct field *fields, size_t max)
{
    size_t n = 0;
    while (n < max - 1) {
        const char *colon = memchr(line.p, ':', line.len);
        if (!colon)
            break;
        fields[n++] = (struct field){line.p, (size_t)(colon - line.p)};
        line.len -= (size_t)(colon - line.p) + 1;
        line.p = colon + 1;
    }
    fields[n++] = line;
    return n;
}

static bool field_id(struct field f, uint32_t *ret)
{
    char digits[16];
    uint64_t v;
    if (f.len >= sizeof(digits))
        return false;
    memcpy(digits, f.p, f.len);
    digits[f.len] = '\0';
    if (strlen(digits) != f.len || parse_u64(digits, ACCOUNTS_ID_MAX, &v) < 0)
        return false;
    *ret = (uint32_t)v;
    return true;
}

static bool field_is(struct field f, const char *s)
{
    return f.len == strlen(s) && memcmp(f.p, s, f.len) == 0;
}

bool passwd_find(const char *text, size_t len, const char *name, uint32_t uid,
                 struct passwd_entry *ret)
{
    struct field line, f[PASSWD_FIELDS];
    while (next_line(&text, &len, &line)) {
        uint32_t u, g;
        if (split(line, f, PASSWD_FIELDS) != PASSWD_FIELDS || f[0].len == 0)
            continue;
        if (!field_id(f[2], &u) || !field_id(f[3], &g))
            continue;
        if (name ? !field_is(f[0], name) : u != uid)
            continue;
        *ret = (struct passwd_entry){.name = f[0].p,
                                     .name_len = f[0].len,
                                     .home = f[5].p,
                                     .home_len = f[5].len,
                                     .shell = f[6].p,
                                     .shell_len = f[6].len,
                                     .uid = u,
                                     .gid = g};
        return true;
    }
    return false;
}

bool group_find(const char *text, size_t len, const char *name, uint32_t *ret_gid)
{
    struct field line, f[GROUP_FIELDS];
    while (next_line(&text, &len, &line)) {
        if (split(line, f, GROUP_FIELDS) < 3 || !field_is(f[0], name))
            continue;
        if (field_id(f[2], ret_gid))
            return true;
    }
    return false;
}

void identity_done(struct identity *id)
{
    free(id->name);
    free(id->home);
    free(id->shell);
    *id = (struct identity){0};
}

/* Reads a file of the root; one that is absent is as good as an empty one. */
static int read_account_file(int rootfd, const char *path, char **ret, size_t *ret_len,
                             struct err *err)
{
    cleanup_close int fd = inroot_open(rootfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
        *ret = xstrdup("");
        *ret_len = 0;
        return 0;
    }
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "can't open the image's %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, 0, "the image's %s is not a regular file", path);
    return read_to_end(fd, path, ACCOUNTS_FILE_MAX, ret, ret_len, err);
}

/* A number, or the owner of a path: what remains when there is no such name. */
static int resolve_unnamed(int rootfd, const char *what, const char *value, bool group,
                           uint32_t *ret, struct err *err)
{
    uint64_t v;
    struct stat st;
    if (value[0] != '\0' && strspn(value, "0123456789") == strlen(value)) {
        if (parse_u64(value, ACCOUNTS_ID_MAX, &v) < 0)
            return err_set(err, 0, "%s \"%s\" is larger than any ID", what, value);
        *ret = (uint32_t)v;
        return 0;
    }
    if (value[0] != '/')
        return err_set(err, 0, "%s \"%s\" is neither in the image's /etc/%s nor a number", what,
                       value, group ? "group" : "passwd");
    cleanup_close int fd = inroot_open(rootfd, value, O_PATH | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_set(err, errno, "%s \"%s\" names a file that the image doesn't have", what,
                       value);
    *ret = group ? st.st_gid : st.st_uid;
    return 0;
}

static void take_entry(struct identity *id, const struct passwd_entry *e)
{
    id->name = xstrndup(e->name, e->name_len);
    if (e->home_len)
        id->home = xstrndup(e->home, e->home_len);
    if (e->shell_len)
        id->shell = xstrndup(e->shell, e->shell_len);
}

int identity_resolve(int rootfd, const char *user, const char *group, struct identity *ret,
                     struct err *err)
{
    cleanup_with(identity_done) struct identity id = {0};
    cleanup_free char *passwd = NULL, *groups = NULL;
    size_t passwd_len, groups_len;
    struct passwd_entry e;
    if (read_account_file(rootfd, "/etc/passwd", &passwd, &passwd_len, err) < 0 ||
        read_account_file(rootfd, "/etc/group", &groups, &groups_len, err) < 0)
        return -1;
    bool named = passwd_find(passwd, passwd_len, user, 0, &e);
    if (named)
        id.uid = e.uid;
    else if (resolve_unnamed(rootfd, "user", user, false, &id.uid, err) < 0)
        return -1;
    if (!group_find(groups, groups_len, group, &id.gid) &&
        resolve_unnamed(rootfd, "group", group, true, &id.gid, err) < 0)
        return -1;
    if (named || passwd_find(passwd, passwd_len, NULL, id.uid, &e))
        take_entry(&id, &e);
    *ret = id;
    id = (struct identity){0};
    return 0;
}
