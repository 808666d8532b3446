/* SPDX-License-Identifier: Apache-2.0 */
/* What POSIX says of names, modes, times and links. */
#include "fs_guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct stat stat_of(const char *path)
{
    struct stat st = {0};
    EXPECT(!lstat(path, &st));
    return st;
}

static int exchange(const char *a, const char *b)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

static int rename_new(const char *a, const char *b)
{
    return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE);
}

static void directories(void)
{
    EXPECT(!mkdir("d", 0751));
    EXPECT((stat_of("d").st_mode & 07777) == 0751);
    EXPECT(S_ISDIR(stat_of("d").st_mode));
    EXPECT_ERR(mkdir("d", 0755), EEXIST);
    EXPECT_ERR(mkdir("no/d", 0755), ENOENT);
    EXPECT(!mkdir("d/e", 0700));
    EXPECT_ERR(rmdir("d"), ENOTEMPTY);
    EXPECT_ERR(unlink("d/e"), EISDIR);
    EXPECT_ERR(rmdir("d/e/."), EINVAL);
    EXPECT_ERR(rmdir("d/no"), ENOENT);
    make_file("d/f", "x");
    EXPECT_ERR(rmdir("d/f"), ENOTDIR);
    EXPECT_ERR(mkdir("d/f/g", 0755), ENOTDIR);
    EXPECT(count_entries("d") == 2);
    EXPECT(!unlink("d/f") && !rmdir("d/e") && !rmdir("d"));
    EXPECT_ERR(rmdir("d"), ENOENT);
}

static void long_names(void)
{
    char name[NAME_MAX + 2];
    memset(name, 'n', sizeof(name));
    name[NAME_MAX] = 0;
    make_file(name, "long");
    EXPECT(has_text(name, "long"));
    EXPECT(!unlink(name));
    name[NAME_MAX] = 'n';
    name[NAME_MAX + 1] = 0;
    EXPECT_ERR(open(name, O_CREAT | O_WRONLY, 0600), ENAMETOOLONG);
    EXPECT_ERR(mkdir(name, 0700), ENAMETOOLONG);
    EXPECT_ERR(unlink(name), ENAMETOOLONG);
    make_file("s", "");
    EXPECT_ERR(rename("s", name), ENAMETOOLONG);
    EXPECT_ERR(link("s", name), ENAMETOOLONG);
    EXPECT_ERR(symlink("s", name), ENAMETOOLONG);
    EXPECT(!unlink("s"));
    make_file("odd \n\t*?\"'\\ name", "odd");
    EXPECT(has_text("odd \n\t*?\"'\\ name", "odd"));
    EXPECT(!unlink("odd \n\t*?\"'\\ name"));
    make_file("\xff\xfe\x80", "bytes");
    EXPECT(has_text("\xff\xfe\x80", "bytes") && !unlink("\xff\xfe\x80"));
}

static void unlinking(void)
{
    char c;
    make_file("f", "still here");
    int fd = open("f", O_RDWR);
    EXPECT(!unlink("f"));
    EXPECT_ERR(unlink("f"), ENOENT);
    EXPECT_ERR(open("f", O_RDONLY), ENOENT);
    struct stat st;
    EXPECT(!fstat(fd, &st) && st.st_nlink == 0 && st.st_size == 10);
    EXPECT(pread(fd, &c, 1, 6) == 1 && c == 'h');
    EXPECT(pwrite(fd, "H", 1, 6) == 1 && pread(fd, &c, 1, 6) == 1 && c == 'H');
    EXPECT(!fchmod(fd, 0600) && !ftruncate(fd, 3));
    EXPECT(!fstat(fd, &st) && st.st_size == 3 && (st.st_mode & 07777) == 0600);
    /* The name can be used again meanwhile. */
    make_file("f", "new");
    EXPECT(has_text("f", "new"));
    EXPECT(!close(fd) && !unlink("f"));
}

