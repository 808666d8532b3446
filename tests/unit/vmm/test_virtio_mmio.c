/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/virtio_mmio.c: the register state machine, against a back end that keeps a diary. */
#include "tests/unit/vmm/util.h"
#include "vmm/memory.h"
#include "vmm/virtio_mmio.h"

#define FEATURE_A (1ull << 3)
#define VERSION_1 (1ull << 32)
#define EVENT_IDX (1ull << 29)
#define RING_SIZE (1u << 20)

enum { SEL = 0x14, FEATURES = 0x10, DRIVER = 0x20, DRIVER_SEL = 0x24, QSEL = 0x30, QMAX = 0x34 };
enum { QNUM = 0x38, QREADY = 0x44, STATUS = 0x70, DESC = 0x80, AVAIL = 0x90, USED = 0xa0 };

struct fixture {
    struct virtio_mmio d;
    struct guest_memory memory;
    uint8_t ram[RING_SIZE];
    uint8_t page[VIRTIO_MMIO_PAGE];
    int starts, stops, configs;
    uint64_t features; /* at start */
    uint32_t config_off, config_len;
    bool broken;
};

static int on_start(void *self, const struct virtio_mmio *d, struct err *err)
{
    struct fixture *f = self;

    if (f->broken)
        return err_set(err, 0, "broken");
    f->starts++;
    f->features = d->driver_features;
    return 0;
}

static int on_stop(void *self, const struct virtio_mmio *d, struct err *err)
{
    struct fixture *f = self;

    (void)d;
    (void)err;
    f->stops++;
    return 0;
}

static int on_config(void *self, uint32_t off, const void *data, uint32_t len, uint8_t *config,
                     struct err *err)
{
    struct fixture *f = self;

    (void)err;
    f->configs++;
    f->config_off = off;
    f->config_len = len;
    memcpy(config + off, data, len);
    return 0;
}

static const struct virtio_backend backend = {on_start, on_stop, on_config};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    uint8_t config[VIRTIO_CONFIG_MAX] = "configuration";

    f->memory.nregions = 1;
    f->memory.regions[0] = (struct memory_region){.gpa = 0, .size = RING_SIZE, .host = f->ram};
    /* All transport bits are offered by the device; most have to be held back. */
    virtio_mmio_init(&f->d, 2, 2, FEATURE_A | 0x3ffffff000000ull, config, f->page, &f->memory,
                     &backend, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    virtio_mmio_done(&f->d);
    test_free(f);
    return 0;
}

static void put(struct fixture *f, uint64_t off, uint32_t value)
{
    struct err err;

    assert_int_equal(virtio_mmio_write(&f->d, off, &value, 4, &err), 0);
}

static uint32_t get(struct fixture *f, uint64_t off)
{
    uint32_t value;

    virtio_mmio_read(&f->d, off, &value, 4);
    return value;
}

static void put_features(struct fixture *f, uint64_t features)
{
    put(f, DRIVER_SEL, 0);
    put(f, DRIVER, (uint32_t)features);
    put(f, DRIVER_SEL, 1);
    put(f, DRIVER, (uint32_t)(features >> 32));
}

static void negotiate(struct fixture *f, uint64_t features)
{
    put(f, STATUS, 0);
    put(f, STATUS, 1);
    put(f, STATUS, 3);
    put_features(f, features);
    put(f, STATUS, 11);
}

static void set_queue(struct fixture *f, uint32_t q, uint32_t num, uint64_t desc, uint64_t avail,
                      uint64_t used)
{
    put(f, QSEL, q);
    put(f, QNUM, num);
    put(f, DESC, (uint32_t)desc);
    put(f, DESC + 4, (uint32_t)(desc >> 32));
    put(f, AVAIL, (uint32_t)avail);
    put(f, AVAIL + 4, (uint32_t)(avail >> 32));
    put(f, USED, (uint32_t)used);
    put(f, USED + 4, (uint32_t)(used >> 32));
    put(f, QREADY, 1);
}

static void constants(void **state)
{
    struct fixture *f = *state;
    uint8_t byte;

    assert_int_equal(get(f, 0), 0x74726976);
    assert_int_equal(get(f, 4), 2);
    assert_int_equal(get(f, 8), 2);
    assert_int_equal(get(f, 0x60), 1); /* a used buffer, always */
    assert_int_equal(get(f, 0xb0), UINT32_MAX);
    assert_int_equal(get(f, 0xb4), UINT32_MAX);
    assert_int_equal(get(f, 0xfc), 0);
    assert_memory_equal(f->page + 0x100, "configuration", 13);
    virtio_mmio_read(&f->d, 0x103, &byte, 1);
    assert_int_equal(byte, 'f');
    assert_int_equal(get(f, 0xffe), 0); /* over the edge */
    assert_int_equal(get(f, UINT64_MAX), 0);
}

