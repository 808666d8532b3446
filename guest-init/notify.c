/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving side of sd_notify(): a datagram socket in the app's /dev. */
#include "guest-init/notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define DATAGRAMS_TURN 16

int notify_listen(const char *root_path, struct err *err)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s%s", root_path, NOTIFY_PATH);
    cleanup_close int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
        chmod(at.sun_path, 0666) < 0)
        return err_set(err, errno, "can't make %s", NOTIFY_PATH);
    return take_fd(fd);
}

static bool set_status(const char *text, size_t len, struct notify_state *state)
{
    char clean[sizeof(state->status)];
    if (len >= sizeof(clean))
        len = sizeof(clean) - 1;
    for (size_t i = 0; i < len; i++)
        clean[i] = (unsigned char)text[i] < ' ' || text[i] == 0x7f ? ' ' : text[i];
    clean[len] = '\0';
    if (strcmp(clean, state->status) == 0)
        return false;
    memcpy(state->status, clean, len + 1);
    return true;
}

bool notify_parse(const char *data, size_t len, struct notify_state *state)
{
    static const char ready[] = "READY=1", status[] = "STATUS=";
    bool changed = false;
    for (size_t at = 0; at < len;) {
        const char *line = data + at;
        const char *end = memchr(line, '\n', len - at);
        size_t n = end ? (size_t)(end - line) : len - at;
        if (n == sizeof(ready) - 1 && memcmp(line, ready, n) == 0 && !state->ready)
            changed = state->ready = true;
        else if (n >= sizeof(status) - 1 && memcmp(line, status, sizeof(status) - 1) == 0)
            changed |= set_status(line + sizeof(status) - 1, n - (sizeof(status) - 1), state);
        at += n + 1;
    }
    return changed;
}

bool notify_receive(int fd, struct notify_state *state)
{
    bool changed = false;
    for (int i = 0; i < DATAGRAMS_TURN; i++) {
        char data[NOTIFY_MAX];
        ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0)
            break;
        if ((size_t)n <= sizeof(data))
            changed |= notify_parse(data, (size_t)n, state);
    }
    return changed;
}