static void renaming_files(void)
{
    make_file("a", "a");
    make_file("b", "b");
    ino_t ino = stat_of("a").st_ino;
    EXPECT(!rename("a", "c"));
    EXPECT(stat_of("c").st_ino == ino && has_text("c", "a"));
    EXPECT_ERR(access("a", F_OK), ENOENT);
    int fd = open("b", O_RDONLY);
    EXPECT(!rename("c", "b") && has_text("b", "a"));
    char x = 0;
    EXPECT(read(fd, &x, 1) == 1 && x == 'b');
    close(fd);
    EXPECT_ERR(rename("no", "b"), ENOENT);
    EXPECT_ERR(rename("b", "no/b"), ENOENT);
    EXPECT(!rename("b", "b") && has_text("b", "a"));
    /* Two names of one file: nothing happens. */
    EXPECT(!link("b", "b2") && !rename("b", "b2"));
    EXPECT(has_text("b", "a") && has_text("b2", "a"));
    EXPECT(!unlink("b2"));
    make_file("n", "n");
    EXPECT_ERR(rename_new("b", "n"), EEXIST);
    EXPECT(!rename_new("b", "m") && has_text("m", "a"));
    EXPECT(!exchange("m", "n") && has_text("m", "n") && has_text("n", "a"));
    EXPECT_ERR(exchange("m", "no"), ENOENT);
    EXPECT(!unlink("m") && !unlink("n"));
}

static void renaming_directories(void)
{
    EXPECT(!mkdir("d", 0755) && !mkdir("d/sub", 0755) && !mkdir("e", 0755));
    make_file("d/sub/f", "deep");
    make_file("f", "f");
    EXPECT_ERR(rename("d", "d/sub/x"), EINVAL);
    EXPECT_ERR(rename("d", "f"), ENOTDIR);
    EXPECT_ERR(rename("f", "d"), EISDIR);
    EXPECT_ERR(rename("e", "d"), ENOTEMPTY);
    EXPECT(!rename("d", "e") && has_text("e/sub/f", "deep"));
    EXPECT_ERR(access("d", F_OK), ENOENT);
    EXPECT(!mkdir("d", 0755) && !rename("e/sub", "d/moved"));
    EXPECT(has_text("d/moved/f", "deep"));
    /* ".." follows. */
    EXPECT(stat_of("d/moved/..").st_ino == stat_of("d").st_ino);
    EXPECT(!exchange("d", "f") && has_text("d", "f") && has_text("f/moved/f", "deep"));
    EXPECT(!unlink("f/moved/f") && !rmdir("f/moved") && !rmdir("f") && !unlink("d") && !rmdir("e"));
}

static void hard_links(void)
{
    make_file("a", "one");
    EXPECT(!link("a", "b"));
    EXPECT(stat_of("a").st_nlink == 2 && stat_of("a").st_ino == stat_of("b").st_ino);
    EXPECT_ERR(link("a", "b"), EEXIST);
    EXPECT_ERR(link("no", "c"), ENOENT);
    make_file("b", "both");
    EXPECT(has_text("a", "both"));
    EXPECT(!chmod("a", 0640) && (stat_of("b").st_mode & 07777) == 0640);
    EXPECT(!unlink("a"));
    EXPECT(stat_of("b").st_nlink == 1 && has_text("b", "both"));
    EXPECT(!mkdir("d", 0755));
    EXPECT_ERR(link("d", "e"), EPERM);
    EXPECT(!link("b", "d/b") && has_text("d/b", "both"));
    EXPECT(!symlink("b", "s") && !link("s", "s2"));
    EXPECT(S_ISLNK(stat_of("s2").st_mode) && stat_of("s2").st_ino == stat_of("s").st_ino);
    EXPECT(!unlink("s") && !unlink("s2") && !unlink("d/b") && !rmdir("d") && !unlink("b"));
}

