/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm trust: what its sub-commands share. */
#ifndef APPC_HOST_CMD_TRUST_H
#define APPC_HOST_CMD_TRUST_H

#include "fetch/pgp.h"
#include "host/cli.h"
#include "host/network.h"

int cmd_trust_add(const struct command *self, int argc, char **argv);
int cmd_trust_fetch(const struct command *self, int argc, char **argv);

/* The day of a time, "YYYY-MM-DD", UTC. */
void cmd_trust_day(int64_t t, char out[16]);

#endif
