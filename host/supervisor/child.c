/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes of a pod: the VMM and the device processes. */
#include "host/supervisor/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"

void child_arg(struct child_args *a, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        die_oom();
    va_end(ap);
    array_grow(&a->argv, a->argc + 1, &a->cap, sizeof(*a->argv));
    a->argv[a->argc++] = s;
    a->argv[a->argc] = NULL;
}

int child_arg_fd(struct child_args *a, int fd)
{
    array_grow(&a->fds, a->nfds, &a->fds_cap, sizeof(*a->fds));
    a->fds[a->nfds++] = fd;
    return fd;
}

void child_args_done(struct child_args *a)
{
    for (size_t i = 0; i < a->argc; i++)
        free(a->argv[i]);
    free(a->argv);
    free(a->fds);
    *a = (struct child_args){0};
}

/* In the new process; nothing here may allocate. */
static _Noreturn void become(const struct child_args *a, int stderr_fd, pid_t parent)
{
    static char *const no_environment[] = {NULL};
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    /* A group of its own: Ctrl-C on the terminal is for the supervisor alone. */
    setpgid(0, 0);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(stderr_fd, 2) < 0)
        _exit(127);
    for (size_t i = 0; i < a->nfds; i++)
        set_cloexec(a->fds[i], false);
    execve(a->argv[0], a->argv, no_environment);
    dprintf(2, "can't start %s: %s\n", a->argv[0], strerror(errno));
    _exit(127);
}

static void take_line(struct child *c, const char *line, size_t len)
{
    dprintf(c->log_fd, "%s: %.*s\n", c->name, (int)len, line);
    if (c->echo)
        dprintf(STDERR_FILENO, "%s: %.*s\n", c->name, (int)len, line);
    snprintf(c->last_line, sizeof(c->last_line), "%.*s", (int)len, line);
}

static void take_lines(struct child *c, bool end)
{
    char *nl;
    while (c->line.len && (nl = memchr(c->line.data, '\n', c->line.len))) {
        take_line(c, c->line.data, (size_t)(nl - c->line.data));
        buf_consume(&c->line, (size_t)(nl - c->line.data) + 1);
    }
    if (c->line.len && (end || c->line.len >= CHILD_LINE_MAX)) {
        take_line(c, c->line.data, c->line.len);
        buf_reset(&c->line);
    }
}

static void read_errors(struct child *c)
{
    char tmp[4096];
    ssize_t n;
    while ((n = read(c->errors.fd, tmp, sizeof(tmp))) > 0) {
        buf_add(&c->line, tmp, (size_t)n);
        take_lines(c, false);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    take_lines(c, true);
    loop_del(c->loop, &c->errors);
    close(c->errors.fd);
    c->errors_open = false;
}

static void on_errors(struct watch *w, uint32_t events)
{
    (void)events;
    read_errors((struct child *)((char *)w - offsetof(struct child, errors)));
}

static void on_end(struct watch *w, uint32_t events)
{
    (void)events;
    struct child *c = (struct child *)w;
    waitpid(c->pid, &c->wstatus, 0);
    loop_del(c->loop, &c->watch);
    close(c->watch.fd);
    c->running = false;
    /* What it wrote last is in the pipe before its end is. */
    if (c->errors_open)
        read_errors(c);
    c->ended(c);
}

int child_start(struct child *c, struct loop *l, const struct child_args *a, struct err *err)
{
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return err_set(err, errno, "can't make a pipe for %s", c->name);
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(a, p[1], parent);
    int saved = errno;
    close(p[1]);
    if (pid < 0) {
        close(p[0]);
        return err_set(err, saved, "can't start %s", c->name);
    }
    c->pid = pid;
    c->loop = l;
    c->running = true;
    c->watch = (struct watch){.fd = (int)syscall(SYS_pidfd_open, pid, 0), .fn = on_end};
    c->errors = (struct watch){.fd = p[0], .fn = on_errors};
    if (c->watch.fd < 0) {
        saved = errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        c->running = false;
        close(p[0]);
        return err_set(err, saved, "can't watch %s (pidfd_open needs Linux 5.3)", c->name);
    }
    set_nonblock(p[0], true);
    loop_add(l, &c->watch, EPOLLIN);
    loop_add(l, &c->errors, EPOLLIN);
    c->errors_open = true;
    return 0;
}

void child_kill(struct child *c)
{
    if (c->running)
        kill(c->pid, SIGKILL);
}

void child_reason(const struct child *c, struct err *err)
{
    if (c->last_line[0])
        err_fill(err, 0, "%s: %s", c->name, c->last_line);
    else if (WIFSIGNALED(c->wstatus))
        err_fill(err, 0, "%s was killed by signal %d", c->name, WTERMSIG(c->wstatus));
    else
        err_fill(err, 0, "%s ended with status %d", c->name, WEXITSTATUS(c->wstatus));
}

void child_done(struct child *c)
{
    if (c->running) {
        waitpid(c->pid, &c->wstatus, 0);
        loop_del(c->loop, &c->watch);
        close(c->watch.fd);
        c->running = false;
    }
    if (c->errors_open)
        read_errors(c);
    if (c->errors_open) {
        loop_del(c->loop, &c->errors);
        close(c->errors.fd);
        c->errors_open = false;
    }
    buf_free(&c->line);
}