static void symbolic_links(void)
{
    char text[PATH_MAX + 1];
    make_file("f", "target");
    EXPECT(!mkdir("d", 0755));
    EXPECT(!symlink("../f", "d/s") && has_text("d/s", "target"));
    EXPECT(readlink("d/s", text, sizeof(text)) == 4 && !memcmp(text, "../f", 4));
    EXPECT(stat_of("d/s").st_size == 4);
    EXPECT_ERR(symlink("x", "d/s"), EEXIST);
    EXPECT_ERR(readlink("f", text, sizeof(text)), EINVAL);
    EXPECT(!symlink("nowhere", "dangling"));
    EXPECT_ERR(open("dangling", O_RDONLY), ENOENT);
    EXPECT_ERR(open("dangling", O_CREAT | O_EXCL | O_WRONLY, 0600), EEXIST);
    EXPECT_ERR(open("d/s", O_RDONLY | O_NOFOLLOW), ELOOP);
    EXPECT(!symlink("loop2", "loop1") && !symlink("loop1", "loop2"));
    EXPECT_ERR(open("loop1", O_RDONLY), ELOOP);
    EXPECT_ERR(access("loop1/x", F_OK), ELOOP);
    memset(text, 'l', sizeof(text));
    text[4000] = 0;
    EXPECT(!symlink(text, "far") && stat_of("far").st_size == 4000);
    EXPECT(!symlink("d", "dlink") && count_entries("dlink/") == 1);
    EXPECT_ERR(rmdir("dlink"), ENOTDIR);
    /* What a link says is the guest's: it never leaves the share by way of the host. */
    EXPECT(!symlink("/etc/passwd", "abs"));
    EXPECT(readlink("abs", text, sizeof(text)) == 11);
    const char *all[] = {"d/s", "dangling", "loop1", "loop2", "far", "dlink", "abs", "f"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        EXPECT(!unlink(all[i]));
    EXPECT(!rmdir("d"));
}

static void modes(void)
{
    mode_t old = umask(027);
    int fd = open("f", O_CREAT | O_RDWR, 0666);
    EXPECT(fd >= 0 && (stat_of("f").st_mode & 07777) == 0640);
    EXPECT(!fchmod(fd, 0444) && (stat_of("f").st_mode & 07777) == 0444);
    EXPECT(write(fd, "x", 1) == 1);
    close(fd);
    EXPECT(!chmod("f", 06755) && (stat_of("f").st_mode & 07777) == 06755);
    EXPECT(!mkdir("d", 0777) && (stat_of("d").st_mode & 07777) == 0750);
    EXPECT(!chmod("d", 01777) && (stat_of("d").st_mode & 07777) == 01777);
    EXPECT_ERR(chmod("no", 0600), ENOENT);
    umask(old);
    EXPECT(!unlink("f") && !rmdir("d"));
}

static bool is_time(struct timespec t, time_t sec, long nsec)
{
    return t.tv_sec == sec && t.tv_nsec == nsec;
}

static void times(void)
{
    make_file("f", "x");
    const struct timespec set[2] = {{1000000000, 123456789}, {1500000000, 987654321}};
    EXPECT(!utimensat(AT_FDCWD, "f", set, 0));
    struct stat st = stat_of("f");
    EXPECT(is_time(st.st_atim, 1000000000, 123456789) &&
           is_time(st.st_mtim, 1500000000, 987654321));
    const struct timespec one[2] = {{0, UTIME_OMIT}, {1400000000, 5}};
    EXPECT(!utimensat(AT_FDCWD, "f", one, 0));
    st = stat_of("f");
    EXPECT(is_time(st.st_atim, 1000000000, 123456789) && is_time(st.st_mtim, 1400000000, 5));
    const struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    EXPECT(!utimensat(AT_FDCWD, "f", now, 0) && stat_of("f").st_atim.tv_sec > 1600000000);
    const struct timespec before[2] = {{-1000, 0}, {-2000, 0}};
    EXPECT(!utimensat(AT_FDCWD, "f", before, 0) && is_time(stat_of("f").st_mtim, -2000, 0));
    int fd = open("f", O_WRONLY);
    EXPECT(!futimens(fd, set) && is_time(stat_of("f").st_mtim, 1500000000, 987654321));
    EXPECT(write(fd, "y", 1) == 1 && stat_of("f").st_mtim.tv_sec > 1600000000);
    close(fd);
    EXPECT(!symlink("f", "s") && !utimensat(AT_FDCWD, "s", set, AT_SYMLINK_NOFOLLOW));
    EXPECT(is_time(stat_of("s").st_mtim, 1500000000, 987654321));
    EXPECT(stat_of("f").st_mtim.tv_sec > 1600000000);
    EXPECT_ERR(utimensat(AT_FDCWD, "no", set, 0), ENOENT);
    EXPECT(!unlink("s"));
    /* A new entry changes its directory. */
    EXPECT(!mkdir("d", 0755) && !utimensat(AT_FDCWD, "d", set, 0));
    make_file("d/f", "");
    EXPECT(stat_of("d").st_mtim.tv_sec > 1600000000);
    EXPECT(!unlink("d/f") && !rmdir("d") && !unlink("f"));
}

static void special_files(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"};
    char c = 0;
    EXPECT(!mkfifo("p", 0600) && S_ISFIFO(stat_of("p").st_mode));
    int r = open("p", O_RDONLY | O_NONBLOCK), w = open("p", O_WRONLY);
    EXPECT(write(w, "!", 1) == 1 && read(r, &c, 1) == 1 && c == '!');
    close(r);
    close(w);
    int s = socket(AF_UNIX, SOCK_STREAM, 0), t = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT(!bind(s, (struct sockaddr *)&a, sizeof(a)) && S_ISSOCK(stat_of("sock").st_mode));
    EXPECT(!listen(s, 1) && !connect(t, (struct sockaddr *)&a, sizeof(a)));
    close(s);
    close(t);
    EXPECT(!mknod("reg", S_IFREG | 0604, 0) && (stat_of("reg").st_mode & 07777) == 0604);
    EXPECT(!unlink("p") && !unlink("sock") && !unlink("reg"));
}

/* Names that come and go while a directory is read: none of the others is lost or there twice. */
static void reading_directories(void)
{
    enum { FILES = 600 };
    static char seen[FILES];
    char name[64];
    EXPECT(!mkdir("d", 0755));
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "d/a-name-that-is-not-so-short-%d", i);
        make_file(name, "");
    }
    memset(seen, 0, sizeof(seen));
    DIR *d = opendir("d");
    struct dirent *e;
    int n = 0, i;
    long middle = 0;
    while ((e = readdir(d))) {
        if (sscanf(e->d_name, "a-name-that-is-not-so-short-%d", &i) == 1)
            seen[i]++;
        if (++n == FILES / 2)
            middle = telldir(d);
        if (n % 100 == 0) {
            snprintf(name, sizeof(name), "d/new-%d", n);
            make_file(name, "");
        }
    }
    for (i = 0; i < FILES; i++) {
        if (seen[i] != 1)
            break;
    }
    EXPECT(i == FILES);
    seekdir(d, middle);
    n = 0;
    while (readdir(d))
        n++;
    EXPECT(n >= FILES / 2 - 20 && n <= FILES / 2 + 20);
    rewinddir(d);
    while ((e = readdir(d))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "d/%.50s", e->d_name);
        EXPECT(!unlink(name));
    }
    closedir(d);
    EXPECT(count_entries("d") == 0 && !rmdir("d"));
}

