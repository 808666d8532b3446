/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts appc-vmm with device processes beside it, as the supervisor does, for tests.
 *
 *   launch --vmm=PATH --kernel=PATH --initrd=PATH [--serial] [--on-line=term|kill-device]
 *          [--repeat=N] [--device=ID:QUEUES:PROGRAM[:ARGUMENT]...]... -- [VMM ARGUMENT]...
 *   launch --vmm=PATH --probe
 *
 * The serial port's output and the statistics go to standard output, each line with a prefix. When
 * the first serial line comes, the VMM is looked at ("jail", "pss"), and what --on-line says is
 * done. At the end come "time", "maxrss" and "exit STATUS" of the VMM and its devices. In a
 * device's argument
 * `@PATH` becomes FD:0:SIZE of that file, and `&` an end of a SOCK_SEQPACKET pair.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEVICES_MAX 20
#define ARGS_MAX    64

struct launch {
    const char *vmm, *kernel, *initrd, *on_line;
    char *devices[DEVICES_MAX];
    int ndevices;
    int serial, probe;
    int repeat;
    char **rest;
};

struct args {
    char *v[ARGS_MAX];
    int n;
};

static void die(const char *what)
{
    fprintf(stderr, "launch: %s: %s\n", what, strerror(errno));
    exit(99);
}

static void add_arg(struct args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add_arg(struct args *a, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (a->n == ARGS_MAX - 1 || vasprintf(&a->v[a->n++], fmt, ap) < 0)
        die("arguments");
    va_end(ap);
    a->v[a->n] = NULL;
}

static int open_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(path);
    return fd;
}

/* In the child: everything is close-on-exec but what it is given. */
static int pass_on(int fd)
{
    fcntl(fd, F_SETFD, 0);
    return fd;
}

/* PROGRAM[:ARGUMENT]... runs with --socket-fd; returns its pid. */
static pid_t start_device(const char *spec, int sock)
{
    struct args a = {0};
    char *copy = strdup(spec), *save = NULL;
    pid_t pid = fork();

    if (pid) {
        free(copy);
        return pid;
    }
    for (char *word = strtok_r(copy, ":", &save); word; word = strtok_r(NULL, ":", &save)) {
        char *at = strchr(word, '@');

        int fd = at ? pass_on(open_file(at + 1)) : -1, pair[2];

        if (word[strlen(word) - 1] == '&') {
            if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair))
                die("socketpair");
            add_arg(&a, "%.*s%d", (int)strlen(word) - 1, word, pair[0]);
        } else if (at)
            add_arg(&a, "%.*s%d:0:%lld", (int)(at - word), word, fd,
                    (long long)lseek(fd, 0, SEEK_END));
        else
            add_arg(&a, "%s", word);
    }
    add_arg(&a, "--socket-fd=%d", pass_on(sock));
    execv(a.v[0], a.v);
    die(a.v[0]);
    return -1;
}

static void add_devices(struct launch *l, struct args *a, pid_t *pids, int *socks)
{
    for (int i = 0; i < l->ndevices; i++) {
        char *spec = l->devices[i], *program;
        int pair[2];

        program = strchr(spec, ':');
        program = program ? strchr(program + 1, ':') : NULL;
        if (!program)
            die(spec);
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
            die("socketpair");
        pids[i] = start_device(program + 1, pair[1]);
        close(pair[1]);
        socks[i] = pair[0];
        add_arg(a, "--device=%.*s:%d", (int)(program - spec), spec, pair[0]);
    }
}

static void make_pipe(int *fds)
{
    if (pipe2(fds, O_CLOEXEC))
        die("pipe");
}

/* Copies lines with a prefix; false at the end of the pipe. */
static int copy_output(int fd, const char *prefix, char *line, size_t cap, size_t *len)
{
    ssize_t n = read(fd, line + *len, cap - 1 - *len);
    char *end;

    if (n <= 0)
        return 0;
    *len += (size_t)n;
    line[*len] = '\0';
    while ((end = strchr(line, '\n')) || *len == cap - 1) {
        size_t used = end ? (size_t)(end - line) + 1 : *len;

        printf("%s %.*s\n", prefix, (int)(end ? used - 1 : used), line);
        fflush(stdout);
        memmove(line, line + used, *len - used + 1);
        *len -= used;
    }
    return 1;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* A value of /proc/PID/status. */
static long status_of(pid_t pid, const char *name)
{
    char path[64], line[256];
    long value = -1;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, name, strlen(name)) == 0)
            value = atol(line + strlen(name) + 1);
    if (f)
        fclose(f);
    return value;
}

/* Proportional memory of the process without the guest's RAM, in KiB. */
static long pss_beyond_ram(pid_t pid)
{
    char path[64], line[1024];
    long sum = 0, kib;
    int is_ram = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
    f = fopen(path, "r");
    while (f && fgets(line, sizeof(line), f)) {
        if (strchr(line, '-') && strchr(line, ':') && !strstr(line, "kB"))
            is_ram = strstr(line, "memfd:guest") != NULL;
        else if (!is_ram && sscanf(line, "Pss: %ld kB", &kib) == 1)
            sum += kib;
    }
    if (f)
        fclose(f);
    return sum;
}

