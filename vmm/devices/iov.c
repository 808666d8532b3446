/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of iovecs: dropping, copying, limiting. */
#include "vmm/devices/iov.h"

#include <stdint.h>

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

void iovs_drop(struct iovs *s, size_t len)
{
    len = min_size(len, s->len);
    s->len -= len;
    while (len) {
        size_t n = min_size(len, s->v->iov_len);
        s->v->iov_base = (uint8_t *)s->v->iov_base + n;
        s->v->iov_len -= n;
        len -= n;
        if (!s->v->iov_len) {
            s->v++;
            s->n--;
        }
    }
}

void iovs_drop_end(struct iovs *s, size_t len)
{
    len = min_size(len, s->len);
    s->len -= len;
    while (len) {
        struct iovec *last = &s->v[s->n - 1];
        size_t n = min_size(len, last->iov_len);
        last->iov_len -= n;
        len -= n;
        if (!last->iov_len)
            s->n--;
    }
}

size_t iovs_read(const struct iovs *s, void *dst, size_t len)
{
    size_t done = 0;
    for (unsigned i = 0; i < s->n && done < len; i++) {
        size_t n = min_size(len - done, s->v[i].iov_len);
        guest_copy((uint8_t *)dst + done, s->v[i].iov_base, n);
        done += n;
    }
    return done;
}

size_t iovs_write(const struct iovs *s, const void *src, size_t len)
{
    size_t done = 0;
    for (unsigned i = 0; i < s->n && done < len; i++) {
        size_t n = min_size(len - done, s->v[i].iov_len);
        memcpy(s->v[i].iov_base, (const uint8_t *)src + done, n);
        done += n;
    }
    return done;
}

void iovs_zero(struct iovs *s, size_t len)
{
    size_t left = min_size(len, s->len);
    for (unsigned i = 0; left; i++) {
        size_t n = min_size(left, s->v[i].iov_len);
        memset(s->v[i].iov_base, 0, n);
        left -= n;
    }
    iovs_drop(s, len);
}

unsigned iovs_limit(const struct iovs *s, size_t len, struct iovs_limit *ret_token)
{
    ret_token->last = NULL;
    if (len >= s->len)
        return s->n;
    unsigned i = 0;
    while (len > s->v[i].iov_len)
        len -= s->v[i++].iov_len;
    ret_token->last = &s->v[i];
    ret_token->saved = s->v[i].iov_len;
    s->v[i].iov_len = len;
    return i + 1;
}

void iovs_unlimit(const struct iovs_limit *token)
{
    if (token->last)
        token->last->iov_len = token->saved;
}

unsigned iovs_slice(const struct iovs *s, size_t skip, size_t len, struct iovec *dst)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n && len; i++) {
        size_t off = min_size(skip, s->v[i].iov_len);
        skip -= off;
        size_t take = min_size(len, s->v[i].iov_len - off);
        if (!take)
            continue;
        dst[n++] = (struct iovec){(uint8_t *)s->v[i].iov_base + off, take};
        len -= take;
    }
    return n;
}
