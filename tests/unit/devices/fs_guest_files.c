/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: flags, sizes, holes, mappings, locks, extended attributes. */
#include "fs_guest.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGE 4096

static off_t size_of(const char *path)
{
    struct stat st = {0};
    return stat(path, &st) ? -1 : st.st_size;
}

static void open_flags(void)
{
    char c;
    EXPECT_ERR(open("f", O_RDWR), ENOENT);
    int fd = open("f", O_CREAT | O_EXCL | O_RDWR, 0644);
    EXPECT(fd >= 0 && write(fd, "12345", 5) == 5);
    close(fd);
    EXPECT_ERR(open("f", O_CREAT | O_EXCL | O_RDWR, 0644), EEXIST);
    fd = open("f", O_RDONLY);
    EXPECT_ERR(write(fd, "x", 1), EBADF);
    close(fd);
    fd = open("f", O_WRONLY);
    EXPECT_ERR(read(fd, &c, 1), EBADF);
    close(fd);
    fd = open("f", O_CREAT | O_WRONLY, 0644);
    EXPECT(fd >= 0 && size_of("f") == 5);
    close(fd);
    fd = open("f", O_RDWR | O_TRUNC);
    EXPECT(size_of("f") == 0 && read(fd, &c, 1) == 0);
    close(fd);
    EXPECT_ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
    EXPECT_ERR(open("f/", O_RDONLY), ENOTDIR);
    EXPECT_ERR(open(".", O_WRONLY), EISDIR);
    fd = open("f", O_RDWR | O_SYNC);
    EXPECT(write(fd, "sync", 4) == 4 && has_text("f", "sync"));
    EXPECT(!fsync(fd) && !fdatasync(fd));
    close(fd);
    fd = open("f", O_RDWR | O_DIRECT);
    static char page[PAGE] __attribute__((aligned(PAGE)));
    EXPECT(fd >= 0 && write(fd, page, PAGE) == PAGE && size_of("f") == PAGE);
    EXPECT(pread(fd, page, PAGE, 0) == PAGE);
    close(fd);
    fd = open(".", O_RDONLY | O_DIRECTORY);
    EXPECT(!fsync(fd));
    close(fd);
    EXPECT(!unlink("f"));
}

/* Two descriptors that append: each write goes to the end as it is then. */
static void appending(void)
{
    int a = open("log", O_CREAT | O_WRONLY | O_APPEND, 0644);
    int b = open("log", O_WRONLY | O_APPEND);
    EXPECT(write(a, "a1 ", 3) == 3 && write(b, "b1 ", 3) == 3 && write(a, "a2 ", 3) == 3);
    EXPECT(has_text("log", "a1 b1 a2 "));
    EXPECT(lseek(b, 0, SEEK_SET) == 0 && write(b, "b2 ", 3) == 3);
    EXPECT(has_text("log", "a1 b1 a2 b2 "));
    close(a);
    close(b);
    int status;
    for (int i = 0; i < 4; i++) {
        if (fork())
            continue;
        int fd = open("log", O_WRONLY | O_APPEND);
        for (int k = 0; k < 50; k++) {
            if (write(fd, "0123456789", 10) != 10)
                _exit(1);
        }
        _exit(0);
    }
    for (int i = 0; i < 4; i++)
        EXPECT(wait(&status) > 0 && status == 0);
    EXPECT(size_of("log") == 12 + 4 * 50 * 10);
    EXPECT(!unlink("log"));
}

static void truncating(void)
{
    char buf[16];
    make_file("f", "0123456789");
    EXPECT(!truncate("f", 4) && has_text("f", "0123"));
    EXPECT(!truncate("f", 8) && size_of("f") == 8);
    int fd = open("f", O_RDWR);
    EXPECT(read(fd, buf, 16) == 8 && !memcmp(buf, "0123\0\0\0\0", 8));
    EXPECT(!ftruncate(fd, 0) && size_of("f") == 0 && !ftruncate(fd, 3));
    EXPECT(pread(fd, buf, 16, 0) == 3 && !memcmp(buf, "\0\0\0", 3));
    close(fd);
    EXPECT_ERR(truncate("no", 1), ENOENT);
    EXPECT_ERR(truncate(".", 1), EISDIR);
    EXPECT_ERR(truncate("f", -1), EINVAL);
    fd = open("f", O_RDONLY);
    EXPECT_ERR(ftruncate(fd, 1), EINVAL);
    close(fd);
    EXPECT(!unlink("f"));
}

