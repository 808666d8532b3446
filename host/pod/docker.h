/* SPDX-License-Identifier: Apache-2.0 */
/* What the annotations of an image that was made from an OCI or Docker image ask of a pod. */
#ifndef APPC_HOST_POD_DOCKER_H
#define APPC_HOST_POD_DOCKER_H

#include <stdbool.h>

#include "schema/manifest.h"

/* Every conversion, ours (host/oci/convert.c) and those of others, notes the ID of the original. */
bool docker_made(const struct ac_image_manifest *image);

/*
 * The signal that a name or number means, with or without "SIG", in any case: "SIGQUIT", "quit",
 * "3", "RTMIN+3", "SIGRTMAX-1". 0 when there is none such.
 */
int docker_signal(const char *text);

/*
 * The text that says how the app wants to be stopped, borrowed; NULL when nothing does. The app's
 * own annotation counts before the image's (POD-21).
 */
const char *docker_stop_signal(const struct ac_pod_app *app, const struct ac_image_manifest *image);

#endif
