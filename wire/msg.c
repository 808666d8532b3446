/* SPDX-License-Identifier: Apache-2.0 */
/* The small messages of the control and stdio streams. */
#include "wire/wire.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

static const char *const state_names[WIRE_APP_STATES] = {
    [WIRE_APP_PRE_START] = "pre-start", [WIRE_APP_RUNNING] = "running",
    [WIRE_APP_POST_STOP] = "post-stop", [WIRE_APP_EXITED] = "exited",
    [WIRE_APP_FAILED] = "failed",
};

const char *wire_app_state_name(enum wire_app_state s)
{
    return (unsigned)s < WIRE_APP_STATES ? state_names[s] : "unknown";
}

const char *wire_string(json_t *msg, const char *key, size_t max)
{
    json_t *v = json_object_get(msg, key);
    if (!json_is_string(v) || json_string_length(v) > max ||
        strlen(json_string_value(v)) != json_string_length(v))
        return NULL;
    return json_string_value(v);
}

char *wire_share_name(const char *app, const char *volume)
{
    return app ? xasprintf("app.%s.%s", app, volume) : xasprintf("pod.%s", volume);
}

const char *wire_type(json_t *msg)
{
    return json_is_object(msg) ? wire_string(msg, "type", 32) : NULL;
}

json_t *wire_text(const char *s)
{
    json_t *v = json_string(s);
    if (v)
        return v;
    char ascii[512];
    size_t n = 0;
    for (; *s && n < sizeof(ascii) - 1; s++)
        ascii[n++] = (unsigned char)*s < 0x80 ? *s : '?';
    ascii[n] = '\0';
    return json_string(ascii);
}

json_t *wire_hello(const char *init_version, const char *kernel_release)
{
    return json_pack("{s:s, s:i, s:s, s:s}", "type", "hello", "version", WIRE_VERSION, "init",
                     init_version, "kernel", kernel_release);
}

json_t *wire_stop(uint32_t grace_ms)
{
    return json_pack("{s:s, s:I}", "type", "stop", "graceMs", (json_int_t)grace_ms);
}

json_t *wire_signal(const char *app, int signo)
{
    return json_pack("{s:s, s:s?, s:i}", "type", "signal", "app", app, "signal", signo);
}

json_t *wire_log(const char *level, const char *app, const char *text)
{
    return json_pack("{s:s, s:s, s:s?, s:o}", "type", "log", "level", level, "app", app, "text",
                     wire_text(text));
}

json_t *wire_fatal(const char *text)
{
    return json_pack("{s:s, s:o}", "type", "fatal", "text", wire_text(text));
}

json_t *wire_end(void)
{
    return json_pack("{s:s}", "type", "end");
}

json_t *wire_stdio_header(const char *app, const char *stream)
{
    return json_pack("{s:s, s:s, s:s}", "type", "stdio", "app", app, "stream", stream);
}

json_t *wire_app_event_encode(const struct wire_app_event *e)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:i, s:i, s:o}", "type", "app", "name", e->name, "state",
                     wire_app_state_name(e->state), "pid", (json_int_t)e->pid, "exitStatus",
                     e->exit_status, "signal", e->signal, "error", wire_text(e->error));
}

static int int_member(json_t *msg, const char *key, json_int_t max, json_int_t *ret)
{
    json_t *v = json_object_get(msg, key);
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
        return -1;
    *ret = json_integer_value(v);
    return 0;
}

int wire_app_event_decode(json_t *msg, struct wire_app_event *ret, struct err *err)
{
    const char *name = wire_string(msg, "name", WIRE_NAME_MAX);
    const char *state = wire_string(msg, "state", 32);
    const char *error = wire_string(msg, "error", sizeof(ret->error) - 1);
    json_int_t pid, status, signal;
    unsigned s = 0;
    while (s < WIRE_APP_STATES && !str_eq(state, state_names[s]))
        s++;
    if (!name || s == WIRE_APP_STATES || int_member(msg, "pid", UINT32_MAX, &pid) < 0 ||
        int_member(msg, "exitStatus", 255, &status) < 0 ||
        int_member(msg, "signal", 64, &signal) < 0)
        return err_set(err, 0, "an app message is malformed");
    *ret = (struct wire_app_event){
        .state = s, .pid = (uint32_t)pid, .exit_status = (int)status, .signal = (int)signal};
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    snprintf(ret->error, sizeof(ret->error), "%s", error ? error : "");
    return 0;
}
