/* SPDX-License-Identifier: Apache-2.0 */
/* What every sub-command shares: dispatch, usage, messages. */
#include "host/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

int cli_fail(const struct err *err, int code)
{
    fprintf(stderr, "appc-vm: %s\n", err->msg);
    return code;
}

/* The words up to the sub-command that runs, such as "appc-vm image", for usage texts. */
static char invoked_as[64] = "appc-vm";

void cli_warn(const char *fmt, ...)
{
    struct err e;
    char msg[ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof(msg), fmt, ap);
    va_end(ap);
    err_fill(&e, 0, "%s", msg); /* takes control characters out */
    fprintf(stderr, "appc-vm: warning: %s\n", e.msg);
}

static void print_commands(const struct command *table, const char *prefix)
{
    printf("usage: %s COMMAND [OPTION…] [OPERAND…]\n\ncommands:\n", prefix);
    for (const struct command *c = table; c->name; c++)
        if (c->summary)
            printf("  %-14s %s\n", c->name, c->summary);
    printf("\n\"%s COMMAND --help\" describes a command.\n", prefix);
}

int cli_dispatch(const struct command *table, const char *prefix, int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_commands(table, prefix);
        return argc > 1 ? CLI_OK : CLI_USAGE;
    }
    for (const struct command *c = table; c->name; c++) {
        if (strcmp(c->name, name) != 0)
            continue;
        if (!c->subcommands) {
            snprintf(invoked_as, sizeof(invoked_as), "%s", prefix);
            return c->run(c, argc - 1, argv + 1);
        }
        char longer[64];
        snprintf(longer, sizeof(longer), "%s %s", prefix, name);
        return cli_dispatch(c->subcommands, longer, argc - 1, argv + 1);
    }
    struct err err;
    err_fill(&err, 0, "unknown command \"%s\"; see \"%s --help\"", name, prefix);
    return cli_fail(&err, CLI_USAGE);
}

static int check_operands(const struct command *self, int n, int min, int max)
{
    struct err err;
    if (n >= min && (max < 0 || n <= max))
        return -1;
    if (n < min)
        err_fill(&err, 0, "%s needs %s; see \"%s %s --help\"", self->name, self->operands,
                 invoked_as, self->name);
    else
        err_fill(&err, 0, "%s takes at most %d operand%s; see \"%s %s --help\"", self->name, max,
                 max == 1 ? "" : "s", invoked_as, self->name);
    return cli_fail(&err, CLI_USAGE);
}

int cli_parse_rest(const struct command *self, const struct opt *table, int argc, char **argv,
                   int min, int max, int *ret_noperands, int *ret_rest)
{
    struct err err;
    int r = opt_parse(table, argc, argv, ret_rest != NULL, ret_noperands, ret_rest, &err);
    if (r < 0)
        return cli_fail(&err, CLI_USAGE);
    if (r == 1) {
        printf("usage: %s %s [OPTION…] %s\n%s\n", invoked_as, self->name, self->operands,
               self->summary);
        if (table->name)
            printf("\noptions:\n");
        opt_print_help(table);
        return CLI_OK;
    }
    return check_operands(self, *ret_noperands, min, max);
}

int cli_parse(const struct command *self, const struct opt *table, int argc, char **argv, int min,
              int max, int *ret_noperands)
{
    return cli_parse_rest(self, table, argc, argv, min, max, ret_noperands, NULL);
}
