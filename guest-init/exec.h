/* SPDX-License-Identifier: Apache-2.0 */
/* Finding and executing a program, and saying why that failed. */
#ifndef APPC_GUEST_EXEC_H
#define APPC_GUEST_EXEC_H

#include <stdbool.h>
#include <stddef.h>

struct err;

/*
 * The paths at which a program called `file` is sought, in order: itself when
 * it has a slash; else in the folders of `path`, where an empty one is the
 * current directory; without a PATH (NULL) in the current directory and
 * those of confstr(_CS_PATH) (APP-02 to APP-04). NULL-terminated; free with
 * exec_candidates_free(). An empty name has no candidate.
 */
char **exec_candidates(const char *file, const char *path);
void exec_candidates_free(char **list);

/*
 * Executes argv[0] from its candidates as execvp() does, and returns -1 with
 * the reason in *err when none can be. `explain` says whether the calls that
 * look closer (open, read) may be made: a seccomp filter could forbid them.
 */
int exec_program(char *const *argv, char *const *env, bool explain, struct err *err);

/*
 * Says as exactly as the file system tells why execve(path) failed with
 * `errnum`: no such file, a missing interpreter of a script or an ELF file, no
 * permission, a foreign format.
 */
void exec_explain(const char *path, int errnum, struct err *err);

#endif
