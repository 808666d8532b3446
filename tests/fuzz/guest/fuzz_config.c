/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as init takes it: message, manifest, volumes, environment, exec look-up. */
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/environ.h"
#include "guest-init/exec.h"
#include "guest-init/volumes.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void one_app(const struct ac_pod_manifest *m, const struct ac_pod_app *app)
{
    struct err err = {0};
    struct identity nobody = {0};
    cleanup_with(volume_plan_done) struct volume_plan plan = {0};
    if (volume_plan_make(m, app, &plan, &err) < 0 && err.msg[0] == '\0')
        abort();
    char **env = env_build(&app->app, app->name, NULL, &nobody);
    if (!env_get(env, "AC_APP_NAME") || !env_get(env, "PATH"))
        abort();
    if (app->app.exec.n)
        exec_candidates_free(exec_candidates(app->app.exec.v[0], env_get(env, "PATH")));
    env_free(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_error_t jerr;
    struct err err;
    struct ac_fault fault;
    cleanup_with(wire_config_done) struct wire_config config = {0};
    json_t *msg = json_loadb((const char *)data, size, JSON_ALLOW_NUL, &jerr);
    if (msg && wire_config_decode(msg, &config, &err) == 0) {
        struct ac_pod_manifest *m = NULL;
        if (ac_pod_manifest_from_json(config.manifest, false, &m, &fault) == 0) {
            for (size_t i = 0; i < m->napps; i++)
                one_app(m, &m->apps[i]);
        }
        ac_pod_manifest_free(m);
    }
    json_decref(msg);
    return 0;
}
