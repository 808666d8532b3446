/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to the host. */
#include "guest-init/vsock.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "wire/wire.h"

/* The kernel would give up after 2 seconds; how long a busy host may take is the host's to decide.
 */
#define CONNECT_SECONDS 600

int vsock_connect(unsigned port, bool wait, struct err *err)
{
    struct sockaddr_vm to = {.svm_family = AF_VSOCK, .svm_cid = WIRE_HOST_CID, .svm_port = port};
    int type = SOCK_STREAM | SOCK_CLOEXEC | (wait ? 0 : SOCK_NONBLOCK);
    cleanup_close int fd = socket(AF_VSOCK, type, 0);
    if (fd < 0)
        return err_set(err, errno, "can't make a vsock socket");
    struct timeval timeout = {.tv_sec = CONNECT_SECONDS};
    (void)setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &timeout, sizeof(timeout));
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 && (wait || errno != EINPROGRESS))
        return err_set(err, errno, "can't connect to port %u of the host", port);
    return take_fd(fd);
}
