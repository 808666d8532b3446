/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: a little-endian u32 length and one JSON object. */
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"

int wire_frame_add(struct buf *out, json_t *msg, size_t max, struct err *err)
{
    cleanup_free char *text = json_dumps(msg, JSON_COMPACT);
    if (!text)
        return err_set(err, 0, "a %s message can't be written as JSON", wire_type(msg));
    size_t len = strlen(text);
    if (len > max)
        return err_set(err, 0, "a %s message of %zu bytes is over the limit of %zu", wire_type(msg),
                       len, max);
    unsigned char head[4] = {(unsigned char)len, (unsigned char)(len >> 8),
                             (unsigned char)(len >> 16), (unsigned char)(len >> 24)};
    buf_add(out, head, sizeof(head));
    buf_add(out, text, len);
    return 0;
}

int wire_frame_take(struct buf *in, size_t max, json_t **ret_msg, struct err *err)
{
    if (in->len < 4)
        return 0;
    const unsigned char *h = (const unsigned char *)in->data;
    uint32_t len = h[0] | (uint32_t)h[1] << 8 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 24;
    if (len > max)
        return err_set(err, 0, "a frame of %u bytes is over the limit of %zu", len, max);
    if (in->len - 4 < len)
        return 0;
    json_error_t jerr;
    json_t *msg = json_loadb(in->data + 4, len, JSON_ALLOW_NUL, &jerr);
    if (!msg)
        return err_set(err, 0, "a frame is not JSON: %s", jerr.text);
    if (!wire_type(msg)) {
        json_decref(msg);
        return err_set(err, 0, "a frame is not an object with a type");
    }
    buf_consume(in, 4 + (size_t)len);
    *ret_msg = msg;
    return 1;
}
