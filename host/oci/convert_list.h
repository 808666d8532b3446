/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and volumes of a config as appc has them. For convert.c. */
#ifndef APPC_HOST_OCI_CONVERT_LIST_H
#define APPC_HOST_OCI_CONVERT_LIST_H

#include "fetch/oci/document.h"
#include "schema/value.h"

/* Adds a line. */
void convert_warn(struct ac_strings *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ExposedPorts: "80/tcp" becomes the port 80-tcp, "8000-8010/udp" 8000-8010-udp with a count. */
void convert_ports(const struct oci_config *c, struct ac_app *app, struct ac_strings *w);

/* Volumes: "/var/lib/data" becomes the mount point volume-var-lib-data. */
void convert_volumes(const struct oci_config *c, struct ac_app *app, struct ac_strings *w);

#endif
