/* SPDX-License-Identifier: Apache-2.0 */
/* Command-line options as tables: parsing, checking and the help text. */
#ifndef APPC_HOST_OPT_H
#define APPC_HOST_OPT_H

#include <stdbool.h>
#include <stddef.h>

struct err;

enum opt_kind {
    OPT_FLAG,   /* bool */
    OPT_STRING, /* const char *; points into argv */
    OPT_U64,    /* uint64_t, decimal */
    OPT_SIZE,   /* uint64_t, with K, M, G, T */
    OPT_LIST,   /* struct opt_list; can be given several times */
    OPT_CHOICE, /* const char *; one of `choices`, separated by | */
};

/* Values of an OPT_LIST, in order; release with opt_list_done(). They point into argv. */
struct opt_list {
    const char **v;
    size_t n;
};

void opt_list_done(struct opt_list *l);

/* One row; a table ends with {0}. */
struct opt {
    char short_name;  /* 0: none */
    const char *name; /* without the dashes */
    enum opt_kind kind;
    void *value;      /* where the value goes; keeps its default when the option is absent */
    const char *arg;  /* name of the argument in the help; for OPT_CHOICE the choices */
    const char *help; /* one line */
};

/*
 * Parses argv[1..] by the table: --name=value, --name value, -s value, "--" ends the
 * options. Operands are moved to the front: argv[1..*ret_noperands]. With
 * `stop_at_dashes`, what follows "--" is not an operand but starts at
 * argv[*ret_rest] (== argc when there is none). 0; 1 when --help is asked for;
 * -1 with an error that names the option.
 */
int opt_parse(const struct opt *table, int argc, char **argv, bool stop_at_dashes,
              int *ret_noperands, int *ret_rest, struct err *err);

/* Prints the rows of the table for a help text. */
void opt_print_help(const struct opt *table);

#endif
