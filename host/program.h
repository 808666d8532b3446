/* SPDX-License-Identifier: Apache-2.0 */
/* Running a helper program and waiting for it. */
#ifndef APPC_HOST_PROGRAM_H
#define APPC_HOST_PROGRAM_H

struct err;

/*
 * Finds a program in $PATH and in the system's sbin folders, which are not in
 * everybody's $PATH; the caller frees. NULL when it is not there.
 */
char *program_find(const char *name);

/* Runs it with argv (argv[0] is free), output to nowhere; -1 with the last line of its standard
 * error. */
int program_run(const char *name, const char *const argv[], struct err *err);

#endif
