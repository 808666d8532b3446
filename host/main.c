/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm: the table of commands. */
#include <stdio.h>
#include <string.h>

#include "host/cli.h"

static int cmd_version(const struct command *self, int argc, char **argv)
{
    (void)self, (void)argc, (void)argv;
    printf("appc-vm %s (appc 0.8.11)\n", APPC_VM_VERSION);
    return CLI_OK;
}

static const struct command commands[] = {
    {"build", "DIR OUT.aci", "pack an image layout to an archive", cmd_build, NULL},
    {"fetch", "FILE.aci…", "bring images into the store", cmd_fetch, NULL},
    {"image", NULL, "list, check, unpack and remove images", NULL, image_commands},
    {"validate", "FILE…", "check manifests, archives and image layouts", cmd_validate, NULL},
    {"version", "", "print the version", cmd_version, NULL},
    {0},
};

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0)
        return cmd_version(NULL, 0, NULL);
    return cli_dispatch(commands, "appc-vm", argc, argv);
}
