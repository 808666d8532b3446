/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of an app's processes: spec/ace.md, "Execution Environment". */
#include "guest-init/environ.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"

#define EXTRA_MAX 8 /* variables beside the app's own, and the NULL */

static const char *const reserved[] = {"AC_APP_NAME", "AC_METADATA_URL", "container"};

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        if (str_eq(name, reserved[i]))
            return true;
    }
    return false;
}

const char *env_get(char *const *env, const char *name)
{
    size_t n = strlen(name);
    for (; *env; env++) {
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
            return *env + n + 1;
    }
    return NULL;
}

void env_free(char **env)
{
    for (char **e = env; e && *e; e++)
        free(*e);
    free(env);
}

char **env_set(char **env, const char *name, const char *value)
{
    size_t n = 0, len = strlen(name);
    for (char **e = env; *e; e++) {
        if (strncmp(*e, name, len) == 0 && (*e)[len] == '=')
            free(*e);
        else
            env[n++] = *e;
    }
    env = xreallocarray(env, n + 2, sizeof(*env));
    env[n] = xasprintf("%s=%s", name, value);
    env[n + 1] = NULL;
    return env;
}

static void put(char **env, size_t *n, const char *name, const char *value)
{
    if (value && !env_get(env, name))
        env[(*n)++] = xasprintf("%s=%s", name, value);
}

char **env_build(const struct ac_app *app, const char *app_name, const char *metadata_url,
                 const struct identity *id)
{
    char **env = xcalloc(app->environment.n + EXTRA_MAX + 1, sizeof(*env));
    size_t n = 0;
    put(env, &n, "AC_APP_NAME", app_name);
    put(env, &n, "AC_METADATA_URL", metadata_url);
    put(env, &n, "container", ENV_CONTAINER);
    for (size_t i = 0; i < app->environment.n; i++) {
        const struct ac_pair *p = &app->environment.v[i];
        if (!is_reserved(p->name))
            put(env, &n, p->name, p->value ? p->value : "");
    }
    put(env, &n, "PATH", ENV_DEFAULT_PATH);
    put(env, &n, "HOME", id->home);
    put(env, &n, "USER", id->name);
    put(env, &n, "LOGNAME", id->name);
    put(env, &n, "SHELL", id->shell);
    return env;
}
