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
    {"check", "", "what this host offers, and whether pods can run", cmd_check, NULL},
    {"discover", "NAME", "show where an image of this name is looked for", cmd_discover, NULL},
    {"fetch", "NAME | URL | FILE.aci | docker://…", "bring images into the store", cmd_fetch, NULL},
    {"image", NULL, "list, check, unpack and remove images", NULL, image_commands},
    {"list", "", "list the pods", cmd_list, NULL},
    {"logs", "POD", "print what the apps of a pod wrote", cmd_logs, NULL},
    {"metadata", "COMMAND", "check signatures of the metadata service", NULL, metadata_commands},
    {"rm", "POD…", "remove pods that have ended", cmd_rm, NULL},
    {"run", "POD.json | IMAGE… [-- ARGUMENT…]", "run a pod", cmd_run, NULL},
    {"status", "POD", "show the state of a pod and its apps", cmd_status, NULL},
    {"stop", "POD…", "stop pods in order", cmd_stop, NULL},
    {"trust", NULL, "the keys whose signatures are accepted", NULL, trust_commands},
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
