/* SPDX-License-Identifier: Apache-2.0 */
/* What the metadata service gives up before it reads a byte of anybody. */
#include "mds/sandbox.h"

#include <errno.h>
#include <jansson.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Every system call that is allowed, and who needs it. */
static const int allowed[] = {
    SCMP_SYS(poll),            /* the loop */
    SCMP_SYS(epoll_wait),      /* libmicrohttpd: which connections have something to do */
    SCMP_SYS(epoll_ctl),       /* libmicrohttpd: a connection comes */
    SCMP_SYS(recvmsg),         /* connections from the supervisor */
    SCMP_SYS(recvfrom),        /* requests */
    SCMP_SYS(sendmsg),         /* answers: headers and body in one write */
    SCMP_SYS(sendto),          /* the rest of a long answer */
    SCMP_SYS(shutdown),        /* a connection ends */
    SCMP_SYS(close),           /* likewise; the bundle once it is read */
    SCMP_SYS(fcntl),           /* sockets to non-blocking */
    SCMP_SYS(read),            /* the bundle */
    SCMP_SYS(lseek),           /* back to the start of the bundle */
    SCMP_SYS(write),           /* a last line on standard error */
    SCMP_SYS(epoll_create1),   /* libmicrohttpd, at its start */
    SCMP_SYS(getrandom),       /* libmicrohttpd and jansson: seeds against colliding hashes */
    SCMP_SYS(brk),             /* malloc */
    SCMP_SYS(munmap),          /* malloc and libmicrohttpd's pools */
    SCMP_SYS(mremap),          /* realloc */
    SCMP_SYS(madvise),         /* malloc, when it gives memory back */
    SCMP_SYS(futex),           /* locks of libcrypto and libc */
    SCMP_SYS(clock_gettime),   /* clocks, where there is no vDSO */
    SCMP_SYS(gettimeofday),    /* likewise */
    SCMP_SYS(time),            /* likewise */
    SCMP_SYS(restart_syscall), /* poll, after the process was stopped and continued */
    SCMP_SYS(rt_sigprocmask),  /* abort */
    SCMP_SYS(rt_sigreturn),    /* likewise */
    SCMP_SYS(getpid),          /* likewise */
    SCMP_SYS(gettid),          /* likewise */
    SCMP_SYS(tgkill),          /* likewise */
    SCMP_SYS(exit_group),
};

static bool add_rules(scmp_filter_ctx f)
{
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
        r |= seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
    /* Memory of its own that never becomes code. */
    r |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                          SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    r |= seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* libmicrohttpd tries options of TCP, which local sockets refuse as well. */
    r |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EOPNOTSUPP), SCMP_SYS(setsockopt), 0);
    return r == 0;
}

static int load_filter(struct err *err)
{
#ifndef APPC_SANITIZED
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool ok = f && add_rules(f) && seccomp_load(f) == 0;
    seccomp_release(f);
    if (!ok)
        return err_set(err, 0, "can't filter system calls; does the kernel have seccomp filters?");
#else
    (void)add_rules, (void)err;
#endif
    return 0;
}

int sandbox_enter(struct err *err)
{
    const struct rlimit none = {0, 0};
    /* What would open a file later has to do it now: the date of an answer, the seed of hashes. */
    tzset();
    json_object_seed(0);
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0)
        return err_set(err, errno, "can't drop privileges");
    return load_filter(err);
}
