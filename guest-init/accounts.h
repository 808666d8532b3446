/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups as the image's own passwd and group files know them. */
#ifndef APPC_GUEST_ACCOUNTS_H
#define APPC_GUEST_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Largest /etc/passwd or /etc/group that is read. */
#define ACCOUNTS_FILE_MAX (4u << 20)

/* Largest number that is an ID: the last one means "leave unchanged" to the kernel. */
#define ACCOUNTS_ID_MAX (UINT32_MAX - 1)

/* One line of a passwd file. The strings point into the file's text and have no NUL. */
struct passwd_entry {
    const char *name, *home, *shell;
    size_t name_len, home_len, shell_len;
    uint32_t uid, gid;
};

/*
 * Finds the first valid line of the user called `name`, or, when it is NULL, of
 * the user with number `uid`. A line that has fewer than seven fields or whose
 * numbers are none is no valid line. True with *ret.
 */
bool passwd_find(const char *text, size_t len, const char *name, uint32_t uid,
                 struct passwd_entry *ret);

/* Finds the number of the group called `name` in the text of a group file. */
bool group_find(const char *text, size_t len, const char *name, uint32_t *ret_gid);

/* As whom an app's processes run. */
struct identity {
    uint32_t uid, gid;
    char *name;  /* NULL: the image has no name for this user */
    char *home;  /* NULL: unknown */
    char *shell; /* NULL: unknown */
};

/* Releases the strings. */
void identity_done(struct identity *id);

/*
 * Resolves `user` and `group` as spec/aci.md says (APP-08 to APP-11): names in
 * the root's own /etc/passwd and /etc/group, then numbers, then the owner of
 * a path inside the root, whose links stay inside it. Every part that can't be
 * resolved is an error. Free with identity_done().
 */
int identity_resolve(int rootfd, const char *user, const char *group, struct identity *ret,
                     struct err *err);

#endif
