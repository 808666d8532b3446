/* SPDX-License-Identifier: Apache-2.0 */
/* What the apps of a pod share: processes, network, IPC, host name, volumes. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "validator.h"

#define QUEUE_KEY 0x61707063
#define OFFER     "/db/sidekick"
#define OFFER_NEW "/db/.sidekick"

struct offer {
    int pid;
    unsigned port;
    char host[128];
};

struct letter {
    long type;
    char text[8];
};

static unsigned listen_anywhere(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* stays open until the end */
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &len) < 0)
        return 0;
    return ntohs(at.sin_port);
}

static bool connects(unsigned port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    close(fd);
    return ok;
}

static bool port_is_taken(unsigned port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool taken = bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0;
    close(fd);
    return taken;
}

void offer_shared(void)
{
    struct offer o = {.pid = getpid(), .port = listen_anywhere()};
    struct letter l = {.type = 1, .text = "hello"};
    int queue = msgget(QUEUE_KEY, IPC_CREAT | IPC_EXCL | 0600);
    check(queue >= 0 && msgsnd(queue, &l, sizeof(l.text), 0) == 0, "POD-03",
          "a message queue can be made");
    gethostname(o.host, sizeof(o.host));
    check(access(OFFER, F_OK) < 0, "VAL-40", OFFER " is not there yet");
    FILE *f = fopen(OFFER_NEW, "w");
    bool ok = f && fprintf(f, "%d %u %s\n", o.pid, o.port, o.host) > 0;
    ok = f && fclose(f) == 0 && ok && rename(OFFER_NEW, OFFER) == 0;
    check(ok, "VAL-40", OFFER " can be created");
}

void check_shared(void)
{
    struct offer o = {0};
    struct letter l = {0};
    struct stat s = {0};
    char host[128] = "";
    const char *text = slurp(OFFER);
    if (!check(text && sscanf(text, "%d %u %127s", &o.pid, &o.port, o.host) == 3, "VOL-18",
               "the sidekick's file in the shared volume can be read"))
        return;
    check(o.pid != getpid() && kill(o.pid, 0) == 0, "POD-01", "process %d of the sidekick is there",
          o.pid);
    check(connects(o.port), "POD-02", "the sidekick's port %u is reached", o.port);
    check(port_is_taken(o.port), "NET-04", "its port is taken for this app, too");
    int queue = msgget(QUEUE_KEY, 0);
    check(queue >= 0 && msgrcv(queue, &l, sizeof(l.text), 0, IPC_NOWAIT) > 0 &&
              strcmp(l.text, "hello") == 0,
          "POD-03", "the sidekick's message has come");
    gethostname(host, sizeof(host));
    check(*host && strcmp(host, o.host) == 0, "POD-04", "the host name is %s for both", host);
    check(stat("/db", &s) == 0 && s.st_uid == 0 && s.st_gid == 0 && (s.st_mode & 07777) == 0755,
          "POD-29", "/db has mode %o of %u:%u", s.st_mode & 07777, s.st_uid, s.st_gid);
}
