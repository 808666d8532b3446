/* SPDX-License-Identifier: Apache-2.0 */
/* What every device has: queues, memory, a loop. */
#include "vmm/devices/device.h"

#include "base/err.h"

int device_init(struct device *d, struct err *err)
{
    for (unsigned i = 0; i < DEVICE_QUEUES_MAX; i++)
        d->queues[i] = (struct virtq){.index = i, .mem = &d->mem, .call_fd = -1};
    d->mem.n = 0;
    d->features = 0;
    d->again = 0;
    return loop_init(&d->loop, err);
}

void device_free(struct device *d)
{
    mem_clear(&d->mem);
    loop_free(&d->loop);
}

int device_run(struct device *d, unsigned q, struct err *err)
{
    if (!d->queues[q].running)
        return 0;
    return d->ops->run(d, q, err);
}

int device_turn(struct device *d, struct err *err)
{
    if (loop_once(&d->loop, d->again ? 0 : -1, err))
        return -1;
    uint32_t again = d->again;
    d->again = 0;
    for (unsigned q = 0; again; q++, again >>= 1) {
        if (again & 1 && device_run(d, q, err))
            return -1;
    }
    return 0;
}
