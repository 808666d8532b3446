/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation that ends the process when memory runs out. Sizes that come from
 * hostile input are bounded before they get here.
 */
#ifndef APPC_BASE_MEM_H
#define APPC_BASE_MEM_H

#include <stddef.h>

/* One line on standard error, then abort(). */
_Noreturn void die_oom(void);

/* As their namesakes; never return NULL. The caller frees. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc(void *p, size_t size);
void *xreallocarray(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t n);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Makes room for one more element in a growing array: *p of *cap elements of
 * `size` bytes, `n` of them used. Doubles the capacity when it is full.
 */
void array_grow(void *p, size_t n, size_t *cap, size_t size);

#endif
