/* SPDX-License-Identifier: Apache-2.0 */
/* The table of isolators and the walk over a manifest's list. */
#include "guest-init/isolate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

static isolate_fn *const table[AC_ISOLATOR_KINDS] = {
    [AC_ISOLATOR_CAPABILITIES_RETAIN_SET] = isolate_capabilities_retain,
    [AC_ISOLATOR_CAPABILITIES_REMOVE_SET] = isolate_capabilities_remove,
    [AC_ISOLATOR_NO_NEW_PRIVILEGES] = isolate_no_new_privileges,
    [AC_ISOLATOR_OOM_SCORE_ADJ] = isolate_oom_score_adj,
    [AC_ISOLATOR_APPARMOR_PROFILE] = isolate_apparmor,
    [AC_ISOLATOR_SELINUX_CONTEXT] = isolate_selinux,
    [AC_ISOLATOR_BLOCK_BANDWIDTH] = isolate_block_bandwidth,
    [AC_ISOLATOR_BLOCK_IOPS] = isolate_block_iops,
    [AC_ISOLATOR_NETWORK_BANDWIDTH] = isolate_network_bandwidth,
    [AC_ISOLATOR_CPU] = isolate_cpu,
    [AC_ISOLATOR_CPU_SHARES] = isolate_cpu_shares,
    [AC_ISOLATOR_MEMORY] = isolate_memory,
    [AC_ISOLATOR_SYSCTL] = isolate_sysctl,
    [AC_ISOLATOR_SECCOMP_RETAIN_SET] = isolate_seccomp_retain,
    [AC_ISOLATOR_SECCOMP_REMOVE_SET] = isolate_seccomp_remove,
};

void isolation_init(struct isolation *i)
{
    *i = (struct isolation){.capabilities = ISOLATE_DEFAULT_CAPABILITIES};
}

void isolation_done(struct isolation *i)
{
    free(i->seccomp);
    free(i->apparmor);
    i->seccomp = NULL;
    i->apparmor = NULL;
}

void isolate_note(struct isolate_outcome *out, enum wire_isolator_result result, const char *fmt,
                  ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (result > out->result)
        out->result = result;
    if (out->detail.len < WIRE_DETAIL_MAX - sizeof(text))
        buf_printf(&out->detail, "%s%s", out->detail.len ? "; " : "", text);
}

/* Whether the list has an isolator of the same name further on, which then counts (ISO-06). */
static bool superseded(const struct ac_isolators *list, size_t i)
{
    for (size_t j = i + 1; j < list->n; j++) {
        if (str_eq(list->v[i].name, list->v[j].name))
            return true;
    }
    return false;
}

static void apply_known(const struct ac_isolator_view *view, struct isolate_target *target,
                        struct isolate_outcome *out)
{
    if (!(view->scope & target->scope))
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "it has no meaning for %s",
                     target->scope == AC_SCOPE_POD ? "a pod" : "an app");
    else
        table[view->kind](view, target, out);
}

static void apply_one(const struct ac_isolators *list, size_t i, struct isolate_target *target,
                      struct isolate_outcome *out)
{
    struct ac_isolator_view view;
    struct ac_fault fault;
    if (superseded(list, i)) {
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "a later isolator of the same name counts");
        return;
    }
    if (ac_isolator_decode(&list->v[i], &view, &fault) < 0) {
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "%s", fault.msg);
        return;
    }
    if (view.kind == AC_ISOLATOR_UNKNOWN)
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "appc-vm does not know this isolator");
    else
        apply_known(&view, target, out);
    ac_isolator_view_done(&view);
}

int isolate_apply(const struct ac_isolators *list, struct isolate_target *target,
                  isolate_report_fn *report, void *ctx)
{
    for (size_t i = 0; i < list->n; i++) {
        struct isolate_outcome out = {.result = WIRE_ISOLATOR_ENFORCED};
        apply_one(list, i, target, &out);
        report(ctx, list->v[i].name, out.result, out.detail.data ? out.detail.data : "");
        buf_free(&out.detail);
    }
    return target->refusal && target->refusal->msg[0] ? -1 : 0;
}
