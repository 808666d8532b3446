/* SPDX-License-Identifier: Apache-2.0 */
/* Environment, identity and working directory of any process of an app. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "validator.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v ? v : "(unset)";
}

static void check_cwd(const char *id, const char *want)
{
    char cwd[4096];
    check(getcwd(cwd, sizeof(cwd)) && strcmp(cwd, want) == 0, id, "the working directory is %s",
          cwd);
}

void check_environment(const char *app_name)
{
    const char *url = env("AC_METADATA_URL");
    check(strcmp(env("PATH"), DEFAULT_PATH) == 0, "ENV-01", "PATH is %s", env("PATH"));
    check(strcmp(env("AC_APP_NAME"), app_name) == 0, "ENV-02", "AC_APP_NAME is %s",
          env("AC_APP_NAME"));
    check(strncmp(url, "http", 4) == 0 && url[strlen(url) - 1] != '/', "ENV-03",
          "AC_METADATA_URL is set and ends without a slash");
    check(strcmp(env("container"), "appc-vm") == 0, "ENV-04", "container is %s", env("container"));
    check(getuid() == 0 && getgid() == 0 && geteuid() == 0 && getegid() == 0, "APP-09",
          "user and group are %u and %u", getuid(), getgid());
    check(getgroups(0, NULL) == 0, "APP-12", "there are no supplementary groups");
}

void check_main_environment(void)
{
    check_cwd("ENV-06", "/opt/acvalidator");
    check(strcmp(env("IN_ACE_VALIDATOR"), "correct") == 0, "ENV-07", "IN_ACE_VALIDATOR is %s",
          env("IN_ACE_VALIDATOR"));
}
