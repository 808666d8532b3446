/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving side of sd_notify(): a datagram socket in the app's /dev. */
#ifndef APPC_GUEST_NOTIFY_H
#define APPC_GUEST_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/wire.h"

struct err;

/* Where the app finds it ($NOTIFY_SOCKET): like /dev/log, and there with a read-only root, too. */
#define NOTIFY_PATH "/dev/notify"

/* Longest datagram; systemd has the same limit. */
#define NOTIFY_MAX 4096

/* An app that talks without end is listened to this often. */
#define NOTIFY_INTERVAL_MS 100

/* What an app has said. */
struct notify_state {
    bool ready;
    char status[WIRE_STATUS_MAX + 1];
};

/* Makes the socket below the root file system at `root_path`, open to every user; -1 with *err. */
int notify_listen(const char *root_path, struct err *err);

/*
 * Takes in one datagram: READY=1 and STATUS= count, all else is ignored; control characters of a
 * status become blanks. Whether anything has changed.
 */
bool notify_parse(const char *data, size_t len, struct notify_state *state);

/* Reads what waits in the socket, a few datagrams at most. Whether anything has changed. */
bool notify_receive(int fd, struct notify_state *state);

#endif
