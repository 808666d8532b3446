/* SPDX-License-Identifier: Apache-2.0 */
/* What the sub-commands of `appc-vm image` share. */
#ifndef APPC_HOST_CMD_IMAGE_H
#define APPC_HOST_CMD_IMAGE_H

#include "host/cli.h"
#include "host/image/store.h"

int cmd_image_cat_manifest(const struct command *self, int argc, char **argv);
int cmd_image_export(const struct command *self, int argc, char **argv);
int cmd_image_extract(const struct command *self, int argc, char **argv);
int cmd_image_gc(const struct command *self, int argc, char **argv);
int cmd_image_list(const struct command *self, int argc, char **argv);
int cmd_image_render(const struct command *self, int argc, char **argv);
int cmd_image_rm(const struct command *self, int argc, char **argv);
int cmd_image_verify(const struct command *self, int argc, char **argv);

/* The row of the --dir option. */
#define OPT_DIR(variable)                                                                          \
    {                                                                                              \
        0, "dir", OPT_STRING, &(variable), "DIR", "data directory"                                 \
    }

/* Opens the store of --dir (NULL: the default); the caller closes it. */
int cmd_image_store(const char *dir_option, enum store_access access, struct store **ret,
                    struct err *err);

/* Opens the store and finds the image of a reference. */
int cmd_image_find(const char *dir_option, const char *ref, struct store **ret_store,
                   struct aci_id *ret, struct err *err);

/* "12.3M"; for people. */
void cmd_image_format_size(uint64_t bytes, char *out, size_t size);

/* RFC 3339 in UTC, or to the minute for people. */
void cmd_image_format_time(int64_t t, bool rfc3339, char *out, size_t size);

#endif
