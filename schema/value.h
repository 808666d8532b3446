/* SPDX-License-Identifier: Apache-2.0 */
/* The small structures that manifests are made of: add, copy, release. */
#ifndef APPC_SCHEMA_VALUE_H
#define APPC_SCHEMA_VALUE_H

#include "schema/manifest.h"

/* Appends copies of the strings. */
void ac_strings_add(struct ac_strings *s, const char *text);
void ac_pairs_add(struct ac_pairs *p, const char *name, const char *value);

/* Sets the value of the first pair called `name`, or appends one. */
void ac_pairs_set(struct ac_pairs *p, const char *name, const char *value);

/* Deep copies; *dst is overwritten without being released. */
void ac_strings_copy(struct ac_strings *dst, const struct ac_strings *src);
void ac_pairs_copy(struct ac_pairs *dst, const struct ac_pairs *src);
void ac_isolators_copy(struct ac_isolators *dst, const struct ac_isolators *src);
void ac_mount_point_copy(struct ac_mount_point *dst, const struct ac_mount_point *src);
void ac_port_copy(struct ac_port *dst, const struct ac_port *src);
void ac_volume_copy(struct ac_volume *dst, const struct ac_volume *src);

/* Release what the structure holds, not itself, and zero it. */
void ac_strings_done(struct ac_strings *s);
void ac_pairs_done(struct ac_pairs *p);
void ac_isolators_done(struct ac_isolators *l);
void ac_mount_point_done(struct ac_mount_point *m);
void ac_port_done(struct ac_port *p);
void ac_volume_done(struct ac_volume *v);

#endif
