/* SPDX-License-Identifier: Apache-2.0 */
/* Port I/O: a serial port perhaps, the reset line, and nothing else. */
#include <linux/kvm.h>
#include <string.h>

#include "vmm/arch.h"
#include "vmm/machine.h"
#include "vmm/x86/x86.h"

#define PORT_I8042    0x64u
#define I8042_RESET   0xfeu
#define PORT_UNMAPPED 0xffu

static uint8_t read_port(struct machine *m, uint16_t port)
{
    /* "Ready for a command": a kernel that wants to reset through it polls for that. */
    if (port == PORT_I8042)
        return 0;
    if (port >= X86_SERIAL_PORT && port < X86_SERIAL_PORT + SERIAL_PORTS)
        return serial_read(&m->serial, port - X86_SERIAL_PORT);
    return PORT_UNMAPPED;
}

static enum arch_verdict write_port(struct machine *m, uint16_t port, uint8_t value)
{
    if (port == PORT_I8042 && value == I8042_RESET)
        return ARCH_RESET;
    if (port >= X86_SERIAL_PORT && port < X86_SERIAL_PORT + SERIAL_PORTS)
        serial_write(&m->serial, port - X86_SERIAL_PORT, value);
    return ARCH_HANDLED;
}

/*
 * One exit can be a string of `count` elements of `size` bytes (1, 2 or 4).
 * Wider registers than a byte do not exist: a word goes to its port's low byte.
 */
static enum arch_verdict handle_io(struct vcpu *v)
{
    struct kvm_run *run = v->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    size_t size = run->io.size;

    stats_count_port(&v->stats, run->io.port);
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        if (run->io.direction == KVM_EXIT_IO_IN) {
            memset(data, PORT_UNMAPPED, size);
            data[0] = read_port(v->machine, run->io.port);
        } else if (write_port(v->machine, run->io.port, data[0]) == ARCH_RESET) {
            return ARCH_RESET;
        }
    }
    return ARCH_HANDLED;
}

enum arch_verdict arch_handle_exit(struct vcpu *v)
{
    switch (v->run->exit_reason) {
    case KVM_EXIT_IO:
        return handle_io(v);
    case KVM_EXIT_SHUTDOWN: /* a triple fault: how `reboot=t` resets */
        return ARCH_RESET;
    default:
        return ARCH_UNKNOWN;
    }
}