static void features_are_filtered(void **state)
{
    struct fixture *f = *state;

    put(f, SEL, 0);
    assert_int_equal(get(f, FEATURES), FEATURE_A | EVENT_IDX | 1u << 28);
    put(f, SEL, 1);
    assert_int_equal(get(f, FEATURES), 1);
    put(f, SEL, 2);
    assert_int_equal(get(f, FEATURES), 0);
    put(f, SEL, UINT32_MAX);
    assert_int_equal(get(f, FEATURES), 0);
}

static void whole_life(void **state)
{
    struct fixture *f = *state;

    negotiate(f, VERSION_1 | EVENT_IDX);
    assert_int_equal(get(f, STATUS), 11);
    put(f, QSEL, 0);
    assert_int_equal(get(f, QMAX), VIRTIO_QUEUE_SIZE);
    set_queue(f, 0, 128, 0x1000, 0x2000, 0x3000);
    assert_int_equal(get(f, QREADY), 1);
    put(f, STATUS, 15);
    assert_int_equal(f->starts, 1);
    assert_int_equal(f->features, VERSION_1 | EVENT_IDX);
    assert_true(f->d.queues[0].ready);
    assert_false(f->d.queues[1].ready);
    assert_int_equal(f->d.queues[0].size, 128);
    put(f, STATUS, 15); /* no second start */
    assert_int_equal(f->starts, 1);

    put(f, STATUS, 0);
    assert_int_equal(f->stops, 1);
    assert_int_equal(get(f, STATUS), 0);
    assert_int_equal(get(f, QREADY), 0);
    assert_int_equal(f->d.queues[0].desc, 0);
    assert_int_equal(f->d.driver_features, 0);
    put(f, STATUS, 0); /* nothing to stop any more */
    assert_int_equal(f->stops, 1);
}

static void bad_features(void **state)
{
    struct fixture *f = *state;

    negotiate(f, EVENT_IDX); /* a legacy driver */
    assert_int_equal(get(f, STATUS), 3);
    negotiate(f, VERSION_1 | 1ull << 5); /* not offered */
    assert_int_equal(get(f, STATUS), 3);
    negotiate(f, VERSION_1 | 1ull << 34); /* packed rings: held back */
    assert_int_equal(get(f, STATUS), 3);
    put(f, STATUS, 15); /* features can't be had with DRIVER_OK in one */
    assert_int_equal(f->starts, 0);
    assert_int_equal(get(f, STATUS), 3);
}

static void features_need_a_known_driver(void **state)
{
    struct fixture *f = *state;

    put_features(f, VERSION_1);
    put(f, STATUS, 8);
    assert_int_equal(get(f, STATUS), 0);
    put(f, STATUS, 9);
    assert_int_equal(get(f, STATUS) & 8, 0);
}

static void features_freeze(void **state)
{
    struct fixture *f = *state;

    negotiate(f, VERSION_1);
    put_features(f, VERSION_1 | FEATURE_A);
    assert_int_equal(f->d.driver_features, VERSION_1);
    put(f, DRIVER_SEL, 7);
    put(f, DRIVER, 1);
    assert_int_equal(f->d.driver_features, VERSION_1);
}

static void status_is_not_taken_back(void **state)
{
    struct fixture *f = *state;

    negotiate(f, VERSION_1);
    put(f, STATUS, 3);
    assert_int_equal(get(f, STATUS), 11);
    put(f, STATUS, 11 | 0x40); /* only the device asks for a reset */
    assert_int_equal(get(f, STATUS), 11);
    put(f, STATUS, 11 | 0x80);
    assert_int_equal(get(f, STATUS), 11 | 0x80);
}

static void no_start_without_features(void **state)
{
    struct fixture *f = *state;

    put(f, STATUS, 1);
    put(f, STATUS, 3);
    put(f, STATUS, 7);
    assert_int_equal(f->starts, 0);
    assert_int_equal(get(f, STATUS), 3);
}

static void queues_out_of_range(void **state)
{
    struct fixture *f = *state;

    negotiate(f, VERSION_1);
    put(f, QSEL, 2);
    assert_int_equal(get(f, QMAX), 0);
    set_queue(f, 2, 128, 0x1000, 0x2000, 0x3000);
    set_queue(f, UINT32_MAX, 128, 0x1000, 0x2000, 0x3000);
    for (unsigned i = 0; i < VMM_QUEUES_MAX; i++)
        assert_false(f->d.queues[i].ready);
    assert_int_equal(get(f, STATUS), 11);
}

