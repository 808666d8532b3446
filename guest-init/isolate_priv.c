/* SPDX-License-Identifier: Apache-2.0 */
/* os/linux/no-new-privileges and os/linux/oom-score-adj. */
#include "guest-init/isolate.h"

void isolate_no_new_privileges(const struct ac_isolator_view *view, struct isolate_target *target,
                               struct isolate_outcome *out)
{
    (void)out;
    target->isolation->no_new_privileges = view->no_new_privileges;
}

void isolate_oom_score_adj(const struct ac_isolator_view *view, struct isolate_target *target,
                           struct isolate_outcome *out)
{
    (void)out;
    target->isolation->has_oom_score_adj = true;
    target->isolation->oom_score_adj = (int)view->oom_score_adj;
}
