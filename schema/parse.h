/* SPDX-License-Identifier: Apache-2.0 */
/* Inside schema/ only: the parsers of the parts that manifests share. */
#ifndef APPC_SCHEMA_PARSE_H
#define APPC_SCHEMA_PARSE_H

#include "schema/isolator.h"
#include "schema/manifest.h"
#include "schema/reader.h"

/*
 * All return 0, or -1 with the fault; what was filled in up to there is left
 * for the destructor of the structure. Their structures start zeroed.
 */

/* acKind, which has to be `kind`, and acVersion (optional in a template). */
int parse_header(const struct node *root, const char *kind, char **ret_version);

/* Members that have to be there, of the type AC Identifier, AC Name, or absolute path. */
int parse_identifier(const struct node *obj, const char *name, char **ret);
int parse_ac_name(const struct node *obj, const char *name, char **ret);
int parse_absolute_path(const struct node *obj, const char *name, char **ret);

/* An image ID that may be missing; *ret in canonical form. */
int parse_opt_image_id(const struct node *obj, const char *name, char **ret);

/* Elements for node_each(): a string into a struct ac_strings; name and value into ac_pairs. */
int parse_string_item(const struct node *item, void *strings);
int parse_pair_member(const struct node *item, void *pairs);

/* Optional lists. Names are unique; labels, annotations and variables have their own rules. */
int parse_strings(const struct node *obj, const char *name, struct ac_strings *ret);
int parse_labels(const struct node *obj, struct ac_pairs *ret);
int parse_annotations(const struct node *obj, struct ac_pairs *ret);
int parse_environment(const struct node *obj, struct ac_pairs *ret);
int parse_isolators(const struct node *obj, struct ac_isolators *ret);

/* The objects userAnnotations and userLabels. */
int parse_user_data(const struct node *obj, struct ac_pairs *annotations, struct ac_pairs *labels);

/* Faults when two elements of the parsed list have the same name. */
int check_unique(const struct node *obj, const char *list_name, const void *list, size_t n,
                 size_t size);

/* Objects. */
int parse_mount_point(const struct node *obj, struct ac_mount_point *ret);
int parse_port(const struct node *obj, struct ac_port *ret);
int parse_volume(const struct node *obj, struct ac_volume *ret);
int parse_app(const struct node *obj, struct ac_app *ret);

/* In isolator.c: the value of an isolator, and whether one more of its kind may be there. */
int isolator_decode_node(const struct node *value, enum ac_isolator_kind kind,
                         struct ac_isolator_view *ret);
int isolator_check_place(const struct node *item, enum ac_isolator_kind kind,
                         const bool seen[AC_ISOLATOR_KINDS]);

/* In check_pod.c: what the members of a pod manifest demand of each other. */
int check_pod(const struct node *root, const struct ac_pod_manifest *m);

#endif
