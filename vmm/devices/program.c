/* SPDX-License-Identifier: Apache-2.0 */
/* What the main() of all device programs has in common. */
#include "vmm/devices/program.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "vmm/devices/vhost_user.h"

/* System calls of every device, each with its reason. Those of one device stand in its main file.
 */
static const struct jail_rule common_rules[] = {
    {.nr = SCMP_SYS(epoll_wait)},                    /* the loop */
    {.nr = SCMP_SYS(epoll_pwait)},                   /* the loop, where epoll_wait is missing */
    {.nr = SCMP_SYS(epoll_ctl)},                     /* kick descriptors come and go */
    {.nr = SCMP_SYS(recvmsg)},                       /* messages of the front end */
    {.nr = SCMP_SYS(read)},                          /* the rest of such a message */
    {.nr = SCMP_SYS(write)},                         /* answers, interrupts, the last line */
    {.nr = SCMP_SYS(close)},                         /* descriptors from the front end */
    {.nr = SCMP_SYS(fstat)},                         /* the size of a memory file */
    {.nr = SCMP_SYS(newfstatat)},                    /* the same, as the C library makes it */
    {.nr = SCMP_SYS(mmap), 2, PROT_EXEC, 0},         /* guest memory, and large buffers */
    {.nr = SCMP_SYS(munmap)},                        /* the same */
    {.nr = SCMP_SYS(mremap)},                        /* buffers that grow */
    {.nr = SCMP_SYS(brk)},                           /* small buffers */
    {.nr = SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFL}, /* blocking mode of the socket */
    {.nr = SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFL}, /* the same */
    {.nr = SCMP_SYS(clock_gettime)},                 /* the clock where there is no vDSO */
    {.nr = SCMP_SYS(rt_sigreturn)},                  /* the end of a signal handler */
    {.nr = SCMP_SYS(restart_syscall)},               /* the kernel's, after a stop */
    {.nr = SCMP_SYS(exit_group)},                    /* the end */
};

enum program_common {
    OPT_SOCKET_FD,
    OPT_CHECK_JAIL,
    OPT_HELP,
    OPT_COMMON,
};

static const struct option common_options[OPT_COMMON] = {
    {"socket-fd", required_argument, NULL, OPT_SOCKET_FD},
    {"check-jail", no_argument, NULL, OPT_CHECK_JAIL},
    {"help", no_argument, NULL, OPT_HELP},
};

static void help(const struct program *p)
{
    printf("usage: %s --socket-fd=N [options]\n%s\n\n", p->name, p->about);
    printf("  --socket-fd=N    connected socket on which the front end speaks vhost-user\n"
           "  --check-jail     enter the jail, print the level that was reached, and end\n"
           "  --help           this text\n");
    for (size_t i = 0; i < p->noptions; i++) {
        const struct program_option *o = &p->options[i];
        char name[64];
        snprintf(name, sizeof(name), "--%s%s%s", o->name, o->value ? "=" : "",
                 o->value ? o->value : "");
        printf("  %-16s %s\n", name, o->help);
    }
}

int program_keep_fd(struct program *p, int fd, struct err *err)
{
    if (fcntl(fd, F_GETFD) < 0)
        return err_set(err, errno, "descriptor %d", fd);
    for (size_t i = 0; i < p->nfds; i++) {
        if (p->fds[i] == fd)
            return 0;
    }
    if (p->nfds == PROGRAM_FDS_MAX)
        return err_set(err, 0, "more than %d descriptors", PROGRAM_FDS_MAX);
    p->fds[p->nfds++] = fd;
    return 0;
}

int program_fd(struct program *p, const char *arg, int *ret_fd, struct err *err)
{
    uint64_t v;
    if (parse_u64(arg, INT32_MAX, &v))
        return err_set(err, 0, "\"%s\" is not the number of a descriptor", arg);
    if (program_keep_fd(p, (int)v, err))
        return -1;
    *ret_fd = (int)v;
    return 0;
}

struct common {
    int socket_fd;
    bool check_jail;
    bool help;
};

static int set_option(struct program *p, struct common *c, int opt, struct err *err)
{
    switch (opt) {
    case OPT_SOCKET_FD:
        return program_fd(p, optarg, &c->socket_fd, err);
    case OPT_CHECK_JAIL:
        c->check_jail = true;
        return 0;
    case OPT_HELP:
        c->help = true;
        return 0;
    default:
        return p->options[opt - OPT_COMMON].set(p->self, optarg, err);
    }
}

static int parse(struct program *p, struct common *c, int argc, char **argv, struct err *err)
{
    struct option table[OPT_COMMON + PROGRAM_OPTIONS_MAX + 1] = {0};
    memcpy(table, common_options, sizeof(common_options));
    for (int i = 0; i < (int)p->noptions; i++) {
        const struct program_option *o = &p->options[i];
        int takes = o->value ? required_argument : no_argument;
        table[OPT_COMMON + i] = (struct option){o->name, takes, NULL, OPT_COMMON + i};
    }
    int opt, index = 0;
    opterr = 0;
    while ((opt = getopt_long(argc, argv, "", table, &index)) != -1) {
        if (opt == '?')
            return err_set(err, 0, "unknown option or missing value: %s", argv[optind - 1]);
        if (set_option(p, c, opt, err))
            return err_prefix(err, "--%s", table[opt].name);
    }
    if (optind < argc)
        return err_set(err, 0, "unexpected argument \"%s\"", argv[optind]);
    if (c->socket_fd < 0 && !c->check_jail && !c->help)
        return err_set(err, 0, "--socket-fd is missing; see --help");
    return 0;
}

static int enter(struct program *p, struct err *err)
{
    const struct jail_spec spec = {
        .fds = p->fds,
        .nfds = p->nfds,
        .nofile = p->nofile + p->nfds + 64, /* rings, memory, the loop */
        .files = p->files,
        .trees = p->trees,
        .ntrees = p->ntrees,
    };
    signal(SIGPIPE, SIG_IGN);
    mem_guard_install();
    return jail_enter(&spec, err);
}

static int seal(const struct program *p, struct err *err)
{
    return jail_seal(common_rules, ARRAY_SIZE(common_rules), p->rules, p->nrules, err);
}

static int complain(const struct program *p, const struct err *err, enum device_exit status)
{
    fprintf(stderr, "%s: %s\n", p->name, err->msg);
    return (int)status;
}

static int check_jail(struct program *p)
{
    struct err err;
    int level = enter(p, &err);
    if (level < 0)
        return complain(p, &err, DEVICE_EXIT_FAILED);
    printf("%s\n", jail_level_name((enum jail_level)level));
    fflush(stdout);
    if (seal(p, &err))
        return complain(p, &err, DEVICE_EXIT_FAILED);
    return DEVICE_EXIT_OK;
}

int program_main(struct program *p, int argc, char **argv)
{
    struct err err = {0};
    struct common c = {.socket_fd = -1};
    if (parse(p, &c, argc, argv, &err))
        return complain(p, &err, DEVICE_EXIT_USAGE);
    if (c.help) {
        help(p);
        return DEVICE_EXIT_OK;
    }
    if (c.check_jail)
        return check_jail(p);
    struct device *dev;
    if (enter(p, &err) < 0 || p->init(p->self, &dev, &err) || seal(p, &err))
        return complain(p, &err, DEVICE_EXIT_FAILED);
    if (vhost_user_serve(dev, c.socket_fd, &err))
        return complain(p, &err, DEVICE_EXIT_MALFORMED);
    return DEVICE_EXIT_OK;
}

void program_exit(int status)
{
    fflush(stdout);
    _exit(status);
}
