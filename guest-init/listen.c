/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of ports that are socket-activated (APP-33, APP-34): open before the app runs. */
#include "guest-init/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define VARIABLES 3

/* Of IPv6 for both families, or of IPv4 where the kernel has no other. */
static int bind_any(int type, uint16_t port)
{
    static const int on = 1, off = 0;
    struct sockaddr_in6 any6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in any4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    bool v6 = true;
    cleanup_close int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);
    if (fd < 0 && errno == EAFNOSUPPORT) {
        v6 = false;
        fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    }
    if (fd < 0)
        return -1;
    if (v6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    int r = v6 ? bind(fd, (struct sockaddr *)&any6, sizeof(any6))
               : bind(fd, (struct sockaddr *)&any4, sizeof(any4));
    if (r < 0 || (type == SOCK_STREAM && listen(fd, SOMAXCONN) < 0))
        return -1;
    return take_fd(fd);
}

/* `name` is what the app knows the port by. */
static int open_port(const char *name, const struct ac_port *port, struct listen_set *set,
                     size_t *cap, struct err *err)
{
    int type = str_eq(port->protocol, "tcp")   ? SOCK_STREAM
               : str_eq(port->protocol, "udp") ? SOCK_DGRAM
                                               : -1;
    if (type < 0)
        return err_set(err, 0, "port \"%s\": only tcp and udp can be socket-activated, not %s",
                       name, port->protocol);
    if (port->count > LISTEN_MAX - set->n)
        return err_set(err, 0, "port \"%s\": an app can't have more than %d activated sockets",
                       name, LISTEN_MAX);
    for (uint32_t i = 0; i < port->count; i++) {
        int fd = bind_any(type, (uint16_t)(port->port + i));
        if (fd < 0)
            return err_set(err, errno, "port \"%s\": can't listen on %s port %u", name,
                           port->protocol, port->port + i);
        if (set->n == *cap) {
            *cap = *cap ? 2 * *cap : 8;
            set->fds = xreallocarray(set->fds, *cap, sizeof(*set->fds));
            set->names = xreallocarray(set->names, *cap, sizeof(*set->names));
        }
        set->fds[set->n] = fd;
        set->names[set->n++] = name;
    }
    return 0;
}

/* The port as the pod wants it, when it has a podPort of that name (POD-38). */
static const struct ac_port *in_force(const struct ac_pod_manifest *pod, const struct ac_port *port)
{
    for (size_t i = 0; i < pod->nports; i++)
        if (pod->ports[i].has_pod_port && str_eq(pod->ports[i].name, port->name))
            return &pod->ports[i].pod_port;
    return port;
}

int listen_open(const struct ac_pod_manifest *pod, const struct ac_app *app, struct listen_set *ret,
                struct err *err)
{
    size_t cap = 0;
    *ret = (struct listen_set){.n = 0};
    for (size_t i = 0; i < app->nports; i++) {
        const struct ac_port *port = in_force(pod, &app->ports[i]);
        if (port->socket_activated && open_port(app->ports[i].name, port, ret, &cap, err) < 0)
            return -1;
    }
    return 0;
}

void listen_done(struct listen_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        close(set->fds[i]);
    free(set->fds);
    free(set->names);
    *set = (struct listen_set){.n = 0};
}

int listen_install(const struct listen_set *set)
{
    /* Out of the way first, so that none lands on one that is still to be moved. */
    for (size_t i = 0; i < set->n; i++) {
        set->fds[i] = fcntl(set->fds[i], F_DUPFD_CLOEXEC, LISTEN_FIRST_FD + (int)set->n);
        if (set->fds[i] < 0)
            return -1;
    }
    for (size_t i = 0; i < set->n; i++) {
        if (dup2(set->fds[i], LISTEN_FIRST_FD + (int)i) < 0)
            return -1;
    }
    return 0;
}

static bool is_ours(const char *entry)
{
    return str_starts(entry, "LISTEN_FDS=") || str_starts(entry, "LISTEN_PID=") ||
           str_starts(entry, "LISTEN_FDNAMES=");
}

char *const *listen_environment(const struct listen_set *set, char *const *env)
{
    struct buf names = {0};
    size_t n = 0, out = 0;
    while (env[n])
        n++;
    for (size_t i = 0; i < set->n; i++)
        buf_printf(&names, "%s%s", i ? ":" : "", set->names[i]);
    char **list = xcalloc(n + VARIABLES + 1, sizeof(*list));
    for (size_t i = 0; i < n; i++) {
        if (!is_ours(env[i]))
            list[out++] = env[i];
    }
    list[out++] = xasprintf("LISTEN_FDS=%zu", set->n);
    list[out++] = xasprintf("LISTEN_PID=%d", (int)getpid());
    list[out++] = xasprintf("LISTEN_FDNAMES=%s", names.data);
    buf_free(&names);
    return list;
}
