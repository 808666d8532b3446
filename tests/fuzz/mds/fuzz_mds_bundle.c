/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the bundle parser: whatever it accepts is complete and can be routed to. */
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "mds/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err;
    cleanup_with(bundle_done) struct bundle b = {0};
    if (bundle_decode((const char *)data, len, &b, &err) < 0)
        return 0;
    for (size_t i = 0; i < b.napps; i++)
        if (!b.apps[i].image_id.data || !b.apps[i].image_manifest.data ||
            !b.apps[i].annotations.data)
            abort();
    if (!b.pod_manifest.data || !b.pod_annotations.data || b.token_len < BUNDLE_TOKEN_MIN)
        abort();
    return 0;
}
