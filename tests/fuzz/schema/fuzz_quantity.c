/* SPDX-License-Identifier: Apache-2.0 */
/* Quantities, compared with floating point where that is good enough to tell. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "schema/quantity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The factor of a suffix, 0 for an exponent. */
static double factor(const char *suffix)
{
    static const char metric[] = "kMGTPE", small[] = "num";
    const char *hit;
    if (!*suffix)
        return 1;
    if (*suffix == 'K')
        return suffix[1] ? 1024 : 1000;
    if (!suffix[1] && (hit = strchr(small, *suffix)))
        return pow(1000, (double)(hit - small) - 3);
    if ((!suffix[1] || suffix[1] == 'i') && (hit = strchr(metric, *suffix)))
        return pow(suffix[1] ? 1024 : 1000, (double)(hit - metric) + 1);
    return 0;
}

static void check_value(const char *text, int64_t value, enum ac_scale scale)
{
    char *end;
    size_t digits = strspn(text, "+-0123456789.");
    double f = factor(text + digits);
    double expected = strtod(text, &end) * f * (scale == AC_SCALE_MILLI ? 1000 : 1);
    if (f == 0)
        return;
    if (fabs(expected - (double)value) > 1 + expected * 1e-9)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum ac_scale scales[] = {AC_SCALE_UNIT, AC_SCALE_MILLI};
    char *text = strndup((const char *)data, size);
    for (int i = 0; i < 2; i++) {
        int64_t v = -1;
        const char *why = NULL;
        int result = ac_quantity_parse(text, scales[i], &v, &why);
        if (result < 0 && (v != -1 || !why))
            abort();
        if (result == 0 && v < 0)
            abort();
        if (result == 0)
            check_value(text, v, scales[i]);
    }
    free(text);
    return 0;
}
