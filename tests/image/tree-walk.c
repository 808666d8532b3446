/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree-walk: prints one line for each name of a tree with all that can be seen of it. For tests.
 *
 * tree-walk DIR prints DIR's. As process 1 of a guest it mounts /dev/vda as EROFS first, and resets
 * the machine at the end; so a guest's kernel and the host's can be compared on one image.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static char buf[1 << 16];

static uint64_t hash(uint64_t h, const void *data, size_t len)
{
    const unsigned char *p = data;
    while (len--)
        h = (h ^ *p++) * 0x100000001b3u;
    return h;
}

/* Content with its place: holes count as what they are, not as zeros. */
static uint64_t hash_file(const char *name)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    uint64_t h = 1;
    off_t at = 0;
    if (fd < 0)
        return 0;
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
        off_t end = lseek(fd, at, SEEK_HOLE);
        h = hash(h, &at, sizeof(at));
        while (at < end) {
            size_t n = end - at < (off_t)sizeof(buf) ? (size_t)(end - at) : sizeof(buf);
            ssize_t got = pread(fd, buf, n, at);
            if (got <= 0)
                return 0;
            h = hash(h, buf, (size_t)got);
            at += got;
        }
    }
    close(fd);
    return h;
}

static uint64_t hash_xattrs(const char *name)
{
    static char names[1 << 16];
    ssize_t len = llistxattr(name, names, sizeof(names));
    uint64_t h = 0;
    for (char *n = names; len > 0 && n < names + len; n += strlen(n) + 1) {
        ssize_t got = lgetxattr(name, n, buf, sizeof(buf));
        h += got < 0 ? 1 : hash(hash(1, n, strlen(n)), buf, (size_t)got);
    }
    return h;
}

static void print_name(const char *name)
{
    for (; *name; name++)
        printf(*name > ' ' && *name < 127 && *name != '\\' ? "%c" : "\\%02x", (unsigned char)*name);
}

static void print_node(const char *name, const struct stat *st)
{
    uint64_t content = 0;
    if (S_ISREG(st->st_mode))
        content = hash_file(name);
    if (S_ISLNK(st->st_mode)) {
        ssize_t n = readlink(name, buf, sizeof(buf));
        content = n < 0 ? 0 : hash(1, buf, (size_t)n);
    }
    printf(" %o %u:%u %" PRId64 ".%09ld n%u s%" PRId64 " i%" PRIu64 " d%u:%u c%" PRIx64 " x%" PRIx64
           "\n",
           st->st_mode, st->st_uid, st->st_gid, (int64_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
           (unsigned)st->st_nlink, (int64_t)st->st_size, (uint64_t)st->st_ino, major(st->st_rdev),
           minor(st->st_rdev), content, hash_xattrs(name));
}

/* The order is that of the directories, which a read-only file system fixes. */
static void walk(unsigned depth)
{
    DIR *d = opendir(".");
    struct dirent *e;
    while (d && (e = readdir(d))) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        printf("%u ", depth);
        print_name(e->d_name);
        if (lstat(e->d_name, &st) < 0) {
            printf(" can't be found\n");
            continue;
        }
        print_node(e->d_name, &st);
        if (S_ISDIR(st.st_mode) && chdir(e->d_name) == 0) {
            walk(depth + 1);
            if (chdir("..") < 0)
                exit(1);
        }
    }
    if (d)
        closedir(d);
}

static int run_as_init(void)
{
    mkdir("/dev", 0755);
    mkdir("/mnt", 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    if (mount("/dev/vda", "/mnt", "erofs", MS_RDONLY, NULL) < 0 || chdir("/mnt") < 0)
        perror("can't mount");
    else
        walk(0);
    printf("end\n");
    fflush(stdout);
    reboot(RB_AUTOBOOT);
    return 1;
}

int main(int argc, char **argv)
{
    if (getpid() == 1)
        return run_as_init();
    if (argc != 2 || chdir(argv[1]) < 0)
        return 2;
    walk(0);
    printf("end\n");
    return 0;
}