static void on_first_line(struct launch *l, pid_t vmm, const pid_t *devices)
{
    long pss = pss_beyond_ram(vmm);

    printf("jail seccomp=%ld no_new_privs=%ld threads=%ld\n", status_of(vmm, "Seccomp:"),
           status_of(vmm, "NoNewPrivs:"), status_of(vmm, "Threads:"));
    printf("pss vmm=%ld", pss);
    for (int i = 0; i < l->ndevices; i++)
        printf(" device%d=%ld", i, pss_beyond_ram(devices[i]));
    printf("\n");
    if (l->on_line && strcmp(l->on_line, "term") == 0)
        kill(vmm, SIGTERM);
    else if (l->on_line)
        kill(devices[0], SIGKILL);
}

/* Prints what comes from the serial port and the statistics until both are closed. */
static void watch(struct launch *l, pid_t vmm, const pid_t *devices, int serial, int stats)
{
    int lines_seen = 0;
    static char lines[2][1 << 16];
    size_t len[2] = {0};
    struct pollfd p[2] = {{.fd = serial, .events = POLLIN}, {.fd = stats, .events = POLLIN}};
    const char *prefix[2] = {"serial", "stats"};

    while (p[0].fd >= 0 || p[1].fd >= 0) {
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            die("poll");
        for (int i = 0; i < 2; i++) {
            if (p[i].fd < 0 || !p[i].revents)
                continue;
            if (!copy_output(p[i].fd, prefix[i], lines[i], sizeof(lines[i]), &len[i]))
                p[i].fd = -1;
            else if (i == 0 && lines_seen++ == 0)
                on_first_line(l, vmm, devices);
        }
    }
}

static void exec_vmm(struct args *a, const int *files, int nfiles, const int *socks, int nsocks,
                     const int *pipes, int npipes)
{
    for (int i = 0; i < nfiles; i++)
        pass_on(files[i]);
    for (int i = 0; i < nsocks; i++)
        pass_on(socks[i]);
    for (int i = 0; i < npipes; i++)
        pass_on(pipes[i]);
    execv(a->v[0], a->v);
    die(a->v[0]);
}

static void launch(struct launch *l)
{
    pid_t devices[DEVICES_MAX], vmm;
    int socks[DEVICES_MAX], serial[2], stats[2], status = 0;
    int files[3] = {open_file("/dev/kvm"), open_file(l->kernel), open_file(l->initrd)};
    struct args a = {0};
    struct rusage usage;
    double start;

    make_pipe(serial);
    make_pipe(stats);
    add_arg(&a, "%s", l->vmm);
    add_devices(l, &a, devices, socks);
    add_arg(&a, "--kvm-fd=%d", files[0]);
    add_arg(&a, "--kernel-fd=%d", files[1]);
    add_arg(&a, "--initrd-fd=%d", files[2]);
    add_arg(&a, "--stats-fd=%d", stats[1]);
    if (l->serial)
        add_arg(&a, "--serial-fd=%d", serial[1]);
    for (char **arg = l->rest; *arg; arg++)
        add_arg(&a, "%s", *arg);
    start = now();
    vmm = fork();
    if (vmm == 0)
        exec_vmm(&a, files, 3, socks, l->ndevices, (int[]){serial[1], stats[1]}, 2);
    for (int i = 0; i < 3; i++)
        close(files[i]);
    close(serial[1]);
    close(stats[1]);
    for (int i = 0; i < l->ndevices; i++)
        close(socks[i]);
    watch(l, vmm, devices, serial[0], stats[0]);
    wait4(vmm, &status, 0, &usage);
    printf("time %.1f ms\nmaxrss %ld KiB\n", now() - start, usage.ru_maxrss);
    printf("exit %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    for (int i = 0; i < l->ndevices; i++) {
        waitpid(devices[i], &status, 0);
        printf("device %d exit %d\n", i,
               WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    }
}

static void probe(struct launch *l)
{
    struct args a = {0};

    add_arg(&a, "%s", l->vmm);
    add_arg(&a, "--probe");
    add_arg(&a, "--kvm-fd=%d", pass_on(open_file("/dev/kvm")));
    execv(a.v[0], a.v);
    die(a.v[0]);
}

static const char *value_of(const char *arg, const char *name)
{
    size_t len = strlen(name);

    return strncmp(arg, name, len) == 0 ? arg + len : NULL;
}

int main(int argc, char **argv)
{
    struct launch l = {.repeat = 1, .rest = argv + argc};

    for (int i = 1; i < argc; i++) {
        const char *v;

        if (strcmp(argv[i], "--") == 0) {
            l.rest = argv + i + 1;
            break;
        }
        if ((v = value_of(argv[i], "--vmm=")))
            l.vmm = v;
        else if ((v = value_of(argv[i], "--kernel=")))
            l.kernel = v;
        else if ((v = value_of(argv[i], "--initrd=")))
            l.initrd = v;
        else if ((v = value_of(argv[i], "--on-line=")))
            l.on_line = v;
        else if ((v = value_of(argv[i], "--repeat=")))
            l.repeat = atoi(v);
        else if ((v = value_of(argv[i], "--device=")) && l.ndevices < DEVICES_MAX)
            l.devices[l.ndevices++] = argv[i] + strlen("--device=");
        else if (strcmp(argv[i], "--serial") == 0)
            l.serial = 1;
        else if (strcmp(argv[i], "--probe") == 0)
            l.probe = 1;
        else
            die(argv[i]);
    }
    if (l.probe)
        probe(&l);
    for (int i = 0; i < l.repeat; i++)
        launch(&l);
    return 0;
}
