/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PID 1 of the nested bench's outer guest: loads KVM, runs the commands that
 * bench.py left in /bench, and powers off. Everything it needs lies in the
 * initramfs:
 *
 *   /bench/modules    one module file a line, in the order of loading
 *   /bench/mounts     "DEVICE TYPE TARGET OPTIONS" a line
 *   /bench/environ    NUL-terminated NAME=VALUE strings
 *   /bench/cmd/0...   NUL-terminated arguments of a command each
 *
 * Standard output of the commands goes to ttyS1, standard error to ttyS2, each followed by
 * "\x1e" after every command; ttyS3 gets a line with each exit status, and "done".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ARGS_MAX    256
#define FILE_MAX    65536
#define END_COMMAND "\x1e"

static int status_tty = -1;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vdprintf(status_tty, fmt, ap);
    va_end(ap);
}

static void mount_or_say(const char *dev, const char *dir, const char *type, const char *options)
{
    mkdir(dir, 0755);
    if (mount(dev, dir, type, 0, options) && errno != EBUSY)
        say("mount of %s: %s\n", dir, strerror(errno));
}

static int open_tty(const char *path)
{
    struct termios t;
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0 && !tcgetattr(fd, &t)) {
        cfmakeraw(&t);
        t.c_cflag |= CLOCAL;
        tcsetattr(fd, TCSANOW, &t);
    }
    return fd;
}

/* The whole file, NUL-terminated; the bench's files are small. */
static size_t read_file(const char *path, char *buf, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n, len = 0;

    if (fd < 0)
        return 0;
    while ((n = read(fd, buf + len, cap - 1 - (size_t)len)) > 0)
        len += n;
    close(fd);
    buf[len] = '\0';
    return (size_t)len;
}

static void load_modules(void)
{
    static char list[FILE_MAX];
    char *save = NULL;

    read_file("/bench/modules", list, sizeof(list));
    for (char *m = strtok_r(list, "\n", &save); m; m = strtok_r(NULL, "\n", &save)) {
        int fd = open(m, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
            say("module %s: %s\n", m, strerror(errno));
        close(fd);
    }
}

static void do_mounts(void)
{
    static char list[FILE_MAX];
    char *save = NULL;

    read_file("/bench/mounts", list, sizeof(list));
    for (char *m = strtok_r(list, "\n", &save); m; m = strtok_r(NULL, "\n", &save)) {
        char dev[256], type[64], target[1024], options[256] = "";

        if (sscanf(m, "%255s %63s %1023s %255s", dev, type, target, options) >= 3)
            mount_or_say(dev, target, type, options);
    }
}

/* Splits NUL-terminated strings. */
static void split(char *buf, size_t len, char **args)
{
    size_t n = 0;

    for (size_t i = 0; i < len && n < ARGS_MAX - 1; i += strlen(buf + i) + 1)
        args[n++] = buf + i;
    args[n] = NULL;
}

static void exec_command(char **args, char **env, int out, int err)
{
    int null = open("/dev/null", O_RDONLY);

    dup2(null, 0);
    dup2(out, 1);
    dup2(err, 2);
    if (null > 2)
        close(null);
    setsid();
    execvpe(args[0], args, env);
    fprintf(stderr, "%s: %s\n", args[0], strerror(errno));
    _exit(127);
}

/* Runs one; orphans are reaped on the way. */
static int run_command(char **args, char **env, int out, int err)
{
    pid_t pid = fork(), got;
    int status = 0;

    if (pid == 0)
        exec_command(args, env, out, err);
    while ((got = wait(&status)) != pid)
        if (got < 0 && errno != EINTR)
            return 126;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void run_all(int out, int err)
{
    static char env_buf[FILE_MAX], cmd_buf[FILE_MAX];
    char *env[ARGS_MAX], *args[ARGS_MAX], path[64];
    size_t len = read_file("/bench/environ", env_buf, sizeof(env_buf));

    split(env_buf, len, env);
    setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
    for (unsigned i = 0;; i++) {
        snprintf(path, sizeof(path), "/bench/cmd/%u", i);
        len = read_file(path, cmd_buf, sizeof(cmd_buf));
        if (!len)
            break;
        split(cmd_buf, len, args);
        len = (size_t)run_command(args, env, out, err);
        dprintf(out, END_COMMAND);
        dprintf(err, END_COMMAND);
        tcdrain(out);
        tcdrain(err);
        say("status %zu\n", len);
    }
}

int main(void)
{
    int out, err;

    mkdir("/dev", 0755);
    mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
    status_tty = open_tty("/dev/ttyS3");
    mount_or_say("proc", "/proc", "proc", NULL);
    mount_or_say("sysfs", "/sys", "sysfs", NULL);
    mount_or_say("cgroup2", "/sys/fs/cgroup", "cgroup2", NULL);
    mount_or_say("tmpfs", "/tmp", "tmpfs", "mode=1777");
    mount_or_say("tmpfs", "/run", "tmpfs", "mode=755");
    mount_or_say("tmpfs", "/dev/shm", "tmpfs", "mode=1777");
    mount_or_say("devpts", "/dev/pts", "devpts", "ptmxmode=0666");
    load_modules();
    do_mounts();
    out = open_tty("/dev/ttyS1");
    err = open_tty("/dev/ttyS2");
    run_all(out, err);
    sync();
    say("done\n");
    tcdrain(status_tty);
    reboot(RB_POWER_OFF);
    return 1;
}