/* The rights of others than root: as the mode says. */
static void permissions(void)
{
    if (getuid())
        return;
    int status;
    make_file("secret", "s");
    make_file("open", "o");
    EXPECT(!chmod("secret", 0600) && !chmod("open", 0644) && !mkdir("d", 0755));
    pid_t pid = fork();
    if (!pid) {
        failures = 0;
        EXPECT(!setgid(1234) && !setuid(1234));
        EXPECT_ERR(open("secret", O_RDONLY), EACCES);
        EXPECT_ERR(open("open", O_WRONLY), EACCES);
        EXPECT(has_text("open", "o"));
        EXPECT_ERR(open("d/f", O_CREAT | O_WRONLY, 0600), EACCES);
        EXPECT_ERR(chmod("open", 0777), EPERM);
        EXPECT_ERR(access("secret", R_OK), EACCES);
        EXPECT_ERR(unlink("open"), EACCES);
        fflush(stdout);
        _exit(failures != 0);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    EXPECT(!unlink("secret") && !unlink("open") && !rmdir("d"));
}

/* An app that is not root makes files, and opens them again as nobody else may. */
static int as_owner(void)
{
    failures = 0;
    EXPECT(!setgid(1234) && !setuid(1234));
    make_file("d/mine", "mine");
    EXPECT(!chmod("d/mine", 0600) && has_text("d/mine", "mine"));
    EXPECT(stat_of("d/mine").st_uid == 1234 && stat_of("d/mine").st_gid == 1234);
    EXPECT(!mkdir("d/own", 0700));
    make_file("d/own/f", "f");
    EXPECT(has_text("d/own/f", "f"));
    EXPECT_ERR(chown("d/mine", 0, 0), EPERM);
    fflush(stdout);
    return failures != 0;
}

void owner_suite(void)
{
    int status;
    if (getuid())
        return;
    EXPECT(!mkdir("d", 0777) && !chmod("d", 01777));
    pid_t pid = fork();
    if (!pid)
        _exit(as_owner());
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    EXPECT(!chown("d/mine", 55, 66) && stat_of("d/mine").st_uid == 55);
    EXPECT(stat_of("d/mine").st_gid == 66 && !chown("d/mine", (uid_t)-1, 77));
    EXPECT(stat_of("d/mine").st_uid == 55 && stat_of("d/mine").st_gid == 77);
    EXPECT(!unlink("d/mine") && !unlink("d/own/f") && !rmdir("d/own") && !rmdir("d"));
}

void posix_suite(void)
{
    directories();
    long_names();
    unlinking();
    renaming_files();
    renaming_directories();
    hard_links();
    symbolic_links();
    modes();
    times();
    special_files();
    reading_directories();
    permissions();
    EXPECT(count_entries(".") == 0);
}
