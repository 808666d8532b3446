/* SPDX-License-Identifier: Apache-2.0 */
/* os/linux/apparmor-profile and os/linux/selinux-context. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/early.h"
#include "guest-init/isolate.h"
#include "guest-init/mnt.h"

#define APPARMOR_ENABLED "/sys/module/apparmor/parameters/enabled"
#define SECURITYFS       "/sys/kernel/security"
#define PROFILES         SECURITYFS "/apparmor/profiles"
#define UNCONFINED       "unconfined" /* the profile that is always there */
#define PROFILES_MAX     (16u << 20)

static bool has_apparmor(void)
{
    cleanup_free char *text = NULL;
    size_t len;
    return read_file_at(AT_FDCWD, APPARMOR_ENABLED, 16, &text, &len, NULL) == 0 && text[0] == 'Y';
}

/* Whether the kernel's list, whose lines are "NAME (MODE)", has the profile. */
static bool is_loaded(const char *profile)
{
    cleanup_free char *text = NULL;
    size_t len;
    if (read_file_at(AT_FDCWD, PROFILES, PROFILES_MAX, &text, &len, NULL) < 0 &&
        (mnt_at("securityfs", NULL, MNT_SAFE, SECURITYFS, NULL) < 0 ||
         read_file_at(AT_FDCWD, PROFILES, PROFILES_MAX, &text, &len, NULL) < 0))
        return false;
    cleanup_free char *start = xasprintf("%s (", profile);
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (str_starts(line, start))
            return true;
    }
    return false;
}

/* A profile that is not loaded must not be ignored where AppArmor is at work (ISO-36). */
void isolate_apparmor(const struct ac_isolator_view *view, struct isolate_target *target,
                      struct isolate_outcome *out)
{
    const char *profile = view->apparmor_profile;
    if (!has_apparmor()) {
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "the guest's kernel runs without AppArmor");
        return;
    }
    if (!str_eq(profile, UNCONFINED) && !is_loaded(profile)) {
        isolate_note(out, WIRE_ISOLATOR_IGNORED, "the profile is not loaded");
        err_set(target->refusal, 0,
                "AppArmor profile \"%s\" is not loaded in the guest: take the isolator "
                "os/linux/apparmor-profile out of the manifest",
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
