/* SPDX-License-Identifier: Apache-2.0 */
/* What every sub-command shares: its row in the table, its exit codes, its messages. */
#ifndef APPC_HOST_CLI_H
#define APPC_HOST_CLI_H

#include <stdbool.h>

#include "host/opt.h"

struct err;

#define CLI_OK      0
#define CLI_FAILED  1   /* the command failed; one line on standard error says why */
#define CLI_USAGE   2   /* the command line is wrong */
#define CLI_RUN_ERR 125 /* `run`: appc-vm itself failed, as opposed to an app */

/* One sub-command; `run` gets its own name as argv[0] and returns the exit code. */
struct command {
    const char *name;
    const char *operands; /* as in the usage line */
    const char *summary;  /* one line */
    int (*run)(const struct command *self, int argc, char **argv);
    const struct command *subcommands; /* instead of run; ends with {0} */
};

/* Rows of the table in main.c, each in the file of its name. */
extern const struct command image_commands[];
extern const struct command trust_commands[];
extern const struct command metadata_commands[];
int cmd_build(const struct command *self, int argc, char **argv);
int cmd_check(const struct command *self, int argc, char **argv);
int cmd_discover(const struct command *self, int argc, char **argv);
int cmd_fetch(const struct command *self, int argc, char **argv);
int cmd_list(const struct command *self, int argc, char **argv);
int cmd_logs(const struct command *self, int argc, char **argv);
int cmd_rm(const struct command *self, int argc, char **argv);
int cmd_run(const struct command *self, int argc, char **argv);
int cmd_status(const struct command *self, int argc, char **argv);
int cmd_stop(const struct command *self, int argc, char **argv);
int cmd_supervise(const struct command *self, int argc, char **argv);
int cmd_validate(const struct command *self, int argc, char **argv);

/* Finds and runs a sub-command of the table: the exit code. */
int cli_dispatch(const struct command *table, const char *prefix, int argc, char **argv);

/*
 * opt_parse() with the usual answers: --help prints the usage and the table.
 * Returns -1 to go on, else the exit code to return at once. The number of
 * operands must lie in min..max (max < 0: no limit).
 */
int cli_parse(const struct command *self, const struct opt *table, int argc, char **argv, int min,
              int max, int *ret_noperands);

/* The same for commands whose words behind "--" belong to somebody else. */
int cli_parse_rest(const struct command *self, const struct opt *table, int argc, char **argv,
                   int min, int max, int *ret_noperands, int *ret_rest);

/* Prints "appc-vm: MSG" on standard error and returns `code`. */
int cli_fail(const struct err *err, int code);

/* Prints "appc-vm: warning: …" on standard error. */
void cli_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