static void holes(void)
{
    struct stat st;
    char buf[8];
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    EXPECT(pwrite(fd, "end", 3, 64 << 20) == 3);
    EXPECT(!fstat(fd, &st) && st.st_size == (64 << 20) + 3 && st.st_blocks * 512 < 1 << 20);
    EXPECT(pread(fd, buf, 4, 1 << 20) == 4 && !memcmp(buf, "\0\0\0\0", 4));
    EXPECT(lseek(fd, 0, SEEK_DATA) == 64 << 20);
    EXPECT(lseek(fd, 0, SEEK_HOLE) == 0);
    EXPECT_ERR(lseek(fd, 65 << 20, SEEK_DATA), ENXIO);
    EXPECT(lseek(fd, 0, SEEK_END) == (64 << 20) + 3);
    EXPECT(!ftruncate(fd, 0) && !fallocate(fd, 0, 0, 1 << 20) && size_of("f") == 1 << 20);
    EXPECT(!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 << 20) && size_of("f") == 1 << 20);
    memset(buf, 'x', sizeof(buf));
    EXPECT(pwrite(fd, buf, 8, 0) == 8);
    EXPECT(!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
    EXPECT(pread(fd, buf, 8, 0) == 8 && !memcmp(buf, "\0\0\0\0\0\0\0\0", 8));
    close(fd);
    EXPECT(!unlink("f"));
}

static void mappings(void)
{
    char text[] = "by write";
    int fd = open("f", O_CREAT | O_RDWR, 0644);
    EXPECT(!ftruncate(fd, 3 * PAGE));
    char *m = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    EXPECT(m != MAP_FAILED && p != MAP_FAILED);
    memcpy(m + PAGE, "by mapping", 10);
    char buf[16];
    EXPECT(pread(fd, buf, 10, PAGE) == 10 && !memcmp(buf, "by mapping", 10));
    EXPECT(pwrite(fd, text, sizeof(text), 0) == sizeof(text) && !memcmp(m, text, sizeof(text)));
    EXPECT(!memcmp(p, text, sizeof(text)));
    p[0] = 'X';
    EXPECT(m[0] == 'b');
    EXPECT(!msync(m, 3 * PAGE, MS_SYNC) && !munmap(m, 3 * PAGE) && !munmap(p, 3 * PAGE));
    close(fd);
    /* A mapping that lives longer than the descriptor and the name. */
    fd = open("f", O_RDWR);
    m = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
    close(fd);
    EXPECT(!unlink("f") && !memcmp(m, "by mapping", 10));
    m[0] = 'B';
    EXPECT(!msync(m, PAGE, MS_SYNC) && !munmap(m, PAGE));
}

static void locks(void)
{
    int status, a = open("f", O_CREAT | O_RDWR, 0644);
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
    EXPECT(!fcntl(a, F_SETLK, &l) && !flock(a, LOCK_EX));
    pid_t pid = fork();
    if (!pid) {
        failures = 0;
        int b = open("f", O_RDWR);
        struct flock other = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1};
        EXPECT(fcntl(b, F_SETLK, &other) == -1 && (errno == EAGAIN || errno == EACCES));
        EXPECT(!fcntl(b, F_GETLK, &other) && other.l_type == F_WRLCK && other.l_pid == getppid());
        EXPECT_ERR(flock(b, LOCK_EX | LOCK_NB), EWOULDBLOCK);
        other = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 1};
        EXPECT(!fcntl(b, F_SETLK, &other));
        fflush(stdout);
        _exit(failures != 0);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    close(a);
    EXPECT(!unlink("f"));
}

