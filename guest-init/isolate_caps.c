/* SPDX-License-Identifier: Apache-2.0 */
/* os/linux/capabilities-retain-set and -remove-set: the bounding set of an app. */
#include <strings.h>

#include <linux/capability.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "guest-init/isolate.h"

#define CAP(name) [CAP_##name] = "CAP_" #name

static const char *const names[] = {
    CAP(CHOWN),
    CAP(DAC_OVERRIDE),
    CAP(DAC_READ_SEARCH),
    CAP(FOWNER),
    CAP(FSETID),
    CAP(KILL),
    CAP(SETGID),
    CAP(SETUID),
    CAP(SETPCAP),
    CAP(LINUX_IMMUTABLE),
    CAP(NET_BIND_SERVICE),
    CAP(NET_BROADCAST),
    CAP(NET_ADMIN),
    CAP(NET_RAW),
    CAP(IPC_LOCK),
    CAP(IPC_OWNER),
    CAP(SYS_MODULE),
    CAP(SYS_RAWIO),
    CAP(SYS_CHROOT),
    CAP(SYS_PTRACE),
    CAP(SYS_PACCT),
    CAP(SYS_ADMIN),
    CAP(SYS_BOOT),
    CAP(SYS_NICE),
    CAP(SYS_RESOURCE),
    CAP(SYS_TIME),
    CAP(SYS_TTY_CONFIG),
    CAP(MKNOD),
    CAP(LEASE),
    CAP(AUDIT_WRITE),
    CAP(AUDIT_CONTROL),
    CAP(SETFCAP),
    CAP(MAC_OVERRIDE),
    CAP(MAC_ADMIN),
    CAP(SYSLOG),
    CAP(WAKE_ALARM),
    CAP(BLOCK_SUSPEND),
    CAP(AUDIT_READ),
    CAP(PERFMON),
    CAP(BPF),
    CAP(CHECKPOINT_RESTORE),
};

int capability_number(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (str_eq(names[i], name))
            return (int)i;
    }
    return -1;
}

static uint64_t named_set(const struct ac_strings *list, struct isolate_outcome *out)
{
    uint64_t set = 0;
    for (size_t i = 0; i < list->n; i++) {
        int n = capability_number(list->v[i]);
        if (n < 0)
            isolate_note(out, WIRE_ISOLATOR_MODIFIED, "%.64s is no capability", list->v[i]);
        else
            set |= UINT64_C(1) << n;
    }
    return set;
}

void isolate_capabilities_retain(const struct ac_isolator_view *view, struct isolate_target *target,
                                 struct isolate_outcome *out)
{
    target->isolation->capabilities = named_set(&view->capabilities, out);
}

void isolate_capabilities_remove(const struct ac_isolator_view *view, struct isolate_target *target,
                                 struct isolate_outcome *out)
{
    target->isolation->capabilities =
        ISOLATE_DEFAULT_CAPABILITIES & ~named_set(&view->capabilities, out);
}
