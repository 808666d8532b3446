/* SPDX-License-Identifier: Apache-2.0 */
/* os/linux/apparmor-profile and os/linux/selinux-context. */
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "guest-init/apparmor.h"
#include "guest-init/isolate.h"

/* A profile that is not loaded must not be ignored where AppArmor is at work (ISO-36). */
void isolate_apparmor(const struct ac_isolator_view *view, struct isolate_target *target,
                      struct isolate_outcome *out)
{
    const char *profile = view->apparmor_profile;
    if (!apparmor_enabled()) {
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "the guest's kernel runs without AppArmor");
        return;
    }
    if (!apparmor_has(profile)) {
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "the profile is not loaded");
        err_set(target->refusal, 0,
                "AppArmor profile \"%s\" is not loaded in the guest: load it with "
                "--apparmor-profile=FILE, or take the isolator os/linux/apparmor-profile out of "
                "the manifest",
                profile);
        return;
    }
    free(target->isolation->apparmor);
    target->isolation->apparmor = xstrdup(profile);
}

void isolate_selinux(const struct ac_isolator_view *view, struct isolate_target *target,
                     struct isolate_outcome *out)
{
    (void)view;
    (void)target;
    isolate_note(out, WIRE_ISOLATOR_IGNORED, "the guest's kernel is built without SELinux");
}
