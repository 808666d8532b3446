/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps a library from writing to standard error.
 *
 * librnp as distributions build it prints every doubt about a key or a signature with
 * fprintf(stderr) and has no switch. What matters of it is in our own errors.
 */
#ifndef APPC_FETCH_QUIET_H
#define APPC_FETCH_QUIET_H

/*
 * Puts a stream in the place of `stderr` that behaves like it, except that what a thread prints
 * between quiet_begin() and quiet_end() is dropped. Once, before any thread.
 */
void quiet_install(void);

/* Nest. For the calling thread alone. */
void quiet_begin(void);
void quiet_end(void);

#endif
