/* SPDX-License-Identifier: Apache-2.0 */
/* resource/block-bandwidth, resource/block-iops and resource/network-bandwidth. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest-init/cgroup.h"
#include "guest-init/isolate.h"

/* Limits reading and writing of each disk for itself, as spec/ace.md has it. */
static void limit_disks(const struct ac_isolator_view *view, struct isolate_target *target,
                        const char *read_key, const char *write_key, struct isolate_outcome *out)
{
    const struct ac_resource *r = &view->resource;
    int64_t limit = r->limit;
    if (!r->has_limit)
        return;
    if (limit < 1) {
        limit = 1; /* the kernel has no limit that forbids everything */
        isolate_note(out, WIRE_ISOLATOR_MODIFIED, "the least limit is 1 a second");
    }
    if (target->scope == AC_SCOPE_POD)
        return; /* the device processes see to that, whatever happens in here */
    for (char *const *disk = target->disks; disk && *disk; disk++) {
        char text[128];
        snprintf(text, sizeof(text), "%s %s=%" PRId64 " %s=%" PRId64, *disk, read_key, limit,
                 write_key, limit);
        if (cgroup_write(target->cgroup, "io.max", text) < 0)
            isolate_note(out, WIRE_ISOLATOR_IGNORED, "can't set io.max to %s: %s", text,
                         strerror(errno));
    }
}

void isolate_block_bandwidth(const struct ac_isolator_view *view, struct isolate_target *target,
                             struct isolate_outcome *out)
{
    limit_disks(view, target, "rbps", "wbps", out);
}

void isolate_block_iops(const struct ac_isolator_view *view, struct isolate_target *target,
                        struct isolate_outcome *out)
{
    limit_disks(view, target, "riops", "wiops", out);
}

void isolate_network_bandwidth(const struct ac_isolator_view *view, struct isolate_target *target,
                               struct isolate_outcome *out)
{
    (void)view;
    (void)target;
    isolate_note(out, WIRE_ISOLATOR_IGNORED,
                 "the pod has no network interface but the loopback, which has no limit");
}
