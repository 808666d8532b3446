/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte buffer that is always NUL-terminated. */
#ifndef APPC_BASE_BUF_H
#define APPC_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

/* Zero-initialise; buf_free() releases it. `data` is NULL while nothing was added. */
struct buf {
    char *data;
    size_t len; /* bytes used, without the terminating NUL */
    size_t cap;
};

/* Aborts the process when memory runs out: no caller could go on. */
void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *s);
void buf_addc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for `len` more bytes and returns where they go; buf_commit() adds them. */
char *buf_reserve(struct buf *b, size_t len);
void buf_commit(struct buf *b, size_t len);

/* Drops the first `len` bytes. */
void buf_consume(struct buf *b, size_t len);

/* Empties the buffer and keeps its memory. */
void buf_reset(struct buf *b);

/* Hands the string to the caller, who frees it ("" when empty); the buffer is empty afterwards. */
char *buf_take(struct buf *b);

/* Releases the memory; the buffer can be used again. */
void buf_free(struct buf *b);

#endif
