/* SPDX-License-Identifier: Apache-2.0 */
/* What the annotations of an image that was made from an OCI or Docker image ask of a pod. */
#include "host/pod/docker.h"

#include <signal.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/str.h"

#define MADE_ANNOTATION "appc.io/docker/imageid"
#define STOP_ANNOTATION "appc.io/docker/stop-signal"

bool docker_made(const struct ac_image_manifest *image)
{
    return ac_pairs_get(&image->annotations, MADE_ANNOTATION) != NULL;
}

/* RTMIN, RTMIN+3, RTMAX-2: between the real-time signals that the C library leaves to programs. */
static int real_time(const char *name)
{
    bool up = strncasecmp(name, "RTMIN", 5) == 0;
    uint64_t n = 0;
    if (!up && strncasecmp(name, "RTMAX", 5) != 0)
        return 0;
    const char *rest = name + 5;
    if (*rest &&
        (*rest != (up ? '+' : '-') || parse_u64(rest + 1, (uint64_t)(SIGRTMAX - SIGRTMIN), &n) < 0))
        return 0;
    return up ? SIGRTMIN + (int)n : SIGRTMAX - (int)n;
}

int docker_signal(const char *text)
{
    static const struct {
        const char *name;
        int number;
    } names[] = {
        {"HUP", SIGHUP},       {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"ILL", SIGILL},
        {"TRAP", SIGTRAP},     {"ABRT", SIGABRT}, {"IOT", SIGIOT},     {"BUS", SIGBUS},
        {"FPE", SIGFPE},       {"KILL", SIGKILL}, {"USR1", SIGUSR1},   {"SEGV", SIGSEGV},
        {"USR2", SIGUSR2},     {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},   {"TERM", SIGTERM},
        {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD}, {"CLD", SIGCHLD},    {"CONT", SIGCONT},
        {"STOP", SIGSTOP},     {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},   {"TTOU", SIGTTOU},
        {"URG", SIGURG},       {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ},   {"VTALRM", SIGVTALRM},
        {"PROF", SIGPROF},     {"IO", SIGIO},     {"WINCH", SIGWINCH}, {"POLL", SIGPOLL},
        {"PWR", SIGPWR},       {"SYS", SIGSYS},
    };
    uint64_t number;
    if (parse_u64(text, (uint64_t)SIGRTMAX, &number) == 0)
        return (int)number;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcasecmp(text, names[i].name) == 0)
            return names[i].number;
    return real_time(text);
}

const char *docker_stop_signal(const struct ac_pod_app *app, const struct ac_image_manifest *image)
{
    if (!docker_made(image))
        return NULL;
    const char *value = ac_pairs_get(&app->annotations, STOP_ANNOTATION);
    return value ? value : ac_pairs_get(&image->annotations, STOP_ANNOTATION);
}
