/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm list, status, logs, stop, rm: pods that run or have ended. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/cli.h"
#include "host/paths.h"
#include "host/pod/poddir.h"

static const char *str(json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "-";
}

static void print_time(json_t *o, const char *key)
{
    char text[32] = "-";
    time_t t = (time_t)(json_integer_value(json_object_get(o, key)) / 1000);
    struct tm tm;
    if (t && gmtime_r(&t, &tm))
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    printf("%-21s", text);
}

static void print_row(json_t *state)
{
    json_t *app, *apps = json_object_get(state, "apps");
    size_t i;
    printf("%-37s%-11s", str(state, "uuid"), str(state, "state"));
    print_time(state, "createdMs");
    json_array_foreach (apps, i, app)
        printf("%s%s", i ? "," : "", str(app, "name"));
    putchar('\n');
}

static int dump(json_t *o)
{
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
    return CLI_OK;
}

static json_int_t created(const json_t *state)
{
    return json_integer_value(json_object_get(state, "createdMs"));
}

/* The oldest first; the list is short, so insertion does. */
static void insert_by_age(json_t *list, json_t *state)
{
    size_t i = json_array_size(list);
    while (i > 0 && created(json_array_get(list, i - 1)) > created(state))
        i--;
    json_array_insert_new(list, i, state);
}

static json_t *all_states(const char *data_dir, struct err *err)
{
    char **names;
    size_t n;
    if (poddir_list(data_dir, &names, &n, err) < 0)
        return NULL;
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        char uuid[AC_UUID_TEXT];
        cleanup_close int dir = -1;
        /* A pod that somebody removes meanwhile is not an error. */
        if (poddir_open(data_dir, names[i], uuid, &dir, NULL) == 0) {
            json_t *state = poddir_state(dir, uuid, NULL);
            if (state)
                insert_by_age(list, state);
        }
        free(names[i]);
    }
    free(names);
    return list;
}

