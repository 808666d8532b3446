/* SPDX-License-Identifier: Apache-2.0 */
/* The groups of a user, from the passwd and group files of an image that is being converted. */
#ifndef APPC_HOST_OCI_ACCOUNTS_H
#define APPC_HOST_OCI_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACCOUNTS_FILE_MAX   (1u << 20) /* longer files are taken for empty */
#define ACCOUNTS_GROUPS_MAX 1024

/* passwd(5): the first line of the user called `user`, or with that number. false: there is none.
 */
bool accounts_find_user(const char *text, size_t len, const char *user, char **ret_name,
                        uint32_t *ret_gid);

/* group(5): the numbers of all groups that list `name`, in the file's order; the caller frees. */
uint32_t *accounts_groups_of(const char *text, size_t len, const char *name, size_t *ret_n);

#endif
