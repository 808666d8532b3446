/* SPDX-License-Identifier: Apache-2.0 */
/*
 * appc-mds: the metadata service of one pod. It gets what it serves and its
 * connections as descriptors, and ends when the supervisor closes the socket that brings them.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "mds/bundle.h"
#include "mds/options.h"
#include "mds/sandbox.h"
#include "mds/server.h"

/* Reads the bundle from its start, where it is a file, and closes it. */
static int read_bundle(int fd, struct bundle *ret, struct err *err)
{
    char *text;
    size_t len;
    if (lseek(fd, 0, SEEK_SET) < 0 && errno != ESPIPE)
        return err_set(err, errno, "can't read the bundle");
    if (read_to_end(fd, "the bundle", BUNDLE_MAX, &text, &len, err) < 0)
        return -1;
    int r = bundle_decode(text, len, ret, err);
    OPENSSL_cleanse(text, len);
    free(text);
    close(fd);
    return r;
}

/* Takes one message off the supervisor's socket: 1, 0 at its end, -1 when it is no connection. */
static int take_connection(struct server *s, int sock, struct err *err)
{
    char byte;
    int fds[FDPASS_MAX];
    size_t n;
    ssize_t len = recv_fds(sock, &byte, sizeof(byte), fds, &n);
    /* Out of descriptors: this connection is lost and its client sees the end. */
    if (len < 0 && errno == EMSGSIZE)
        return 1;
    if (len < 0)
        return err_set(err, errno, "can't receive connections");
    if (len == 0)
        return 0;
    if (n != 1)
        return err_set(err, 0, "a message of the supervisor brought %zu descriptors", n);
    server_add(s, fds[0]);
    return 1;
}

static int serve(struct server *s, int sock, struct err *err)
{
    struct pollfd p[] = {
        {.fd = sock, .events = POLLIN},
        {.fd = server_fd(s), .events = POLLIN},
    };
    for (;;) {
        int n = poll(p, ARRAY_SIZE(p), server_timeout(s));
        if (n < 0 && errno != EINTR)
            return err_set(err, errno, "can't wait for requests");
        if (n < 0)
            continue;
        if (p[0].revents) {
            int r = take_connection(s, sock, err);
            if (r <= 0)
                return r;
        }
        server_run(s);
    }
}

static int run(const struct options *o, struct err *err)
{
    cleanup_with(bundle_done) struct bundle bundle = {0};
    cleanup_with(identity_done) struct identity identity = {0};
    struct server *server;
    const int fds[] = {o->bundle_fd, o->connections_fd};
    if (sandbox_enter(fds, ARRAY_SIZE(fds), err) < 0 ||
        read_bundle(o->bundle_fd, &bundle, err) < 0 ||
        identity_init(&identity, bundle.master, err) < 0 ||
        server_new(&bundle, &identity, o->timeout_ms, &server, err) < 0)
        return -1;
    int r = sandbox_seal(err);
    if (r == 0)
        r = serve(server, o->connections_fd, err);
    server_free(server);
    return r;
}

int main(int argc, char **argv)
{
    struct err err;
    struct options options;
    int r = options_parse(argc, argv, &options, &err);
    if (r == 0)
        r = run(&options, &err);
    if (r < 0)
        fprintf(stderr, "appc-mds: %s\n", err.msg);
    fflush(stdout);
    /* The exit handlers of libraries and sanitizers want system calls that are gone. */
    _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}
