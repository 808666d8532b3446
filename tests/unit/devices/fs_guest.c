/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main program; see fs_guest.h. The guest's console carries lines "ok NAME VALUE" and "failed
 * WHERE WHAT", and "ask NAME" where the host is to do something and then to send a line.
 */
#include "fs_guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1U << 20)

unsigned failures, checks;

static uint8_t chunk[CHUNK];

void check(bool good, const char *file, int line, const char *what)
{
    const char *name = strrchr(file, '/');
    checks++;
    if (good)
        return;
    failures++;
    printf("failed %s:%d %s (%s)\n", name ? name + 1 : file, line, what, strerror(errno));
}

void make_file(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    size_t len = strlen(text);
    EXPECT(fd >= 0 && write(fd, text, len) == (ssize_t)len);
    EXPECT(!close(fd));
}

bool has_text(const char *path, const char *text)
{
    char buf[4096];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf));
    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(text) && !memcmp(buf, text, (size_t)n);
}

uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ULL;
    uint64_t v = *state;
    v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ULL;
    v = (v ^ v >> 27) * 0x94d049bb133111ebULL;
    return v ^ v >> 31;
}

uint64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int count_entries(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    int n = 0;
    if (!d)
        return -1;
    while ((e = readdir(d)))
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}

static void suite(const char *name, unsigned before)
{
    printf("%s %s %u\n", failures == before ? "ok" : "bad", name, checks);
}

static void all_suites(unsigned scale)
{
    unsigned n = failures;
    posix_suite();
    suite("posix", n);
    n = failures;
    owner_suite();
    suite("owners", n);
    n = failures;
    files_suite();
    suite("files", n);
    n = failures;
    for (uint64_t seed = 1; seed <= 3; seed++)
        fsx_suite(100 * scale, seed);
    suite("fsx", n);
    n = failures;
    storm_suite(50 * scale);
    suite("storm", n);
}

static void read_only(void)
{
    unsigned n = failures;
    EXPECT(has_text("/v/ro/file", "read me"));
    EXPECT_ERR(open("/v/ro/file", O_WRONLY), EROFS);
    EXPECT_ERR(open("/v/ro/new", O_CREAT | O_WRONLY, 0644), EROFS);
    EXPECT_ERR(mkdir("/v/ro/new", 0755), EROFS);
    EXPECT_ERR(unlink("/v/ro/file"), EROFS);
    EXPECT_ERR(rename("/v/ro/file", "/v/ro/g"), EROFS);
    EXPECT_ERR(chmod("/v/ro/file", 0777), EROFS);
    EXPECT_ERR(truncate("/v/ro/file", 0), EROFS);
    EXPECT_ERR(mkdir("/v/new", 0755), EROFS);
    EXPECT_ERR(unlink("/v/one"), EROFS);
    EXPECT_ERR(rename("/v/rw/x", "/v/ro/x"), ENOENT);
    /* A single file, bound to where an app wants it. */
    make_file("/target", "");
    EXPECT(!mount("/v/one", "/target", NULL, MS_BIND, NULL) && has_text("/target", "single"));
    make_file("/target", "written");
    EXPECT(has_text("/v/one", "written"));
    EXPECT(count_entries("/v") == 4);
    EXPECT(count_entries("/v/norec") == 2 && count_entries("/v/norec/mnt") == 0);
    EXPECT_ERR(open("/v/norec/mnt/inside", O_RDONLY), ENOENT);
    EXPECT(has_text("/v/rw/mnt/inside", "below"));
    suite("shares", n);
}

/* Has the host do something. */
static void ask(const char *name)
{
    char c;
    printf("ask %s\n", name);
    while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
        ;
}

static void coherence(void)
{
    unsigned n = failures;
    struct stat st;
    char c, text[64];
    make_file("/v/rw/from-guest", "hello host");
    make_file("/v/rw/shared", "guest's first text");
    EXPECT(has_text("/v/rw/shared", "guest's first text"));
    int fd = open("/v/rw/shared", O_RDWR);
    EXPECT(pread(fd, &c, 1, 0) == 1 && c == 'g');
    ask("rewrite");
    /* By name and by the descriptor that was open already; then by a new one. */
    EXPECT(!stat("/v/rw/shared", &st) && st.st_size == 17);
    EXPECT(pread(fd, text, 64, 0) == 17 && !memcmp(text, "host's other text", 17));
    EXPECT(has_text("/v/rw/shared", "host's other text"));
    EXPECT(has_text("/v/rw/new-on-host", "new"));
    EXPECT_ERR(access("/v/rw/from-guest", F_OK), ENOENT);
    EXPECT(lseek(fd, 0, SEEK_END) == 17);
    ask("same-size");
    EXPECT(pread(fd, text, 64, 0) == 17 && !memcmp(text, "HOST'S OTHER TEXT", 17));
    close(fd);
    ask("replace");
    EXPECT(has_text("/v/rw/shared", "another file"));
    EXPECT(has_text("/v/rw/dir/f", "in a directory"));
    ask("swap");
    EXPECT(readlink("/v/rw/dir", text, 64) == 4);
    EXPECT_ERR(open("/v/rw/dir/shadow", O_RDONLY), ENOENT);
    make_file("/v/rw/log", "guest\n");
    fd = open("/v/rw/log", O_WRONLY | O_APPEND);
    ask("append");
    EXPECT(write(fd, "guest again\n", 12) == 12);
    close(fd);
    EXPECT(has_text("/v/rw/log", "guest\nhost\nguest again\n"));
    suite("coherence", n);
}

