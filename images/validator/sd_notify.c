/* SPDX-License-Identifier: Apache-2.0 */
/* Sends its argument as one datagram to $NOTIFY_SOCKET, as sd_notify() does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *path = getenv("NOTIFY_SOCKET");
    if (argc != 2 || !path || strlen(path) >= sizeof(to.sun_path)) {
        (void)fputs("usage: NOTIFY_SOCKET=PATH sd-notify TEXT\n", stderr);
        return 2;
    }
    strcpy(to.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t len = strlen(argv[1]);
    if (sendto(fd, argv[1], len, 0, (struct sockaddr *)&to, sizeof(to)) != (ssize_t)len) {
        perror("sd-notify");
        return 1;
    }
    return 0;
}
