/* SPDX-License-Identifier: Apache-2.0 */
/* The fuzzer's bytes as a stream of decisions, and guest memory with rings for a device to run on.
 */
#ifndef APPC_FUZZ_DEVICES_INPUT_H
#define APPC_FUZZ_DEVICES_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "vmm/devices/device.h"

struct input {
    const uint8_t *p;
    size_t left;
};

/* The next bytes; zeros when there are no more. */
uint8_t input_u8(struct input *in);
uint16_t input_u16(struct input *in);
uint32_t input_u32(struct input *in);
uint64_t input_u64(struct input *in);

/* True for one value of 16 or so: how seldom something broken is made. */
bool input_rarely(struct input *in);

#define GUEST_SIZE  (1U << 20)
#define GUEST_GPA   0x10000ULL
#define GUEST_UADDR 0x7f0000000000ULL
#define GUEST_NUM   16
#define GUEST_DATA  (GUEST_GPA + 0x10000)

/* Memory that stays mapped in the fuzzer, with rings of GUEST_NUM entries for 3 queues. */
struct guest {
    int memfd;
    uint8_t *mem;
    uint16_t next_desc[3], avail[3], used[3];
};

struct guest_buf {
    uint64_t gpa;
    uint32_t len;
    bool write;
};

void guest_init(struct guest *g);

/* Fresh rings, and the device's queues started on them. */
void guest_start(struct guest *g, struct device *d, unsigned nqueues, uint64_t features);
void *guest_at(struct guest *g, uint64_t gpa);

/* Adds a chain, mostly as it stands; the input may ask for an indirect table or for damage. */
void guest_add(struct guest *g, struct input *in, unsigned q, const struct guest_buf *bufs,
               unsigned n);

/* Entries that the device has used and that were not counted yet; true while there is one. */
bool guest_used(struct guest *g, unsigned q, uint16_t *ret_head, uint32_t *ret_len);

/* Aborts when the condition does not hold, sanitizer or not. */
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            __builtin_trap();                                                                      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
