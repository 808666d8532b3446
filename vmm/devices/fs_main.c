/* SPDX-License-Identifier: Apache-2.0 */
/* appc-dev-fs: directories and files of the host. */
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "vmm/devices/fs.h"
#include "vmm/devices/program.h"

static struct program program;
static struct fs fs = {.cache_ms = FS_CACHE_MS};
static struct fs_share_spec *shares;
static struct jail_tree *trees;
static size_t nshares, shares_cap, trees_cap;
static const char *tag = "volumes";
static unsigned queues = 1;
static int proc_fd;

static const struct jail_rule rules[] = {
    {.nr = SCMP_SYS(openat2)},                         /* looking up, opening, CREATE */
    {.nr = SCMP_SYS(openat), 2, O_TMPFILE, O_TMPFILE}, /* TMPFILE */
    {.nr = SCMP_SYS(statx)},                           /* attributes */
    {.nr = SCMP_SYS(fstatfs)},                         /* STATFS */
    {.nr = SCMP_SYS(readlinkat)},                      /* READLINK */
    {.nr = SCMP_SYS(preadv)},                          /* READ */
    {.nr = SCMP_SYS(pwritev2)},                        /* WRITE */
    {.nr = SCMP_SYS(getdents64)},                      /* READDIR */
    {.nr = SCMP_SYS(lseek)},                           /* READDIR, LSEEK */
    {.nr = SCMP_SYS(dup)},                             /* FLUSH */
    {.nr = SCMP_SYS(fsync)},                           /* FSYNC */
    {.nr = SCMP_SYS(fdatasync)},                       /* the same */
    {.nr = SCMP_SYS(syncfs)},                          /* SYNCFS */
    {.nr = SCMP_SYS(fallocate)},                       /* FALLOCATE */
    {.nr = SCMP_SYS(copy_file_range)},                 /* COPY_FILE_RANGE */
    {.nr = SCMP_SYS(truncate)},                        /* SETATTR */
    {.nr = SCMP_SYS(ftruncate)},                       /* the same of an open file */
    {.nr = SCMP_SYS(fchmodat)},                        /* SETATTR */
    {.nr = SCMP_SYS(fchownat)},                        /* SETATTR, new files */
    {.nr = SCMP_SYS(utimensat)},                       /* SETATTR */
    {.nr = SCMP_SYS(mkdirat)},                         /* MKDIR */
    {.nr = SCMP_SYS(mknodat), 2, S_IFMT, S_IFREG},     /* MKNOD, but for devices */
    {.nr = SCMP_SYS(mknodat), 2, S_IFMT, S_IFIFO},     /* the same */
    {.nr = SCMP_SYS(mknodat), 2, S_IFMT, S_IFSOCK},    /* the same */
    {.nr = SCMP_SYS(symlinkat)},                       /* SYMLINK */
    {.nr = SCMP_SYS(unlinkat)},                        /* UNLINK, RMDIR */
    {.nr = SCMP_SYS(renameat2)},                       /* RENAME */
    {.nr = SCMP_SYS(linkat)},                          /* LINK */
    {.nr = SCMP_SYS(getxattr)},                        /* GETXATTR, owners */
    {.nr = SCMP_SYS(setxattr)},                        /* SETXATTR, owners */
    {.nr = SCMP_SYS(listxattr)},                       /* LISTXATTR */
    {.nr = SCMP_SYS(removexattr)},                     /* REMOVEXATTR */
};

static int set_tag(void *self, const char *arg, struct err *err)
{
    (void)self;
    (void)err;
    tag = arg;
    return 0;
}

static int set_share(void *self, const char *arg, struct err *err)
{
    struct fs_share_spec spec;
    (void)self;
    if (fs_share_parse(arg, &spec, err) || program_keep_fd(&program, spec.fd, err))
        return -1;
    array_grow(&shares, nshares, &shares_cap, sizeof(*shares));
    array_grow(&trees, nshares, &trees_cap, sizeof(*trees));
    shares[nshares] = spec;
    trees[nshares] = (struct jail_tree){spec.fd, spec.read_only};
    nshares++;
    program.trees = trees;
    program.ntrees = nshares;
    return 0;
}

static int set_ownership(void *self, const char *arg, struct err *err)
{
    (void)self;
    return fs_owner_parse(arg, &fs.owner, err);
}

static int set_cache(void *self, const char *arg, struct err *err)
{
    uint64_t ms;
    (void)self;
    if (parse_u64(arg, FS_CACHE_MS_MAX, &ms))
        return err_set(err, 0, "\"%s\" is not a number of milliseconds up to %d", arg,
                       FS_CACHE_MS_MAX);
    fs.cache_ms = (unsigned)ms;
    return 0;
}

static int set_queues(void *self, const char *arg, struct err *err)
{
    uint64_t n;
    (void)self;
    if (parse_u64(arg, FS_QUEUES_MAX, &n) || !n)
        return err_set(err, 0, "\"%s\" is not a number from 1 to %d", arg, FS_QUEUES_MAX);
    queues = (unsigned)n;
    return 0;
}

static const struct program_option options[] = {
    {"tag", "NAME", "what the guest mounts (volumes)", set_tag},
    {"share", "SHARE", "NAME:FD[:ro][:norec], an entry of the root directory", set_share},
    {"ownership", "MODE", "auto, caller, xattr or host: who files belong to in the guest",
     set_ownership},
    {"cache-ms", "N", "how long the guest may believe names and attributes (0)", set_cache},
    {"queues", "N", "request queues (1)", set_queues},
};

static int init(void *self, struct device **ret_dev, struct err *err)
{
    (void)self;
    /* A limit of the user on the size of files is an error to the guest and not the end. */
    signal(SIGXFSZ, SIG_IGN);
    for (size_t i = 0; i < nshares; i++) {
        if (fs_add_share(&fs, &shares[i], err))
            return -1;
    }
    if (fs_init(&fs, tag, queues, proc_fd, err))
        return -1;
    *ret_dev = &fs.dev;
    return 0;
}

int main(int argc, char **argv)
{
    struct err err;
    program = (struct program){
        .name = "appc-dev-fs",
        .about = "virtio-fs back end: directories and files of the host",
        .options = options,
        .noptions = ARRAY_SIZE(options),
        .rules = rules,
        .nrules = ARRAY_SIZE(rules),
        .nofile = FS_NOFILE,
        .files = true,
        .init = init,
    };
    proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (proc_fd < 0 || program_keep_fd(&program, proc_fd, &err)) {
        fprintf(stderr, "appc-dev-fs: cannot open /proc/self/fd; is /proc mounted?\n");
        return DEVICE_EXIT_FAILED;
    }
    program_exit(program_main(&program, argc, argv));
}