static void attributes(void)
{
    char buf[256];
    make_file("f", "");
    EXPECT_ERR(getxattr("f", "user.a", buf, sizeof(buf)), ENODATA);
    EXPECT(!setxattr("f", "user.a", "value", 5, XATTR_CREATE));
    EXPECT_ERR(setxattr("f", "user.a", "v", 1, XATTR_CREATE), EEXIST);
    EXPECT_ERR(setxattr("f", "user.b", "v", 1, XATTR_REPLACE), ENODATA);
    EXPECT(getxattr("f", "user.a", NULL, 0) == 5);
    EXPECT(getxattr("f", "user.a", buf, sizeof(buf)) == 5 && !memcmp(buf, "value", 5));
    EXPECT_ERR(getxattr("f", "user.a", buf, 2), ERANGE);
    EXPECT(!setxattr("f", "user.empty", "", 0, 0) && getxattr("f", "user.empty", buf, 9) == 0);
    ssize_t n = listxattr("f", buf, sizeof(buf));
    EXPECT(n >= 18 && memmem(buf, (size_t)n, "user.a", 7) &&
           memmem(buf, (size_t)n, "user.empty", 11));
    EXPECT(!removexattr("f", "user.a"));
    EXPECT_ERR(removexattr("f", "user.a"), ENODATA);
    EXPECT(!mkdir("d", 0755) && !setxattr("d", "user.dir", "d", 1, 0));
    EXPECT(getxattr("d", "user.dir", buf, 1) == 1);
    EXPECT(!unlink("f") && !rmdir("d"));
}

static void copies(void)
{
    static char data[100000], back[100000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 7 ^ i >> 8);
    int a = open("a", O_CREAT | O_RDWR, 0644), b = open("b", O_CREAT | O_RDWR, 0644);
    EXPECT(write(a, data, sizeof(data)) == sizeof(data));
    loff_t from = 1000, to = 5;
    size_t left = 50000;
    while (left) {
        ssize_t n = copy_file_range(a, &from, b, &to, left, 0);
        if (n <= 0)
            break;
        left -= (size_t)n;
    }
    EXPECT(left == 0 && size_of("b") == 50005);
    EXPECT(pread(b, back, sizeof(back), 5) == 50000 && !memcmp(back, data + 1000, 50000));
    struct iovec v[3] = {{data, 1}, {data + 10, 70000}, {data + 3, 29}};
    EXPECT(pwritev(b, v, 3, 4095) == 70030);
    EXPECT(pread(b, back, 70030, 4095) == 70030 && back[0] == data[0]);
    EXPECT(!memcmp(back + 1, data + 10, 70000) && !memcmp(back + 70001, data + 3, 29));
    close(a);
    close(b);
    EXPECT(!unlink("a") && !unlink("b"));
}

static void nameless_files(void)
{
    char path[64], buf[8];
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);
    EXPECT(fd >= 0 && count_entries(".") == 0);
    EXPECT(write(fd, "nameless", 8) == 8 && pread(fd, buf, 8, 0) == 8);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (!access("/proc/self", F_OK))
        EXPECT(!linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) &&
               has_text("named", "nameless") && !unlink("named"));
    close(fd);
}

static void whole_file_system(void)
{
    struct statvfs s;
    EXPECT(!statvfs(".", &s) && s.f_blocks > 0 && s.f_bavail <= s.f_blocks && s.f_namemax == 255);
    sync();
    int fd = open(".", O_RDONLY);
    EXPECT(!syncfs(fd));
    close(fd);
}

/* What others write into a program takes its special rights away. */
static void set_id_bits(void)
{
    struct stat st;
    int status;
    if (getuid())
        return;
    make_file("prog", "#!");
    EXPECT(!chmod("prog", 06777));
    pid_t pid = fork();
    if (!pid) {
        int fd = setgid(1234) || setuid(1234) ? -1 : open("prog", O_WRONLY);
        _exit(fd < 0 || write(fd, "xx", 2) != 2);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    EXPECT(!stat("prog", &st) && (st.st_mode & 07777) == 0777);
    EXPECT(!unlink("prog"));
}

void files_suite(void)
{
    open_flags();
    appending();
    truncating();
    holes();
    mappings();
    locks();
    attributes();
    copies();
    nameless_files();
    whole_file_system();
    set_id_bits();
    EXPECT(count_entries(".") == 0);
}
