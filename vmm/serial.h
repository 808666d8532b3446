/* SPDX-License-Identifier: Apache-2.0 */
/* A 16550A serial port that can only send, for --debug: every byte is an exit. */
#ifndef APPC_VMM_SERIAL_H
#define APPC_VMM_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define SERIAL_PORTS 8 /* registers */

struct serial {
    pthread_mutex_t lock;
    int out;        /* -1: there is no port, reads give 0xff */
    int irq;        /* eventfd that raises the port's line, or -1 */
    bool thr_empty; /* "transmitter empty" interrupt is pending */
    uint8_t divisor[2];
    uint8_t ier, fcr, lcr, mcr, scr;
};

/* Descriptors stay with the caller. */
void serial_init(struct serial *s, int out, int irq);

/* A one-byte access to register `reg` (0..7) of the port. Never blocks on anything but `out`. */
void serial_write(struct serial *s, unsigned reg, uint8_t value);
uint8_t serial_read(struct serial *s, unsigned reg);

#endif
