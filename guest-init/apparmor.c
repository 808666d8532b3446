/* SPDX-License-Identifier: Apache-2.0 */
/* AppArmor in the guest's kernel, through securityfs, which is mounted when it is first needed. */
#include "guest-init/apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "guest-init/mnt.h"

#define ENABLED      "/sys/module/apparmor/parameters/enabled"
#define SECURITYFS   "/sys/kernel/security"
#define PROFILES     SECURITYFS "/apparmor/profiles"
#define LOAD         SECURITYFS "/apparmor/.load"
#define PROFILES_MAX (16u << 20)

bool apparmor_enabled(void)
{
    cleanup_free char *text = NULL;
    size_t len;
    return read_file_at(AT_FDCWD, ENABLED, 16, &text, &len, NULL) == 0 && text[0] == 'Y';
}

static int open_securityfs(const char *path, int flags, struct err *err)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        if (mnt_at("securityfs", NULL, MNT_SAFE, SECURITYFS, err) < 0)
            return -1;
        fd = open(path, flags | O_CLOEXEC);
    }
    return fd < 0 ? err_set(err, errno, "can't open %s", path) : fd;
}

/* The kernel's list has lines like "NAME (MODE)". */
bool apparmor_has(const char *profile)
{
    cleanup_free char *text = NULL;
    size_t len;
    if (str_eq(profile, APPARMOR_UNCONFINED))
        return true;
    cleanup_close int fd = open_securityfs(PROFILES, O_RDONLY, NULL);
    if (fd < 0 || read_to_end(fd, PROFILES, PROFILES_MAX, &text, &len, NULL) < 0)
        return false;
    cleanup_free char *start = xasprintf("%s (", profile);
    for (char *save = NULL, *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (str_starts(line, start))
            return true;
    }
    return false;
}

int apparmor_load(const char *disk, uint64_t offset, uint64_t length, struct err *err)
{
    cleanup_free char *path = xasprintf("/dev/%s", disk);
    cleanup_free char *policy = xmalloc(length);
    if (!apparmor_enabled())
        return err_set(err, 0, "the guest's kernel runs without AppArmor");
    cleanup_close int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0 || pread_all(from, policy, length, (off_t)offset) < 0)
        return err_set(err, errno, "can't read an AppArmor policy from %s", path);
    cleanup_close int to = open_securityfs(LOAD, O_WRONLY, err);
    if (to < 0)
        return -1;
    /* A policy is what one write() brings. */
    if (write(to, policy, length) != (ssize_t)length)
        return err_set(err, errno, "the kernel does not take an AppArmor policy");
    return 0;
}
