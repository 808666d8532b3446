/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the time that a build gives to all files. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"
#include "host/image/build.h"
#include "schema/types.h"

#define SECONDS_MAX ((uint64_t)1 << 40) /* some 34,000 years: no arithmetic overflows */

/* "Z" or "+hh:mm" at the end of a valid date-time: seconds east of Greenwich. */
static int64_t offset(const char *text)
{
    size_t len = strlen(text);
    int h = 0, m = 0;
    /* NOLINTNEXTLINE(cert-err34-c): two digits fit */
    if (text[len - 1] == 'Z' || sscanf(text + len - 5, "%2d:%2d", &h, &m) != 2)
        return 0;
    return (text[len - 6] == '-' ? -1 : 1) * (h * 3600 + m * 60);
}

int build_parse_time(const char *text, int64_t *ret)
{
    uint64_t v;
    bool negative = *text == '-';
    if (parse_u64(text + negative, SECONDS_MAX, &v) == 0) {
        *ret = negative ? -(int64_t)v : (int64_t)v;
        return 0;
    }
    struct tm t = {0};
    /* NOLINTNEXTLINE(cert-err34-c): a valid date's digits fit */
    if (!ac_date_valid(text) || sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &t.tm_year, &t.tm_mon,
                                       &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
        return -1;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *ret = (int64_t)timegm(&t) - offset(text);
    return 0;
}