static void speed(const char *what, uint64_t bytes, uint64_t start)
{
    uint64_t us = now_us() - start;
    printf("speed %s %llu us, %llu MB/s\n", what, (unsigned long long)us,
           (unsigned long long)(us ? bytes / us : 0));
}

static void drop_caches(void)
{
    int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);
    if (fd >= 0 && write(fd, "3", 1) != 1)
        puts("caches stay");
    close(fd);
}

static void throughput(const char *dir)
{
    char path[128];
    struct stat st;
    snprintf(path, sizeof(path), "%s/big", dir);
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0644);
    uint64_t start = now_us();
    for (unsigned i = 0; i < 64; i++)
        EXPECT(write(fd, chunk, CHUNK) == CHUNK);
    speed("write-1M", 64ULL * CHUNK, start);
    drop_caches();
    start = now_us();
    for (unsigned i = 0; i < 64; i++)
        EXPECT(pread(fd, chunk, CHUNK, (off_t)i * CHUNK) == CHUNK);
    speed("read-1M", 64ULL * CHUNK, start);
    start = now_us();
    for (unsigned i = 0; i < 64; i++)
        EXPECT(pread(fd, chunk, CHUNK, (off_t)i * CHUNK) == CHUNK);
    speed("read-cached", 64ULL * CHUNK, start);
    start = now_us();
    for (unsigned i = 0; i < 2000; i++)
        EXPECT(pwrite(fd, chunk, 4096, (off_t)i * 4096) == 4096);
    speed("write-4K x2000", 2000ULL * 4096, start);
    close(fd);
    EXPECT(!unlink(path));
    start = now_us();
    for (unsigned i = 0; i < 500; i++) {
        snprintf(path, sizeof(path), "%s/small-%u", dir, i);
        make_file(path, "small");
    }
    speed("create x500", 0, start);
    start = now_us();
    for (unsigned k = 0; k < 4; k++) {
        for (unsigned i = 0; i < 500; i++) {
            snprintf(path, sizeof(path), "%s/small-%u", dir, i);
            EXPECT(!stat(path, &st));
        }
    }
    speed("stat x2000", 0, start);
    start = now_us();
    for (unsigned i = 0; i < 500; i++) {
        snprintf(path, sizeof(path), "%s/small-%u", dir, i);
        EXPECT(has_text(path, "small"));
    }
    speed("open-read-close x500", 0, start);
    start = now_us();
    for (unsigned i = 0; i < 500; i++) {
        snprintf(path, sizeof(path), "%s/small-%u", dir, i);
        EXPECT(!unlink(path));
    }
    speed("unlink x500", 0, start);
}

static bool cmdline_has(const char *word)
{
    char text[4096] = "";
    FILE *f = fopen("/proc/cmdline", "re");
    bool has = f && fgets(text, sizeof(text), f) && strstr(text, word);
    if (f)
        fclose(f);
    return has;
}

static void guest_set_up(void)
{
    const char *dirs[] = {"/dev", "/proc", "/v"};
    for (size_t i = 0; i < 3; i++)
        mkdir(dirs[i], 0755);
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    mount("proc", "/proc", "proc", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(console, fd);
}

/* For comparisons: a file system of another kind, or of another server, at the same place. */
static void guest_speed(void)
{
    bool nine = cmdline_has("fs9p");
    EXPECT(!mount("volumes", "/v", nine ? "9p" : "virtiofs", 0,
                  nine ? "trans=virtio,version=9p2000.L,msize=512000" : NULL));
    throughput(cmdline_has("plain") ? "/v" : "/v/rw");
}

static void guest(void)
{
    EXPECT(!mount("volumes", "/v", "virtiofs", 0, NULL));
    read_only();
    EXPECT(!chdir("/v/rw/work"));
    all_suites(3);
    coherence();
    EXPECT(!chdir("/") && !umount("/target") && !umount("/v"));
    /* The same tag once more: nothing of the first time is in the way. */
    EXPECT(!mount("volumes", "/v", "virtiofs", 0, NULL) && has_text("/v/one", "written"));
    EXPECT(!umount("/v"));
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(022);
    if (getpid() != 1) {
        /* In a directory, so often; alone also with figures. */
        if (argc < 2 || argc > 3 || chdir(argv[1]))
            return 2;
        all_suites(argc == 3 ? (unsigned)atoi(argv[2]) : 30);
        if (argc == 2)
            throughput(".");
        return failures != 0;
    }
    guest_set_up();
    if (cmdline_has("speed"))
        guest_speed();
    else
        guest();
    printf("ok all %u failed of %u\n", failures, checks);
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
    reboot(RB_AUTOBOOT);
    return 1;
}
