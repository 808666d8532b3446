/* SPDX-License-Identifier: Apache-2.0 */
/* virtio-blk on a ring with mostly valid chains of mostly valid requests. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "input.h"
#include "vmm/devices/blk.h"

static struct guest guest;
static struct blk blk;

static void set_up(void)
{
    int a = memfd_create("a", MFD_CLOEXEC), b = memfd_create("b", MFD_CLOEXEC);
    const struct blk_extent_spec specs[] = {
        {a, 100, 8192}, {-1, 0, 1024}, {b, 0, 65536}, {a, 9000, 512}};
    MUST(!ftruncate(a, 9000) && !ftruncate(b, 40000));
    guest_init(&guest);
    for (size_t i = 0; i < 4; i++)
        MUST(!blk_add_extent(&blk, &specs[i], NULL));
    MUST(!blk_init(&blk, 1, NULL));
}

static void add_request(struct input *in)
{
    static const uint32_t types[] = {VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
                                     VIRTIO_BLK_T_FLUSH,   VIRTIO_BLK_T_GET_ID,
                                     VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
    struct guest_buf bufs[34];
    struct virtio_blk_outhdr h = {.type = types[input_u8(in) % 6], .sector = input_u8(in) % 150};
    if (input_rarely(in))
        h.sector = input_u64(in);
    if (input_rarely(in))
        h.type = input_u32(in);
    unsigned n = input_u8(in) % 32, k = 0;
    bool reads = h.type == VIRTIO_BLK_T_IN || h.type == VIRTIO_BLK_T_GET_ID;
    bool ranges = h.type >= VIRTIO_BLK_T_DISCARD;
    uint64_t slot = GUEST_DATA + guest.avail[0] % GUEST_NUM * 0x8000ULL;
    memcpy(guest_at(&guest, slot), &h, sizeof(h));
    bufs[k++] = (struct guest_buf){slot, sizeof(h), false};
    for (unsigned i = 0; i < n; i++) {
        uint32_t len = ranges ? 16 : 512U * (input_u8(in) % 4);
        bufs[k++] = (struct guest_buf){slot + 64 + i * 600, len, reads};
        if (ranges)
            memcpy(guest_at(&guest, slot + 64 + i * 600),
                   (uint32_t[]){input_u8(in), 0, input_u8(in), input_u8(in) & 1}, 16);
    }
    bufs[k++] = (struct guest_buf){slot + 32, 1, true};
    guest_add(&guest, in, 0, bufs, k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct err err;
    if (!guest.mem)
        set_up();
    uint8_t flags = input_u8(&in);
    guest_start(&guest, &blk.dev, 1,
                (uint64_t)(flags & 3) << VIRTIO_RING_F_INDIRECT_DESC | (uint64_t)(flags >> 2 & 1)
                                                                           << VIRTIO_BLK_F_FLUSH);
    blk.read_only = flags >> 3 & 1;
    while (in.left) {
        unsigned batch = 1 + input_u8(&in) % 4;
        for (unsigned i = 0; i < batch && in.left; i++)
            add_request(&in);
        do {
            blk.dev.again = 0;
            if (device_run(&blk.dev, 0, &err))
                return 0;
        } while (blk.dev.again);
        uint16_t head;
        uint32_t len;
        while (guest_used(&guest, 0, &head, &len))
            MUST(head < GUEST_NUM);
    }
    return 0;
}
