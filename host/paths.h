/* SPDX-License-Identifier: Apache-2.0 */
/* Where things lie: the data directory and the companion programs. */
#ifndef APPC_HOST_PATHS_H
#define APPC_HOST_PATHS_H

struct err;

/*
 * The data directory: `option` if not NULL, else $APPC_VM_DIR, else
 * /var/lib/appc-vm for root and $XDG_DATA_HOME/appc-vm or ~/.local/share/appc-vm for others.
 * The caller frees it. Never fails for root; -1 when there is no home directory.
 */
int paths_data_dir(const char *option, char **ret, struct err *err);

/*
 * A companion program or file, such as "appc-vmm" or "guest/vmlinux": beside this
 * executable, else in ../libexec/appc-vm. The caller frees *ret. -1 when it is not
 * there, with the message that says how to get it.
 */
int paths_companion(const char *name, char **ret, struct err *err);

#endif
