/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of system calls that seccomp isolators can name at once (ISO-26). */
#include "guest-init/syscall_sets.h"

#include <stddef.h>
#include <stdint.h>

#include <seccomp.h>

#include "base/cleanup.h"
#include "base/str.h"

/* Numbers are dense, but for a gap that some ABIs have before the newer ones. */
#define NUMBERS_MAX 1024

static const char *const blacklist[] = {
    "acct",
    "add_key",
    "adjtimex",
    "bpf",
    "clock_adjtime",
    "clock_settime",
    "create_module",
    "delete_module",
    "fanotify_init",
    "finit_module",
    "fsconfig",
    "fsmount",
    "fsopen",
    "fspick",
    "get_kernel_syms",
    "init_module",
    "ioperm",
    "iopl",
    "kcmp",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "lookup_dcookie",
    "mount",
    "mount_setattr",
    "move_mount",
    "nfsservctl",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pivot_root",
    "process_vm_readv",
    "query_module",
    "process_vm_writev",
    "quotactl",
    "quotactl_fd",
    "reboot",
    "request_key",
    "setdomainname",
    "sethostname",
    "setns",
    "settimeofday",
    "stime",
    "swapoff",
    "swapon",
    "_sysctl",
    "sysfs",
    "syslog",
    "umount",
    "umount2",
    "unshare",
    "uselib",
    "userfaultfd",
    "ustat",
    "vhangup",
    "vm86",
    "vm86old",
};

static const uint32_t abis[] = {
    SCMP_ARCH_NATIVE,
#if defined(__x86_64__)
    SCMP_ARCH_X86,
#elif defined(__aarch64__)
    SCMP_ARCH_ARM,
#endif
};

static bool is_listed(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(blacklist); i++) {
        if (str_eq(blacklist[i], name))
            return true;
    }
    return false;
}

static int walk_listed(syscall_fn *fn, void *ctx)
{
    int r = 0;
    for (size_t i = 0; i < ARRAY_SIZE(blacklist) && r == 0; i++)
        r = fn(ctx, blacklist[i]);
    return r;
}

static int walk_others(syscall_fn *fn, void *ctx)
{
    int r = 0;
    for (size_t a = 0; a < ARRAY_SIZE(abis); a++) {
        for (int nr = 0; nr < NUMBERS_MAX && r == 0; nr++) {
            cleanup_free char *name = seccomp_syscall_resolve_num_arch(abis[a], nr);
            if (name && !is_listed(name))
                r = fn(ctx, name);
        }
    }
    return r;
}

bool syscall_set_walk(const char *wildcard, syscall_fn *fn, void *ctx, int *ret)
{
    if (str_eq(wildcard, SYSCALLS_BLACKLIST))
        *ret = walk_listed(fn, ctx);
    else if (str_eq(wildcard, SYSCALLS_WHITELIST))
        *ret = walk_others(fn, ctx);
    else
        return false;
    return true;
}
