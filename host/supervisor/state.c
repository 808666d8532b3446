/* SPDX-License-Identifier: Apache-2.0 */
/* state.json: what list and status show, also after a crash of everything. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "host/supervisor/pod.h"

int pod_exit_status(const struct pod *p)
{
    if (p->failed)
        return POD_EXIT_ERROR;
    if (p->stops > 1)
        return 130; /* killed on the user's word */
    if (p->first_failure < 0)
        return 0;
    const struct pod_app *a = &p->apps[p->first_failure];
    return a->exit_status ? a->exit_status : 1;
}

static const char *phase_name(const struct pod *p)
{
    if (p->ended_ms)
        return p->failed || p->stops > 1 ? "aborted" : "exited";
    return p->phase == POD_STARTING ? "starting" : "running";
}

static json_t *app_state(const struct pod_app *a, bool notifies)
{
    json_t *o = json_pack("{s:s, s:s}", "name", a->name, "state",
                          a->state < 0 ? "waiting" : wire_app_state_name((unsigned)a->state));
    if (a->pid)
        json_object_set_new(o, "pid", json_integer(a->pid));
    if (a->state == WIRE_APP_EXITED || a->state == WIRE_APP_FAILED ||
        a->state == WIRE_APP_POST_STOP)
        json_object_set_new(o, "exitStatus", json_integer(a->exit_status));
    if (a->signal)
        json_object_set_new(o, "signal", json_integer(a->signal));
    if (notifies)
        json_object_set_new(o, "ready", json_boolean(a->ready));
    if (a->status[0])
        json_object_set_new(o, "status", wire_text(a->status));
    if (a->error[0])
        json_object_set_new(o, "error", json_string(a->error));
    return o;
}

json_t *state_reports(const struct pod *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->nreports; i++) {
        const struct wire_report *r = &p->reports[i];
        json_t *o = json_pack("{s:o, s:s, s:o}", "isolator", wire_text(r->isolator), "result",
                              wire_isolator_result_name(r->result), "detail", wire_text(r->detail));
        if (r->app[0])
            json_object_set_new(o, "app", json_string(r->app));
        json_array_append_new(list, o);
    }
    return list;
}

void state_print_reports(const struct pod *p)
{
    if (p->plan.report_json) {
        json_t *list = state_reports(p);
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(list);
        return;
    }
    for (size_t i = 0; i < p->nreports; i++) {
        const struct wire_report *r = &p->reports[i];
        struct err clean; /* takes control characters out */
        err_fill(&clean, 0, "%-9s %s %s%s%s", wire_isolator_result_name(r->result),
                 r->app[0] ? r->app : "(pod)", r->isolator, r->detail[0] ? ": " : "", r->detail);
        puts(clean.msg);
    }
}

void state_save(struct pod *p)
{
    json_t *apps = json_array();
    for (size_t i = 0; i < p->plan.config.napps; i++)
        json_array_append_new(apps, app_state(&p->apps[i], p->plan.config.apps[i].notify));
    json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:I, s:o}", "uuid", p->plan.config.uuid, "state",
                          phase_name(p), "pid", (int)getpid(), "accelerator",
                          p->plan.kvm_fd >= 0 ? "kvm" : "tcg", "createdMs",
                          (json_int_t)p->created_ms, "apps", apps);
    if (p->started_ms)
        json_object_set_new(o, "startedMs", json_integer((json_int_t)p->started_ms));
    if (p->ended_ms) {
        json_object_set_new(o, "endedMs", json_integer((json_int_t)p->ended_ms));
        json_object_set_new(o, "exitStatus", json_integer(pod_exit_status(p)));
    }
    if (p->nreports)
        json_object_set_new(o, "isolators", state_reports(p));
    if (p->failed)
        json_object_set_new(o, "error", json_string(p->error.msg));
    cleanup_free char *text = json_dumps(o, JSON_INDENT(2));
    json_decref(o);
    struct err err;
    if (text && write_file_atomic_at(p->plan.pod_dir_fd, "state.json", text, strlen(text), 0600,
                                     false, &err) < 0)
        pod_fail(p, "%s", err.msg);
}
