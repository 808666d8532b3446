/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations on one file, checked against a copy in memory; and many processes that make,
 * rename and remove the same few names at once.
 */
#include "fs_guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_MAX (256 << 10)
#define PART_MAX (40 << 10)

struct model {
    int fd;
    uint64_t random;
    size_t size;
    uint8_t want[FILE_MAX];
    uint8_t got[FILE_MAX];
};

static size_t pick(struct model *m, size_t below)
{
    return below ? next_random(&m->random) % below : 0;
}

static void scribble(struct model *m, uint8_t *at, size_t len)
{
    uint64_t v = next_random(&m->random);
    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(v >> (i & 7) * 8) ^ (uint8_t)i;
}

/* The model's part of a change: bytes between the old end and `off` are zeros. */
static void grow(struct model *m, size_t off, size_t len)
{
    if (off > m->size)
        memset(m->want + m->size, 0, off - m->size);
    if (off + len > m->size)
        m->size = off + len;
}

static bool do_write(struct model *m)
{
    size_t len = 1 + pick(m, PART_MAX), off = pick(m, FILE_MAX - len);
    grow(m, off, len);
    scribble(m, m->want + off, len);
    return pwrite(m->fd, m->want + off, len, (off_t)off) == (ssize_t)len;
}

static bool do_read(struct model *m)
{
    size_t len = 1 + pick(m, PART_MAX), off = pick(m, FILE_MAX - len);
    ssize_t n = pread(m->fd, m->got, len, (off_t)off);
    size_t want = off >= m->size ? 0 : m->size - off < len ? m->size - off : len;
    return n == (ssize_t)want && !memcmp(m->got, m->want + off, want);
}

static bool do_truncate(struct model *m)
{
    size_t size = pick(m, FILE_MAX);
    if (size > m->size)
        memset(m->want + m->size, 0, size - m->size);
    m->size = size;
    return !ftruncate(m->fd, (off_t)size);
}

static bool do_map(struct model *m, bool write)
{
    size_t page = 4096;
    if (m->size < 2)
        return true;
    size_t off = pick(m, m->size - 1), len = 1 + pick(m, m->size - off);
    if (len > PART_MAX)
        len = PART_MAX;
    size_t start = off / page * page;
    uint8_t *p = mmap(NULL, off + len - start, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED,
                      m->fd, (off_t)start);
    if (p == MAP_FAILED)
        return false;
    bool good = !memcmp(p + (off - start), m->want + off, len);
    if (write) {
        scribble(m, m->want + off, len);
        memcpy(p + (off - start), m->want + off, len);
    }
    return !munmap(p, off + len - start) && good;
}

static bool do_punch(struct model *m)
{
    size_t len = 1 + pick(m, PART_MAX), off = pick(m, FILE_MAX - len);
    if (off < m->size)
        memset(m->want + off, 0, m->size - off < len ? m->size - off : len);
    return !fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
}

static bool do_reopen(struct model *m)
{
    struct stat st;
    close(m->fd);
    m->fd = open("fsx", O_RDWR);
    return m->fd >= 0 && !fstat(m->fd, &st) && st.st_size == (off_t)m->size;
}

static bool step(struct model *m)
{
    switch (pick(m, 12)) {
    case 0:
    case 1:
    case 2:
        return do_write(m);
    case 3:
    case 4:
    case 5:
        return do_read(m);
    case 6:
        return do_truncate(m);
    case 7:
        return do_map(m, false);
    case 8:
    case 9:
        return do_map(m, true);
    case 10:
        return do_punch(m);
    default:
        return do_reopen(m);
    }
}

void fsx_suite(unsigned operations, uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));
    m->random = seed;
    m->fd = open("fsx", O_CREAT | O_RDWR, 0644);
    unsigned i = 0;
    while (i < operations && step(m))
        i++;
    if (i < operations)
        printf("fsx: operation %u of seed %llu is wrong\n", i, (unsigned long long)seed);
    EXPECT(i == operations);
    EXPECT(do_reopen(m) && pread(m->fd, m->got, FILE_MAX, 0) == (ssize_t)m->size &&
           !memcmp(m->got, m->want, m->size));
    close(m->fd);
    free(m);
    EXPECT(!unlink("fsx"));
}

#define STORM_NAMES 6

/* Errors that a race can have; anything else is a fault. */
static bool expected(long r)
{
    return r >= 0 || errno == ENOENT || errno == EEXIST || errno == ENOTEMPTY || errno == EISDIR ||
           errno == ENOTDIR || errno == ESTALE || errno == EINVAL;
}

static bool storm_step(uint64_t *random)
{
    char a[32], b[32];
    uint64_t r = next_random(random);
    snprintf(a, sizeof(a), "storm/%s%llu", r & 1 ? "sub/" : "",
             (unsigned long long)(r >> 8) % STORM_NAMES);
    snprintf(b, sizeof(b), "storm/%s%llu", r & 2 ? "sub/" : "",
             (unsigned long long)(r >> 16) % STORM_NAMES);
    struct stat st;
    int fd;
    switch ((r >> 32) % 8) {
    case 0:
    case 1:
        fd = open(a, O_CREAT | O_RDWR, 0644);
        if (fd < 0)
            return expected(fd);
        bool good = write(fd, a, sizeof(a)) == sizeof(a) && !fstat(fd, &st) &&
                    st.st_size >= (off_t)sizeof(a);
        return !close(fd) && good;
    case 2:
    case 3:
        return expected(rename(a, b));
    case 4:
        return expected(unlink(a));
    case 5:
        return expected(link(a, b));
    case 6:
        return expected(symlink(a, b));
    default:
        return expected(lstat(a, &st));
    }
}

static void storm_process(uint64_t seed, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        if (!storm_step(&seed)) {
            printf("storm: round %u: %s\n", i, strerror(errno));
            fflush(stdout);
            _exit(1);
        }
    }
    _exit(0);
}

static void empty(const char *path)
{
    char name[300];
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        if (strcmp(e->d_name, "sub") && e->d_name[0] != '.')
            EXPECT(!unlink(name));
    }
    if (d)
        closedir(d);
}

void storm_suite(unsigned rounds)
{
    int status;
    EXPECT(!mkdir("storm", 0755) && !mkdir("storm/sub", 0755));
    for (uint64_t i = 0; i < 4; i++) {
        fflush(stdout);
        if (!fork())
            storm_process(i + 1, rounds);
    }
    for (int i = 0; i < 4; i++)
        EXPECT(wait(&status) > 0 && status == 0);
    empty("storm/sub");
    empty("storm");
    EXPECT(!rmdir("storm/sub") && !rmdir("storm"));
}
