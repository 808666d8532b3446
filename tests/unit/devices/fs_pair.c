/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two apps on one volume: "fs-pair one DIR" beside "fs-pair two DIR". Locks of either kind keep the
 * other out, and a shared mapping shows what the other writes. Prints a line for what holds, and
 * ends with 1 when something does not.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int failures;

static void expect(bool good, const char *what)
{
    printf("%s %s\n", good ? "ok" : "bad", what);
    failures += !good;
}

static void mark(const char *name)
{
    close(open(name, O_WRONLY | O_CREAT, 0644));
}

static void wait_for(const char *name)
{
    while (access(name, F_OK))
        sched_yield();
}

static bool lock_range(int fd, short type, bool wait)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    return !fcntl(fd, wait ? F_SETLKW : F_SETLK, &l);
}

static char *map(int fd)
{
    char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void one(int whole, int range, char *shared)
{
    expect(!flock(whole, LOCK_EX), "flock");
    expect(lock_range(range, F_WRLCK, false), "fcntl");
    strcpy(shared, "from one");
    mark("held");
    wait_for("tried");
    expect(!strcmp(shared + 100, "from two"), "mapping");
    flock(whole, LOCK_UN);
    lock_range(range, F_UNLCK, false);
}

static void two(int whole, int range, char *shared)
{
    wait_for("held");
    expect(flock(whole, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK, "flock is busy");
    expect(!lock_range(range, F_WRLCK, false) && (errno == EAGAIN || errno == EACCES),
           "fcntl is busy");
    expect(!strcmp(shared, "from one"), "mapping");
    strcpy(shared + 100, "from two");
    mark("tried");
    expect(!flock(whole, LOCK_EX), "flock waited");
    expect(lock_range(range, F_WRLCK, true), "fcntl waited");
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 3 || chdir(argv[2]))
        return 2;
    int whole = open("whole", O_RDWR | O_CREAT, 0644),
        range = open("range", O_RDWR | O_CREAT, 0644);
    int file = open("mapped", O_RDWR | O_CREAT, 0644);
    char *shared = file < 0 || ftruncate(file, 4096) ? NULL : map(file);
    expect(whole >= 0 && range >= 0 && shared, "files");
    if (!failures)
        (strcmp(argv[1], "one") ? two : one)(whole, range, shared);
    return failures != 0;
}
