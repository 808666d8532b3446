/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: header lines, and the record of a URL. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/header.h"
#include "fetch/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct headers h = {0};
    struct record r = {0};
    const char *p = (const char *)data, *end = p + size;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl ? nl + 1 : end;
        headers_note(&h, p, (size_t)(stop - p), 1000000000);
        p = stop;
    }
    if (h.max_age > HEADER_AGE_MAX || h.retry_after > HEADER_AGE_MAX ||
        (h.has_range && h.range_total && h.range_first >= h.range_total))
        abort();
    const char *v = headers_range_validator(&h);
    if (v && strpbrk(v, "\r\n"))
        abort(); /* it goes into a request */
    headers_done(&h);
    if (record_parse((const char *)data, size, "u", &r) && r.etag && strpbrk(r.etag, "\r\n"))
        abort();
    record_done(&r);
    return 0;
}