/* Each is refused, and the driver is told that the device needs a reset. */
static void bad_rings(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint32_t num;
        uint64_t desc, avail, used;
    } bad[] = {
        {0, 0x1000, 0x2000, 0x3000},
        {3, 0x1000, 0x2000, 0x3000},
        {512, 0x1000, 0x2000, 0x3000},
        {UINT32_MAX, 0x1000, 0x2000, 0x3000},
        {128, 0x1008, 0x2000, 0x3000},
        {128, 0x1000, 0x2001, 0x3000},
        {128, 0x1000, 0x2000, 0x3002},
        {128, RING_SIZE - 2032, 0x2000, 0x3000},
        {128, 0x1000, RING_SIZE - 260, 0x3000},
        {128, 0x1000, 0x2000, RING_SIZE - 1028},
        {128, RING_SIZE, 0x2000, 0x3000},
        {128, 0xfffffffffffffff0ull, 0x2000, 0x3000},
        {128, 0x1000, 0xfffffffffffffffeull, 0x3000},
        {128, 0x1000, 0x2000, 0xfffffffffffffffcull},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        negotiate(f, VERSION_1);
        set_queue(f, 0, bad[i].num, bad[i].desc, bad[i].avail, bad[i].used);
        assert_int_equal(get(f, QREADY), 0);
        assert_int_equal(get(f, STATUS), 11 | 0x40);
        put(f, STATUS, 15); /* the bit stays */
        assert_int_equal(get(f, STATUS), 15 | 0x40);
    }
}

static void rings_up_to_the_edge(void **state)
{
    struct fixture *f = *state;

    negotiate(f, VERSION_1);
    set_queue(f, 0, 128, RING_SIZE - 2048, 0x2000, 0x3000);
    set_queue(f, 1, 128, 0x1000, RING_SIZE - 262, 0x3000);
    assert_true(f->d.queues[0].ready && f->d.queues[1].ready);
}

static void rings_freeze(void **state)
{
    struct fixture *f = *state;

    set_queue(f, 0, 128, 0x1000, 0x2000, 0x3000); /* before FEATURES_OK */
    assert_int_equal(f->d.queues[0].size, 0);
    negotiate(f, VERSION_1);
    set_queue(f, 0, 128, 0x1000, 0x2000, 0x3000);
    set_queue(f, 0, 64, 0x4000, 0x5000, 0x6000); /* after Ready */
    assert_int_equal(f->d.queues[0].size, 128);
    assert_int_equal(f->d.queues[0].desc, 0x1000);
    put(f, QREADY, 0);
    assert_int_equal(get(f, QREADY), 1);
    put(f, STATUS, 15);
    set_queue(f, 1, 64, 0x4000, 0x5000, 0x6000); /* after DRIVER_OK */
    assert_false(f->d.queues[1].ready);
}

static void odd_accesses(void **state)
{
    struct fixture *f = *state;
    uint64_t value = UINT64_MAX;
    struct err err;

    for (uint32_t len = 0; len <= 8; len++) {
        if (len != 4) {
            assert_int_equal(virtio_mmio_write(&f->d, STATUS, &value, len, &err), 0);
            assert_int_equal(get(f, STATUS), 0);
        }
    }
    assert_int_equal(virtio_mmio_write(&f->d, STATUS + 1, &value, 4, &err), 0);
    assert_int_equal(virtio_mmio_write(&f->d, UINT64_MAX - 3, &value, 4, &err), 0);
    assert_int_equal(get(f, STATUS), 0);
    put(f, 0, 7); /* a constant */
    put(f, 0x60, 0);
    assert_int_equal(get(f, 0), 0x74726976);
    assert_int_equal(get(f, 0x60), 1);
}

static void config_writes(void **state)
{
    struct fixture *f = *state;
    struct err err;

    assert_int_equal(virtio_mmio_write(&f->d, 0x104, "XY", 2, &err), 0);
    assert_int_equal(f->configs, 0); /* no driver yet */
    negotiate(f, VERSION_1);
    assert_int_equal(virtio_mmio_write(&f->d, 0x104, "XY", 2, &err), 0);
    assert_int_equal(f->configs, 1);
    assert_int_equal(f->config_off, 4);
    assert_int_equal(f->config_len, 2);
    assert_memory_equal(f->page + 0x100, "confXYuration", 13);
    assert_int_equal(virtio_mmio_write(&f->d, 0x1ff, "XY", 2, &err), 0);
    assert_int_equal(virtio_mmio_write(&f->d, 0xfff, "X", 1, &err), 0);
    assert_int_equal(f->configs, 1);
}

static void back_end_failure(void **state)
{
    struct fixture *f = *state;
    uint32_t value = 15;
    struct err err;

    negotiate(f, VERSION_1);
    f->broken = true;
    assert_int_equal(virtio_mmio_write(&f->d, STATUS, &value, 4, &err), -1);
    assert_says(err, "broken");
    assert_int_equal(get(f, STATUS), 11);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(constants),
        T(features_are_filtered),
        T(whole_life),
        T(bad_features),
        T(features_need_a_known_driver),
        T(features_freeze),
        T(status_is_not_taken_back),
        T(no_start_without_features),
        T(queues_out_of_range),
        T(bad_rings),
        T(rings_up_to_the_edge),
        T(rings_freeze),
        T(odd_accesses),
        T(config_writes),
        T(back_end_failure),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
