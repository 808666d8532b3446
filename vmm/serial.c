/* SPDX-License-Identifier: Apache-2.0 */
/* The sending half of a 16550A, as its data sheet has it. */
#include "vmm/serial.h"

#include <unistd.h>

enum { DATA, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_THRE    0x02
#define IIR_NONE    0x01
#define IIR_THRE    0x02
#define IIR_FIFO    0xc0
#define FCR_ENABLE  0x01
#define LCR_DLAB    0x80
#define MCR_LOOP    0x10
#define LSR_READY   0x60 /* transmitter and its holding register are empty */
#define MSR_PRESENT 0xb0 /* carrier, data set ready, clear to send */

void serial_init(struct serial *s, int out)
{
    *s = (struct serial){.lock = PTHREAD_MUTEX_INITIALIZER, .out = out, .thr_empty = true};
}

/* A reader that went away or is full for ever must not stop the guest: the byte is dropped. */
static void send_byte(struct serial *s, uint8_t value)
{
    if (!(s->mcr & MCR_LOOP) && write(s->out, &value, 1) < 0)
        return;
}

static void write_register(struct serial *s, unsigned reg, uint8_t value)
{
    switch (reg) {
    case DATA:
        send_byte(s, value);
        s->thr_empty = true;
        break;
    case IER:
        s->ier = value & 0x0f;
        break;
    case IIR_FCR:
        s->fcr = value;
        break;
    case LCR:
        s->lcr = value;
        break;
    case MCR:
        s->mcr = value & 0x1f;
        break;
    case SCR:
        s->scr = value;
        break;
    default:
        break;
    }
}

void serial_write(struct serial *s, unsigned reg, uint8_t value)
{
    if (s->out < 0)
        return;
    pthread_mutex_lock(&s->lock);
    if (reg <= IER && (s->lcr & LCR_DLAB))
        s->divisor[reg] = value;
    else
        write_register(s, reg, value);
    pthread_mutex_unlock(&s->lock);
}

static uint8_t read_iir(struct serial *s)
{
    uint8_t fifo = (s->fcr & FCR_ENABLE) ? IIR_FIFO : 0;

    if (!s->thr_empty || !(s->ier & IER_THRE))
        return fifo | IIR_NONE;
    s->thr_empty = false; /* reading it is the acknowledgement */
    return fifo | IIR_THRE;
}

/* In loop-back the modem control outputs appear at the status inputs. */
static uint8_t read_msr(const struct serial *s)
{
    if (!(s->mcr & MCR_LOOP))
        return MSR_PRESENT;
    return (uint8_t)((s->mcr & 0x0c) << 4 | (s->mcr & 0x01) << 5 | (s->mcr & 0x02) << 3);
}

static uint8_t read_register(struct serial *s, unsigned reg)
{
    switch (reg) {
    case IER:
        return s->ier;
    case IIR_FCR:
        return read_iir(s);
    case LCR:
        return s->lcr;
    case MCR:
        return s->mcr;
    case LSR:
        return LSR_READY;
    case MSR:
        return read_msr(s);
    case SCR:
        return s->scr;
    default:
        return 0; /* nothing is ever received */
    }
}

uint8_t serial_read(struct serial *s, unsigned reg)
{
    uint8_t value;

    if (s->out < 0)
        return 0xff;
    pthread_mutex_lock(&s->lock);
    if (reg <= IER && (s->lcr & LCR_DLAB))
        value = s->divisor[reg];
    else
        value = read_register(s, reg);
    pthread_mutex_unlock(&s->lock);
    return value;
}
