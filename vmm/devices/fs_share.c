/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-fs: shares, which are the entries of the root directory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "vmm/devices/fs_ops.h"

/* Takes the text up to the next ':' or the end: where it starts, and *p behind the ':'. */
static size_t take_part(const char **p)
{
    size_t len = strcspn(*p, ":");
    *p += len + ((*p)[len] == ':');
    return len;
}

static int parse_flags(const char *p, const char *text, struct fs_share_spec *ret, struct err *err)
{
    while (*p) {
        const char *flag = p;
        size_t len = take_part(&p);
        if (len == 2 && !strncmp(flag, "ro", 2))
            ret->read_only = true;
        else if (len == 5 && !strncmp(flag, "norec", 5))
            ret->recursive = false;
        else
            return err_set(err, 0, "share \"%s\": \"%.*s\" is neither ro nor norec", text, (int)len,
                           flag);
    }
    return 0;
}

int fs_share_parse(const char *text, struct fs_share_spec *ret, struct err *err)
{
    struct fs_share_spec s = {.recursive = true};
    char digits[12];
    uint64_t fd;
    const char *p = text, *name = p;
    size_t len = take_part(&p);
    if (!len || len > FS_NAME_MAX || memchr(name, '/', len) || !strncmp(name, ".:", 2) ||
        !strncmp(name, "..:", 3))
        return err_set(err, 0, "share \"%s\": give NAME:FD[:ro][:norec]", text);
    memcpy(s.name, name, len);
    const char *number = p;
    len = take_part(&p);
    if (len && len < sizeof(digits)) {
        memcpy(digits, number, len);
        digits[len] = 0;
    }
    if (!len || len >= sizeof(digits) || parse_u64(digits, INT32_MAX, &fd))
        return err_set(err, 0, "share \"%s\": \"%.*s\" is not the number of a descriptor", text,
                       (int)len, number);
    s.fd = (int)fd;
    if (parse_flags(p, text, &s, err))
        return -1;
    *ret = s;
    return 0;
}

struct fs_share *fs_share_find(struct fs *fs, const char *name)
{
    for (unsigned i = 0; i < fs->nshares; i++) {
        if (!strcmp(fs->shares[i]->name, name))
            return fs->shares[i];
    }
    return NULL;
}

static int check_file(const struct fs_share_spec *spec, struct err *err)
{
    struct stat st;
    if (fstat(spec->fd, &st))
        return err_set(err, errno, "share \"%s\": cannot use descriptor %d", spec->name, spec->fd);
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return err_set(err, 0, "share \"%s\": descriptor %d is neither a directory nor a file",
                       spec->name, spec->fd);
    return 0;
}

int fs_add_share(struct fs *fs, const struct fs_share_spec *spec, struct err *err)
{
    if (fs->nshares == FS_SHARES_MAX)
        return err_set(err, 0, "more than %d shares", FS_SHARES_MAX);
    if (fs_share_find(fs, spec->name))
        return err_set(err, 0, "share \"%s\" is there twice", spec->name);
    if (check_file(spec, err))
        return -1;
    if (!fs->nodes) {
        TAILQ_INIT(&fs->lru);
        fs_node_pinned(fs, NULL, -1);
    }
    struct fs_share *s = xcalloc(1, sizeof(*s));
    memcpy(s->name, spec->name, sizeof(s->name));
    s->fd = spec->fd;
    s->read_only = spec->read_only;
    s->recursive = spec->recursive;
    s->index = fs->nshares;
    s->node = fs_node_pinned(fs, s, s->fd);
    if (!s->node) {
        free(s);
        return err_set(err, errno, "share \"%s\": cannot look at its file", spec->name);
    }
    fs->shares[fs->nshares++] = s;
    return 0;
}
