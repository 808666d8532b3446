/* SPDX-License-Identifier: Apache-2.0 */
/* os/linux/seccomp-retain-set and -remove-set: a filter made once and loaded by each process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/isolate.h"
#include "guest-init/syscall_sets.h"

#define WILDCARD_ALL   "@appc.io/all"
#define WILDCARD_EMPTY "@appc.io/empty"

/* What the life of an app needs whatever its retain set says (ISO-20): to start and to end. */
static const char *const minimum[] = {"execve", "exit", "exit_group", "rt_sigreturn", "sigreturn"};

static bool has_value(const struct ac_strings *set, const char *value)
{
    for (size_t i = 0; i < set->n; i++) {
        if (str_eq(set->v[i], value))
            return true;
    }
    return false;
}

/* What a blocked call gets: the errno asked for, or death by SIGSYS (ISO-14, ISO-15). */
static uint32_t blocked_action(const struct ac_seccomp *s, struct isolate_outcome *out)
{
    if (!s->errno_name)
        return SCMP_ACT_KILL_PROCESS;
    int e = errno_number(s->errno_name);
    if (e == 0) {
        isolate_note(out, WIRE_ISOLATOR_MODIFIED,
                     "Linux has no %.32s: blocked calls kill by SIGSYS", s->errno_name);
        return SCMP_ACT_KILL_PROCESS;
    }
    return SCMP_ACT_ERRNO((uint32_t)e);
}

/* Programs of every ABI of the machine are filtered, not only the native one's. */
static int add_architectures(scmp_filter_ctx ctx)
{
#if defined(__x86_64__)
    static const uint32_t others[] = {SCMP_ARCH_X86, SCMP_ARCH_X32};
#elif defined(__aarch64__)
    static const uint32_t others[] = {SCMP_ARCH_ARM};
#else
    static const uint32_t others[] = {SCMP_ARCH_NATIVE};
#endif
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        int r = seccomp_arch_add(ctx, others[i]);
        if (r < 0 && r != -EEXIST)
            return r;
    }
    return 0;
}

static int add_call(scmp_filter_ctx ctx, uint32_t action, const char *name,
                    struct isolate_outcome *out)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr == __NR_SCMP_ERROR) {
        isolate_note(out, WIRE_ISOLATOR_MODIFIED, "%.64s is no system call", name);
        return 0;
    }
    int r = seccomp_rule_add(ctx, action, nr, 0);
    return r == -EEXIST ? 0 : r;
}

struct addition {
    scmp_filter_ctx ctx;
    uint32_t action;
};

/* One of a set of our own; an ABI that has no such call is none that could make it. */
static int add_of_set(void *ctx, const char *name)
{
    const struct addition *a = ctx;
    struct isolate_outcome quiet = {0};
    int r = add_call(a->ctx, a->action, name, &quiet);
    buf_free(&quiet.detail);
    return r;
}

static int add_set(scmp_filter_ctx ctx, uint32_t action, const struct ac_strings *set,
                   struct isolate_outcome *out)
{
    struct addition a = {ctx, action};
    for (size_t i = 0; i < set->n; i++) {
        int r = 0;
        if (set->v[i][0] != '@')
            r = add_call(ctx, action, set->v[i], out);
        else if (!syscall_set_walk(set->v[i], add_of_set, &a, &r))
            isolate_note(out, WIRE_ISOLATOR_MODIFIED, "%.64s is no wildcard known here", set->v[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The BPF program of a filter, as the kernel takes it. */
static int export(scmp_filter_ctx ctx, struct isolation *iso)
{
    struct stat st;
    cleanup_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
    if (fd < 0 || seccomp_export_bpf(ctx, fd) < 0 || fstat(fd, &st) < 0)
        return -errno;
    size_t n = (size_t)st.st_size / sizeof(struct sock_filter);
    if (n == 0 || n > BPF_MAXINSNS)
        return -E2BIG;
    cleanup_free struct sock_filter *code = xcalloc(n, sizeof(*code));
    if (pread_all(fd, code, n * sizeof(*code), 0) < 0)
        return -errno;
    free(iso->seccomp);
    iso->seccomp = take_ptr(code);
    iso->seccomp_len = (unsigned short)n;
    return 0;
}

/* Fills the filter: `listed` for the calls of the set, and the minimum beside a retain set. */
static int fill(scmp_filter_ctx ctx, uint32_t listed, const struct ac_strings *set, bool retain,
                struct isolate_outcome *out)
{
    int r = add_architectures(ctx);
    /* A number that no ABI above has is not ours to block by itself. */
    if (r == 0)
        r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (r == 0)
        r = add_set(ctx, listed, set, out);
    struct isolate_outcome quiet = {0};
    for (size_t i = 0; r == 0 && retain && i < ARRAY_SIZE(minimum); i++)
        r = add_call(ctx, listed, minimum[i], &quiet);
    buf_free(&quiet.detail);
    return r;
}

static void build(const struct ac_isolator_view *view, struct isolate_target *target, bool retain,
                  struct isolate_outcome *out)
{
    uint32_t blocked = blocked_action(&view->seccomp, out);
    scmp_filter_ctx ctx = seccomp_init(retain ? blocked : SCMP_ACT_ALLOW);
    int r = ctx ? fill(ctx, retain ? SCMP_ACT_ALLOW : blocked, &view->seccomp.set, retain, out)
                : -ENOMEM;
    if (r == 0)
        r = export(ctx, target->isolation);
    if (r < 0)
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "can't make the filter: %s", strerror(-r));
    if (ctx)
        seccomp_release(ctx);
}

void isolate_seccomp_retain(const struct ac_isolator_view *view, struct isolate_target *target,
                            struct isolate_outcome *out)
{
    if (!has_value(&view->seccomp.set, WILDCARD_ALL))
        build(view, target, true, out);
}

void isolate_seccomp_remove(const struct ac_isolator_view *view, struct isolate_target *target,
                            struct isolate_outcome *out)
{
    if (!has_value(&view->seccomp.set, WILDCARD_EMPTY))
        build(view, target, false, out);
}
