/* SPDX-License-Identifier: Apache-2.0 */
/* A scratch directory for tests that need real files. */
#ifndef APPC_TESTS_GUEST_SCRATCH_H
#define APPC_TESTS_GUEST_SCRATCH_H

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"

struct scratch {
    char path[64];
    int fd;
};

static inline int scratch_remove(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

static inline void scratch_make(struct scratch *s)
{
    strcpy(s->path, "/tmp/appc-guest-XXXXXX");
    assert_non_null(mkdtemp(s->path));
    assert_int_equal(chmod(s->path, 0755), 0);
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(s->fd >= 0);
}

static inline void scratch_done(struct scratch *s)
{
    close(s->fd);
    nftw(s->path, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file with its parent directories. */
static inline void scratch_write(const struct scratch *s, const char *path, const char *text,
                                 mode_t mode)
{
    char parent[256];
    snprintf(parent, sizeof(parent), "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash) {
        *slash = '\0';
        assert_int_equal(mkdir_parents_at(s->fd, parent, 0755, NULL), 0);
    }
    assert_int_equal(write_file_atomic_at(s->fd, path, text, strlen(text), mode, false, NULL), 0);
    assert_int_equal(fchmodat(s->fd, path, mode, 0), 0);
}

#endif
