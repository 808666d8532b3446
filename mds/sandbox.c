/* SPDX-License-Identifier: Apache-2.0 */
/* What the metadata service gives up: the jail, and its system calls with their reasons. */
#include "mds/sandbox.h"

#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "mds/server.h"
#include "vmm/jail.h"

/* Besides those of connections: standard ones, bundle, supervisor, epoll, and one on its way. */
#define OTHER_DESCRIPTORS 16

static const struct jail_rule rules[] = {
    {.nr = SCMP_SYS(poll)},                          /* the loop */
    {.nr = SCMP_SYS(recvmsg)},                       /* connections from the supervisor */
    {.nr = SCMP_SYS(epoll_wait)},                    /* which connection has something to do */
    {.nr = SCMP_SYS(epoll_ctl)},                     /* connections come and go */
    {.nr = SCMP_SYS(recvfrom)},                      /* requests */
    {.nr = SCMP_SYS(sendmsg)},                       /* answers, header and body at once */
    {.nr = SCMP_SYS(sendto)},                        /* the rest of a long one */
    {.nr = SCMP_SYS(fcntl), 1, UINT32_MAX, F_GETFL}, /* blocking mode of a connection */
    {.nr = SCMP_SYS(fcntl), 1, UINT32_MAX, F_SETFL}, /* the same */
    {.nr = SCMP_SYS(setsockopt), 1, UINT32_MAX, IPPROTO_TCP}, /* MHD tries; sockets refuse */
    {.nr = SCMP_SYS(shutdown)},                               /* the end of a connection */
    {.nr = SCMP_SYS(close)},                                  /* the same */
    {.nr = SCMP_SYS(mmap), 2, PROT_EXEC, 0},                  /* large buffers */
    {.nr = SCMP_SYS(munmap)},                                 /* the same */
    {.nr = SCMP_SYS(mremap)},                                 /* buffers that grow */
    {.nr = SCMP_SYS(brk)},                                    /* small buffers */
    {.nr = SCMP_SYS(madvise)},                                /* their memory given back */
    {.nr = SCMP_SYS(futex)},                                  /* locks of libcrypto */
    {.nr = SCMP_SYS(clock_gettime)},                          /* the clock where there is no vDSO */
    {.nr = SCMP_SYS(time)},                                   /* the same, for dates */
    {.nr = SCMP_SYS(write)},                                  /* the last line on standard error */
    {.nr = SCMP_SYS(restart_syscall)},                        /* the kernel's, after a stop */
    {.nr = SCMP_SYS(exit_group)},                             /* the end */
};

int sandbox_enter(const int *fds, size_t n, struct err *err)
{
    const struct jail_spec spec = {
        .fds = fds,
        .nfds = n,
        .nofile = SERVER_CONNECTIONS_MAX + OTHER_DESCRIPTORS,
    };
    tzset();             /* the date of an answer */
    json_object_seed(0); /* the hashes of objects */
    return jail_enter(&spec, err) < 0 ? -1 : 0;
}

int sandbox_seal(struct err *err)
{
    return jail_seal(rules, ARRAY_SIZE(rules), NULL, 0, err);
}
