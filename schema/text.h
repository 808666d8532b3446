/* SPDX-License-Identifier: Apache-2.0 */
/* The text forms of the command line: volumes, mount points, ports, image names. */
#ifndef APPC_SCHEMA_TEXT_H
#define APPC_SCHEMA_TEXT_H

#include "schema/manifest.h"

/*
 * All parsers return 0 with *ret, or -1 with the fault and *ret untouched. The
 * fault's path is the part at fault ("kind"; "" for the text as a whole), its
 * column is where that part starts in the text, its line 0. Parts are
 * separated by commas, each but the first is KEY=VALUE; values are literal and
 * can't hold a comma. Unknown and repeated keys are faults. Booleans are
 * 1 t T TRUE true True 0 f F FALSE false False. The checks are those of the
 * manifests.
 */

/*
 * NAME,kind=K[,source=P][,readOnly=B][,recursive=B][,mode=M][,uid=N][,gid=N].
 * ac_volume_done() releases.
 */
int ac_volume_parse_text(const char *text, struct ac_volume *ret, struct ac_fault *fault);

/* NAME,path=P[,readOnly=B]. ac_mount_point_done() releases. */
int ac_mount_point_parse_text(const char *text, struct ac_mount_point *ret, struct ac_fault *fault);

/* NAME,protocol=P,port=N[,count=N][,socketActivated=B]. ac_port_done() releases. */
int ac_port_parse_text(const char *text, struct ac_port *ret, struct ac_fault *fault);

/* An image asked for by name; a version is the label "version". */
struct ac_image_name {
    char *name;
    struct ac_pairs labels; /* in the order of the text, names unique */
};

/*
 * NAME[:VERSION][,LABEL=VALUE]... (DISC-30). The one colon stands directly
 * behind the name; an empty version is allowed. URLs and file paths have to be
 * told apart before: "localhost:8080/a" is name localhost, version 8080/a.
 */
int ac_image_name_parse(const char *text, struct ac_image_name *ret, struct ac_fault *fault);

/* The text that parses to the same name and labels, the version behind a colon; the caller frees.
 */
char *ac_image_name_format(const struct ac_image_name *n);

void ac_image_name_done(struct ac_image_name *n);

#endif
