/* SPDX-License-Identifier: Apache-2.0 */
/* The environment of an app's processes: spec/ace.md, "Execution Environment". */
#ifndef APPC_GUEST_ENVIRON_H
#define APPC_GUEST_ENVIRON_H

#include "guest-init/accounts.h"
#include "schema/manifest.h"

#define ENV_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ENV_CONTAINER    "appc-vm"

/*
 * Makes the environment, NULL-terminated; free with env_free(). Precedence:
 * AC_APP_NAME, AC_METADATA_URL and container are the executor's whatever the image says (without a
 * metadata service the URL is absent); then the app's own entries, byte for
 * byte; then defaults for PATH and, as far as the image's passwd file
 * knows them, HOME, USER, LOGNAME and SHELL.
 */
char **env_build(const struct ac_app *app, const char *app_name, const char *metadata_url,
                 const struct identity *id);

/* The value of `name`, NULL when it is not set. */
const char *env_get(char *const *env, const char *name);

/* Sets a variable in place of what the list says about it; takes over and returns the list. */
char **env_set(char **env, const char *name, const char *value);

/* NULL is allowed. */
void env_free(char **env);

#endif
