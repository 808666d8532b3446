/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration directories: where keys and credentials lie. */
#ifndef APPC_FETCH_CONFIG_H
#define APPC_FETCH_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

#define CONFIG_SYSTEM "/usr/lib/appc-vm" /* what packages bring */
#define CONFIG_LOCAL  "/etc/appc-vm"     /* what this machine's owner decides */

/* The directories, strongest first. Zero-initialise; config_dirs_done() releases it. */
struct config_dirs {
    char *v[3];
    size_t n; /* v[0] is the one that commands write to */
};

/*
 * `option` when given, else $APPC_VM_CONFIG, is the strongest directory; else it is
 * $XDG_CONFIG_HOME/appc-vm or ~/.config/appc-vm, for root CONFIG_LOCAL. Behind it come CONFIG_LOCAL
 * and CONFIG_SYSTEM. Looks at no file.
 */
void config_dirs_find(const char *option, struct config_dirs *ret);

/* Exactly these directories, strongest first (n <= 3). */
void config_dirs_set(struct config_dirs *ret, const char *const *v, size_t n);

void config_dirs_done(struct config_dirs *d);

/* The names in a directory that do not begin with a dot, sorted; n == 0 when it does not exist. */
struct config_names {
    char **v;
    size_t n;
};

#define CONFIG_NAMES_MAX 4096

int config_list(const char *dir, struct config_names *ret, struct err *err);
void config_names_done(struct config_names *n);

/*
 * Reads a file that decides about trust. It has to belong to this user or root; nobody else may
 * write to it, nor, with `secret`, read it. 0 with *ret_data (the caller frees), or -1 with the
 * command that mends it. *ret_len may be 0.
 */
int config_read(const char *path, size_t max, bool secret, char **ret_data, size_t *ret_len,
                struct err *err);

#endif
