/* SPDX-License-Identifier: Apache-2.0 */
/* The "notify" message: an app's word about itself, by the protocol of sd_notify(). */
#include <stdio.h>

#include "base/err.h"
#include "wire/wire.h"

json_t *wire_notify_encode(const struct wire_notify *n)
{
    return json_pack("{s:s, s:s, s:b, s:o}", "type", "notify", "app", n->app, "ready", n->ready,
                     "status", wire_text(n->status));
}

int wire_notify_decode(json_t *msg, struct wire_notify *ret, struct err *err)
{
    const char *app = wire_string(msg, "app", WIRE_NAME_MAX);
    const char *status = wire_string(msg, "status", WIRE_STATUS_MAX);
    json_t *ready = json_object_get(msg, "ready");
    if (!app || !status || !json_is_boolean(ready))
        return err_set(err, 0, "a notify message is malformed");
    *ret = (struct wire_notify){.ready = json_is_true(ready)};
    snprintf(ret->app, sizeof(ret->app), "%s", app);
    snprintf(ret->status, sizeof(ret->status), "%s", status);
    return 0;
}
