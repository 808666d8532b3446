/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a pod manifest is ready to run (spec/pods.md: "fully resolved (reified)"). */
#ifndef APPC_SCHEMA_REIFIED_H
#define APPC_SCHEMA_REIFIED_H

#include "schema/manifest.h"

/*
 * Checks a manifest after the host has completed it: there is an app, every
 * app has an image ID and an app object with something to execute, every mount
 * point a mount, every mount a volume, every pod port exactly one port, and no
 * host port is taken twice. 0, or -1 with the fault (NULL allowed), which has
 * a path but no position.
 */
int ac_pod_manifest_check_reified(const struct ac_pod_manifest *m, struct ac_fault *fault);

#endif
