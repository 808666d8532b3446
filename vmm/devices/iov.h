/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of iovecs that point into guest memory, and copying that reads such memory only once. */
#ifndef APPC_VMM_DEVICES_IOV_H
#define APPC_VMM_DEVICES_IOV_H

#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

/* `n` vectors at `v` with `len` bytes in all. Owns nothing; the functions below change the vectors.
 */
struct iovs {
    struct iovec *v;
    unsigned n;
    size_t len;
};

/*
 * memcpy from memory that the guest may be changing: the compiler must not read it again later, as
 * the second reading could differ from the one that was checked.
 */
static inline void guest_copy(void *dst, const void *src, size_t len)
{
    memcpy(dst, src, len);
    __asm__ volatile("" ::: "memory");
}

/* Drops the first `len` bytes (all of them when there are fewer). */
void iovs_drop(struct iovs *s, size_t len);

/* Drops the last `len` bytes (all of them when there are fewer). */
void iovs_drop_end(struct iovs *s, size_t len);

/* Copies up to `len` bytes from the start of *s into dst; returns how many. *s is unchanged. */
size_t iovs_read(const struct iovs *s, void *dst, size_t len);

/* Copies up to `len` bytes of src to the start of *s; returns how many. *s is unchanged. */
size_t iovs_write(const struct iovs *s, const void *src, size_t len);

/* Zeroes the first `len` bytes and drops them. */
void iovs_zero(struct iovs *s, size_t len);

/*
 * For a system call on at most `len` bytes: returns how many of the vectors to pass, of which the
 * last is shortened for the time being. iovs_unlimit() with the same token undoes that.
 */
struct iovs_limit {
    struct iovec *last; /* NULL when nothing was shortened */
    size_t saved;
};
unsigned iovs_limit(const struct iovs *s, size_t len, struct iovs_limit *ret_token);
void iovs_unlimit(const struct iovs_limit *token);

/*
 * Writes vectors for at most `len` bytes of *s from byte `skip` on into dst, which has room for
 * s->n of them; returns their number.
 */
unsigned iovs_slice(const struct iovs *s, size_t skip, size_t len, struct iovec *dst);

#endif
