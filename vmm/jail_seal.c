/* SPDX-License-Identifier: Apache-2.0 */
/* The jail's last step: the seccomp filter. */
#include <errno.h>
#include <seccomp.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "vmm/jail.h"

static void release(scmp_filter_ctx *ctx)
{
    if (*ctx)
        seccomp_release(*ctx);
}

static int add_rules(scmp_filter_ctx ctx, const struct jail_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct jail_rule *r = &rules[i];
        int e;
        if (r->mask)
            e = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->nr, 1,
                                 SCMP_CMP64(r->arg, SCMP_CMP_MASKED_EQ, r->mask, r->value));
        else
            e = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, r->nr, 0);
        if (e < 0) {
            errno = -e;
            return -1;
        }
    }
    return 0;
}

#if defined(__SANITIZE_ADDRESS__)
#define JAIL_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define JAIL_SANITIZED 1
#endif
#endif

#ifdef JAIL_SANITIZED
/* What the run-time library of a sanitized test build needs to work and to report. */
static const struct jail_rule sanitizer_rules[] = {
    {.nr = SCMP_SYS(mmap)},        {.nr = SCMP_SYS(mprotect)},       {.nr = SCMP_SYS(madvise)},
    {.nr = SCMP_SYS(sigaltstack)}, {.nr = SCMP_SYS(rt_sigprocmask)}, {.nr = SCMP_SYS(rt_sigaction)},
    {.nr = SCMP_SYS(gettid)},      {.nr = SCMP_SYS(getpid)},         {.nr = SCMP_SYS(futex)},
    {.nr = SCMP_SYS(sched_yield)}, {.nr = SCMP_SYS(openat)},         {.nr = SCMP_SYS(open)},
    {.nr = SCMP_SYS(readlink)},    {.nr = SCMP_SYS(getrlimit)},      {.nr = SCMP_SYS(ioctl)},
    {.nr = SCMP_SYS(prctl)},
};
#endif

int jail_seal(const struct jail_rule *rules, size_t nrules, const struct jail_rule *more,
              size_t nmore, struct err *err)
{
    cleanup_with(release) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!ctx)
        return err_set(err, 0, "jail: cannot make a system call filter");
    /* A filter is a thread's own; this gives it to all that the process has. */
    int e = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
    if (e < 0)
        return err_set(err, -e, "jail: cannot filter the system calls of all threads");
    int bad = add_rules(ctx, rules, nrules) || (more && add_rules(ctx, more, nmore));
#ifdef JAIL_SANITIZED
    bad = bad || add_rules(ctx, sanitizer_rules, ARRAY_SIZE(sanitizer_rules));
#endif
    if (bad)
        return err_set(err, errno, "jail: cannot add to the system call filter");
    e = seccomp_load(ctx);
    if (e < 0)
        return err_set(err, -e, "jail: cannot load the system call filter");
    return 0;
}
