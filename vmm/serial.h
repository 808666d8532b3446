/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A 16550A serial port that can only send, for --debug: every byte is an exit.
 *
 * It has no interrupt line: a Linux that was told of its I/O APIC by a device
 * tree can't use the old line 4. Like some chips of old the port does
 * not say twice that it is empty; Linux notices that and drives it by a timer, and the kernel's own
 * messages are polled anyway.
 */
#ifndef APPC_VMM_SERIAL_H
#define APPC_VMM_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SERIAL_PORTS 8 /* registers */

struct serial {
    pthread_mutex_t lock;
    int out;        /* -1: there is no port, reads give 0xff */
    bool thr_empty; /* was not yet told in IIR */
    uint8_t divisor[2];
    uint8_t ier, fcr, lcr, mcr, scr;
};

/* The descriptor stays with the caller. */
void serial_init(struct serial *s, int out);

/* A one-byte access to register `reg` (0..7) of the port. Never blocks on anything but `out`. */
void serial_write(struct serial *s, unsigned reg, uint8_t value);
uint8_t serial_read(struct serial *s, unsigned reg);

#endif
