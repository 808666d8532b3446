/* SPDX-License-Identifier: Apache-2.0 */
/* Connections to the host. */
#ifndef APPC_GUEST_VSOCK_H
#define APPC_GUEST_VSOCK_H

#include <stdbool.h>

struct err;

/*
 * Connects to a port of the host. With `wait` the descriptor is connected and
 * blocking; without it is non-blocking and may still be connecting (writable when it is done).
 */
int vsock_connect(unsigned port, bool wait, struct err *err);

#endif