int cmd_list(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL, *format = "text";
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &dir, "DIR", "data directory"},
        {0, "format", OPT_CHOICE, &format, "text|json", "output format"},
        {0},
    };
    int n, r = cli_parse(self, table, argc, argv, 0, 0, &n);
    if (r >= 0)
        return r;
    struct err err;
    cleanup_free char *data_dir = NULL;
    if (paths_data_dir(dir, &data_dir, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    json_t *list = all_states(data_dir, &err), *state;
    if (!list)
        return cli_fail(&err, CLI_FAILED);
    if (str_eq(format, "json"))
        return dump(list);
    size_t i;
    printf("%-37s%-11s%-21s%s\n", "UUID", "STATE", "CREATED", "APPS");
    json_array_foreach (list, i, state)
        print_row(state);
    json_decref(list);
    return CLI_OK;
}

/* Prints the line and empties the buffer. Parts of it come from the guest: none reaches the
 * terminal as anything but text. */
static void put_line(struct buf *line)
{
    for (size_t i = 0; i < line->len; i++)
        if ((unsigned char)line->data[i] < 0x20 || line->data[i] == 0x7f)
            line->data[i] = '?';
    puts(line->data ? line->data : "");
    buf_reset(line);
}

static void print_app(json_t *app, struct buf *line)
{
    json_t *status = json_object_get(app, "exitStatus"), *ready = json_object_get(app, "ready");
    buf_printf(line, "app      %s: %s", str(app, "name"), str(app, "state"));
    if (status)
        buf_printf(line, ", status %lld", (long long)json_integer_value(status));
    if (ready)
        buf_printf(line, ", %s", json_is_true(ready) ? "ready" : "not ready");
    if (json_object_get(app, "status"))
        buf_printf(line, ", says \"%s\"", str(app, "status"));
    if (json_object_get(app, "error"))
        buf_printf(line, " (%s)", str(app, "error"));
    put_line(line);
}

static void print_status(json_t *state)
{
    cleanup_with(buf_free) struct buf line = {0};
    json_t *app, *report, *exit_status = json_object_get(state, "exitStatus");
    size_t i;
    printf("pod      %s\nstate    %s\n", str(state, "uuid"), str(state, "state"));
    if (exit_status)
        printf("exit     %lld\n", (long long)json_integer_value(exit_status));
    if (json_object_get(state, "error")) {
        buf_printf(&line, "error    %s", str(state, "error"));
        put_line(&line);
    }
    json_array_foreach (json_object_get(state, "apps"), i, app)
        print_app(app, &line);
    json_array_foreach (json_object_get(state, "isolators"), i, report) {
        const char *detail = str(report, "detail");
        buf_printf(&line, "isolator %s %s: %s%s%s",
                   json_object_get(report, "app") ? str(report, "app") : "(pod)",
                   str(report, "isolator"), str(report, "result"), *detail ? "; " : "", detail);
        put_line(&line);
    }
}

int cmd_status(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL, *format = "text";
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &dir, "DIR", "data directory"},
        {0, "format", OPT_CHOICE, &format, "text|json", "output format"},
        {0},
    };
    int n, r = cli_parse(self, table, argc, argv, 1, 1, &n);
    if (r >= 0)
        return r;
    struct err err;
    char uuid[AC_UUID_TEXT];
    cleanup_free char *data_dir = NULL;
    cleanup_close int pod = -1;
    if (paths_data_dir(dir, &data_dir, &err) < 0 ||
        poddir_open(data_dir, argv[1], uuid, &pod, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    json_t *state = poddir_state(pod, uuid, &err);
    if (!state)
        return cli_fail(&err, CLI_FAILED);
    if (str_eq(format, "json"))
        return dump(state);
    print_status(state);
    json_decref(state);
    return CLI_OK;
}

/* Copies one log to `to`; a stream that an app never opened has none. */
static int print_log(int pod, const char *app, const char *stream, int to, struct err *err)
{
    char tmp[65536];
    cleanup_free char *path = xasprintf("logs/%s.%s", app, stream);
    cleanup_close int fd = openat(pod, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;
    if (fd < 0)
        return errno == ENOENT ? 0 : err_set(err, errno, "can't open %s", path);
    while ((n = read(fd, tmp, sizeof(tmp))) > 0)
        if (write_all(to, tmp, (size_t)n) < 0)
            return err_set(err, errno, "can't write the log");
    return n < 0 ? err_set(err, errno, "can't read %s", path) : 0;
}

static int print_logs(int pod, json_t *state, const char *only, struct err *err)
{
    json_t *app, *apps = json_object_get(state, "apps");
    size_t i;
    bool found = false;
    json_array_foreach (apps, i, app) {
        const char *name = str(app, "name");
        if (only && !str_eq(only, name))
            continue;
        found = true;
        if (print_log(pod, name, "stdout", STDOUT_FILENO, err) < 0 ||
            print_log(pod, name, "stderr", STDERR_FILENO, err) < 0)
            return -1;
    }
    return found || !only ? 0 : err_set(err, 0, "the pod has no app \"%s\"", only);
}

int cmd_logs(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL, *app = NULL;
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &dir, "DIR", "data directory"},
        {0, "app", OPT_STRING, &app, "NAME", "only this app's output"},
        {0},
    };
    int n, r = cli_parse(self, table, argc, argv, 1, 1, &n);
    if (r >= 0)
        return r;
    struct err err;
    char uuid[AC_UUID_TEXT];
    cleanup_free char *data_dir = NULL;
    cleanup_close int pod = -1;
    if (paths_data_dir(dir, &data_dir, &err) < 0 ||
        poddir_open(data_dir, argv[1], uuid, &pod, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    json_t *state = poddir_state(pod, uuid, &err);
    r = state ? print_logs(pod, state, app, &err) : -1;
    json_decref(state);
    return r < 0 ? cli_fail(&err, CLI_FAILED) : CLI_OK;
}

/* The PID of the supervisor of a pod that runs, or -1. */
static int live_pid(int pod, const char *uuid, struct err *err)
{
    json_t *state = poddir_state(pod, uuid, err);
    if (!state)
        return -1;
    const char *name = str(state, "state");
    bool live = str_eq(name, "running") || str_eq(name, "starting");
    int pid = (int)json_integer_value(json_object_get(state, "pid"));
    json_decref(state);
    return live && pid > 0 ? pid : err_set(err, 0, "pod %s does not run", uuid);
}

/* A pidfd of the supervisor. It holds the pod's lock with this PID before and after the descriptor
 * was taken, so no other process of the same number can be hit. */
static int supervisor_pidfd(int pod, const char *uuid, struct err *err)
{
    int pid = live_pid(pod, uuid, err);
    if (pid < 0)
        return -1;
    cleanup_close int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (live_pid(pod, uuid, err) != pid || fd < 0)
        return err_set(err, 0, "pod %s does not run", uuid);
    return take_fd(fd);
}

static int stop_one(const char *data_dir, const char *prefix, bool force, struct err *err)
{
    char uuid[AC_UUID_TEXT];
    cleanup_close int pod = -1;
    if (poddir_open(data_dir, prefix, uuid, &pod, err) < 0)
        return -1;
    cleanup_close int pidfd = supervisor_pidfd(pod, uuid, err);
    if (pidfd < 0)
        return -1;
    /* The second signal kills (see the supervisor). */
    for (int i = 0; i < (force ? 2 : 1); i++)
        if (syscall(SYS_pidfd_send_signal, pidfd, i ? SIGINT : SIGTERM, NULL, 0) < 0)
            return err_set(err, errno, "can't stop pod %s", uuid);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
    return 0;
}

int cmd_stop(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL;
    bool force = false;
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &dir, "DIR", "data directory"},
        {'f', "force", OPT_FLAG, &force, NULL, "kill the pod at once"},
        {0},
    };
    int n, r = cli_parse(self, table, argc, argv, 1, -1, &n);
    if (r >= 0)
        return r;
    struct err err;
    cleanup_free char *data_dir = NULL;
    if (paths_data_dir(dir, &data_dir, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    int status = CLI_OK;
    for (int i = 1; i <= n; i++)
        if (stop_one(data_dir, argv[i], force, &err) < 0)
            status = cli_fail(&err, CLI_FAILED);
    return status;
}

int cmd_rm(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL;
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &dir, "DIR", "data directory"},
        {0},
    };
    int n, r = cli_parse(self, table, argc, argv, 1, -1, &n);
    if (r >= 0)
        return r;
    struct err err;
    cleanup_free char *data_dir = NULL;
    if (paths_data_dir(dir, &data_dir, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    int status = CLI_OK;
    for (int i = 1; i <= n; i++)
        if (poddir_remove(data_dir, argv[i], &err) < 0)
            status = cli_fail(&err, CLI_FAILED);
    return status;
}
