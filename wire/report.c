/* SPDX-License-Identifier: Apache-2.0 */
/* The "report" message: what became of an isolator. */
#include <stdio.h>

#include "base/err.h"
#include "base/str.h"
#include "wire/wire.h"

static const char *const result_names[WIRE_ISOLATOR_RESULTS] = {
    [WIRE_ISOLATOR_ENFORCED] = "enforced",
    [WIRE_ISOLATOR_MODIFIED] = "modified",
    [WIRE_ISOLATOR_IGNORED] = "ignored",
};

const char *wire_isolator_result_name(enum wire_isolator_result r)
{
    return (unsigned)r < WIRE_ISOLATOR_RESULTS ? result_names[r] : "unknown";
}

json_t *wire_report_encode(const struct wire_report *r)
{
    return json_pack("{s:s, s:s?, s:s, s:s, s:o}", "type", "report", "app",
                     r->app[0] ? r->app : NULL, "isolator", r->isolator, "result",
                     wire_isolator_result_name(r->result), "detail", wire_text(r->detail));
}

int wire_report_decode(json_t *msg, struct wire_report *ret, struct err *err)
{
    const char *app = wire_string(msg, "app", WIRE_NAME_MAX);
    const char *isolator = wire_string(msg, "isolator", WIRE_NAME_MAX);
    const char *result = wire_string(msg, "result", 32);
    const char *detail = wire_string(msg, "detail", WIRE_DETAIL_MAX);
    unsigned r = 0;
    while (r < WIRE_ISOLATOR_RESULTS && !str_eq(result, result_names[r]))
        r++;
    if (!isolator || r == WIRE_ISOLATOR_RESULTS)
        return err_set(err, 0, "a report message is malformed");
    *ret = (struct wire_report){.result = r};
    snprintf(ret->app, sizeof(ret->app), "%s", app ? app : "");
    snprintf(ret->isolator, sizeof(ret->isolator), "%s", isolator);
    snprintf(ret->detail, sizeof(ret->detail), "%s", detail ? detail : "");
    return 0;
}
