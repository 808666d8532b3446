/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzz target: a page, and what discovery makes of it. */
#include <stdint.h>
#include <stdlib.h>

#include "fetch/discover.h"
#include "fetch/url.h"
#include "schema/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ac_pairs labels = {0};
    struct discover d = {0};
    unsigned found;
    char *outcome;
    ac_pairs_add(&labels, "os", "linux");
    ac_pairs_add(&labels, "version", "1.0.0");
    discover_page((const char *)data, size, "example.com/a", &labels, size & 1, &d,
                  DISCOVER_IMAGES | DISCOVER_KEYS, &found, &outcome);
    for (size_t i = 0; i < d.nendpoints; i++) {
        struct url u;
        if (d.endpoints[i].problem)
            continue;
        if (url_parse(d.endpoints[i].image, &u, NULL) < 0) /* it was called usable */
            abort();
        url_done(&u);
    }
    free(outcome);
    discover_done(&d);
    ac_pairs_done(&labels);
    return 0;
}
