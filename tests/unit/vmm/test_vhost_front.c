/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/vhost_user_*.c: the front end against a device process that is a thread with a script. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "tests/unit/vmm/util.h"
#include "vmm/arch.h"
#include "vmm/memory.h"
#include "vmm/vhost_user_front.h"
#include "vmm/vhost_user_msg.h"

#define SEEN_MAX 64

/* How the device behaves. */
struct script {
    uint64_t features, protocol, queues;
    uint32_t config_max;  /* larger requests are refused with an empty reply */
    uint32_t hang_up_at;  /* request on which it closes */
    uint32_t lie_at;      /* request to which it answers something else */
    uint32_t lie_request; /* ... this request number, or */
    uint32_t lie_size;    /* ... this size */
    const char *config;
};

struct device {
    struct script script;
    int sock;
    pthread_t thread;
    uint32_t seen[SEEN_MAX];
    size_t nseen, nfds;
    uint64_t set_features;
    struct vhost_vring_addr addr;
    struct vhost_mem_table table;
    uint8_t written[8];
    uint32_t written_off;
};

static void reply(struct device *d, uint32_t request, const void *payload, uint32_t size)
{
    struct vhost_header h = {request, VHOST_VERSION | VHOST_REPLY, size};

    if (d->script.lie_at == request) {
        h.request = d->script.lie_request ? d->script.lie_request : request;
        h.size = d->script.lie_size ? d->script.lie_size : size;
    }
    /* The front end may have hung up after a lie. */
    if (!write_all(d->sock, &h, sizeof(h)) && write_all(d->sock, payload, size))
        return;
}

static void reply_config(struct device *d, struct vhost_config *c)
{
    uint32_t head = offsetof(struct vhost_config, data);

    if (c->size > d->script.config_max) {
        reply(d, VHOST_GET_CONFIG, c, 0);
        return;
    }
    memset(c->data, 0, sizeof(c->data));
    if (d->script.config)
        memcpy(c->data, d->script.config, strlen(d->script.config));
    if (d->nseen > 20)
        memcpy(c->data + d->written_off, d->written, sizeof(d->written));
    reply(d, VHOST_GET_CONFIG, c, head + c->size);
}

static void answer(struct device *d, uint32_t request, void *payload, uint32_t size)
{
    struct vhost_vring_state state = {.num = 5};

    switch (request) {
    case VHOST_GET_FEATURES:
        reply(d, request, &d->script.features, 8);
        break;
    case VHOST_GET_PROTOCOL_FEATURES:
        reply(d, request, &d->script.protocol, 8);
        break;
    case VHOST_GET_QUEUE_NUM:
        reply(d, request, &d->script.queues, 8);
        break;
    case VHOST_GET_VRING_BASE:
        reply(d, request, &state, sizeof(state));
        break;
    case VHOST_GET_CONFIG:
        reply_config(d, payload);
        break;
    case VHOST_SET_CONFIG:
        d->written_off = ((struct vhost_config *)payload)->offset;
        memcpy(d->written, ((struct vhost_config *)payload)->data, size - 12);
        break;
    case VHOST_SET_FEATURES:
        memcpy(&d->set_features, payload, 8);
        break;
    case VHOST_SET_VRING_ADDR:
        memcpy(&d->addr, payload, sizeof(d->addr));
        break;
    case VHOST_SET_MEM_TABLE:
        memcpy(&d->table, payload, size);
        break;
    default:
        break;
    }
}

static void *device_main(void *arg)
{
    struct device *d = arg;

    for (;;) {
        struct vhost_header h;
        uint8_t payload[VHOST_PAYLOAD_MAX] __attribute__((aligned(8))) = {0};
        int fds[FDPASS_MAX];
        size_t nfds = 0;

        if (recv_fds(d->sock, &h, sizeof(h), fds, &nfds) != (ssize_t)sizeof(h))
            break;
        for (size_t i = 0; i < nfds; i++)
            close(fds[i]);
        d->nfds += nfds;
        if (d->nseen < SEEN_MAX)
            d->seen[d->nseen++] = h.request;
        if (h.size > sizeof(payload) || read_all(d->sock, payload, h.size) ||
            d->script.hang_up_at == h.request)
            break;
        answer(d, h.request, payload, h.size);
    }
    close(d->sock);
    return NULL;
}

struct fixture {
    struct device device;
    struct vhost_front front;
    struct guest_memory memory;
    int sock;
};

static const struct script good = {
    .features = 1ull << 32 | 1ull << 30 | 1ull << 3,
    .protocol = UINT64_MAX,
    .queues = 4,
    .config_max = 256,
    .config = "device configuration",
};

static struct fixture *start(const struct script *script, uint64_t memory)
{
    struct fixture *f = test_calloc(1, sizeof(*f));
    int pair[2];
    struct err err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->sock = pair[0];
    f->device.sock = pair[1];
    f->device.script = *script;
    f->memory.fd = -1;
    arch_memory_layout(memory, &f->memory);
    assert_int_equal(memory_create(&f->memory, &err), 0);
    assert_int_equal(pthread_create(&f->device.thread, NULL, device_main, &f->device), 0);
    return f;
}

/* Hangs up and waits until the device has seen everything. */
static void finish(struct fixture *f)
{
    shutdown(f->sock, SHUT_RDWR);
    pthread_join(f->device.thread, NULL);
    close(f->sock);
    f->sock = -1;
}

static void destroy(struct fixture *f)
{
    if (f->sock >= 0)
        finish(f);
    vhost_front_destroy(&f->front);
    memory_destroy(&f->memory);
    test_free(f);
}

static int introduce(struct fixture *f, unsigned nqueues, uint8_t *config, struct err *err)
{
    if (vhost_front_begin(&f->front, f->sock, nqueues, "device 0 (virtio id 2)", err))
        return -1;
    return vhost_front_finish(&f->front, &f->memory, config, err);
}

static void assert_seen(const struct device *d, size_t from, const uint32_t *requests, size_t n)
{
    assert_int_equal(d->nseen, from + n);
    assert_memory_equal(d->seen + from, requests, n * sizeof(*requests));
}

static void introduction(void **state)
{
    (void)state;
    struct fixture *f = start(&good, 5ull << 30);
    uint8_t config[VIRTIO_CONFIG_MAX];
    static const uint32_t order[] = {1, 15, 16, 17, 3, 24, 5};
    struct err err;

    assert_int_equal(introduce(f, 2, config, &err), 0);
    assert_int_equal(f->front.features, good.features);
    assert_string_equal((char *)config, "device configuration");
    finish(f);
    assert_seen(&f->device, 0, order, ARRAY_SIZE(order));
    assert_int_equal(f->device.nfds, 2); /* a descriptor for each region */
    assert_int_equal(f->device.table.nregions, 2);
    assert_int_equal(f->device.table.regions[0].gpa, 0);
    assert_int_equal(f->device.table.regions[0].size, 3ull << 30);
    assert_int_equal(f->device.table.regions[1].gpa, 4ull << 30);
    assert_int_equal(f->device.table.regions[1].offset, 3ull << 30);
    /* No address of ours is told. */
    assert_int_not_equal(f->device.table.regions[0].user_addr,
                         (uintptr_t)f->memory.regions[0].host);
    destroy(f);
}

static void start_and_stop(void **state)
{
    (void)state;
    struct fixture *f = start(&good, 64 << 20);
    uint8_t config[VIRTIO_CONFIG_MAX];
    static const uint32_t order[] = {2, 8, 10, 9, 13, 12, 18, 11};
    struct virtio_mmio d = {
        .nqueues = 3,
        .driver_features = 1ull << 32,
        .queues[1] = {.size = 64, .desc = 0x1000, .avail = 0x2000, .used = 0x3000, .ready = true}};
    uint64_t base;
    struct err err;

    assert_int_equal(introduce(f, 3, config, &err), 0);
    assert_int_equal(vhost_front_backend.start(&f->front, &d, &err), 0);
    assert_int_equal(vhost_front_backend.stop(&f->front, &d, &err), 0);
    finish(f);
    assert_seen(&f->device, 7, order, ARRAY_SIZE(order));
    assert_int_equal(f->device.set_features, 1ull << 32 | 1ull << 30);
    assert_int_equal(f->device.nfds, 1 + 2);
    base = f->device.table.regions[0].user_addr;
    assert_int_equal(f->device.addr.index, 1);
    assert_int_equal(f->device.addr.desc - base, 0x1000);
    assert_int_equal(f->device.addr.avail - base, 0x2000);
    assert_int_equal(f->device.addr.used - base, 0x3000);
    destroy(f);
}

/* A back end of the old kind: no protocol features, no configuration, rings start enabled. */
static void plain_device(void **state)
{
    (void)state;
    struct script s = {.features = 1ull << 32};
    struct fixture *f = start(&s, 64 << 20);
    uint8_t config[VIRTIO_CONFIG_MAX], zero[VIRTIO_CONFIG_MAX] = {0};
    static const uint32_t order[] = {1, 3, 5, 2, 8, 10, 9, 13, 12};
    struct virtio_mmio d = {.nqueues = 1, .queues[0] = {.size = 8, .ready = true}};
    struct err err;

    assert_int_equal(introduce(f, 1, config, &err), 0);
    assert_memory_equal(config, zero, sizeof(zero));
    assert_int_equal(vhost_front_backend.start(&f->front, &d, &err), 0);
    finish(f);
    assert_seen(&f->device, 0, order, ARRAY_SIZE(order));
    destroy(f);
}

/* Some devices refuse to read beyond the end of their configuration. */
static void short_configuration(void **state)
{
    (void)state;
    struct script s = good;
    struct fixture *f;
    uint8_t config[VIRTIO_CONFIG_MAX];
    struct err err;

    s.config_max = 40;
    f = start(&s, 64 << 20);
    assert_int_equal(introduce(f, 1, config, &err), 0);
    assert_string_equal((char *)config, "device configuration");
    assert_int_equal(config[32], 0);
    destroy(f);
}

static void configuration_write(void **state)
{
    (void)state;
    struct fixture *f = start(&good, 64 << 20);
    uint8_t config[VIRTIO_CONFIG_MAX];
    struct err err;

    assert_int_equal(introduce(f, 1, config, &err), 0);
    assert_int_equal(vhost_front_backend.write_config(&f->front, 6, "12345678", 8, config, &err),
                     0);
    finish(f);
    assert_int_equal(f->device.written_off, 6);
    assert_memory_equal(f->device.written, "12345678", 8);
    destroy(f);
}

static void too_few_queues(void **state)
{
    (void)state;
    struct fixture *f = start(&good, 64 << 20);
    uint8_t config[VIRTIO_CONFIG_MAX];
    struct err err;

    assert_int_equal(introduce(f, 5, config, &err), -1);
    assert_says(err, "device 0 (virtio id 2): has 4 queues, not 5");
    destroy(f);
}

/* Whatever it is asked last before it goes, the answer is one line that names it. */
static void hang_ups(void **state)
{
    (void)state;
    static const uint32_t at[] = {1, 15, 17, 24};

    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        struct script s = good;
        struct fixture *f;
        uint8_t config[VIRTIO_CONFIG_MAX];
        struct err err;

        s.hang_up_at = at[i];
        f = start(&s, 64 << 20);
        assert_int_equal(introduce(f, 1, config, &err), -1);
        assert_says(err, "device 0 (virtio id 2): ");
        destroy(f);
    }
}

static void lies(void **state)
{
    (void)state;
    static const struct {
        uint32_t at, request, size;
        const char *says;
    } cases[] = {
        {1, 2, 0, "answers request 1 with a message 2"},
        {1, 0, 9, "answers request 1 with 9 bytes"},
        {1, 0, 4, "answers request 1 with 4 bytes, not 8"},
        {15, 0, UINT32_MAX, "answers request 15 with 4294967295 bytes"},
        {24, 0, 1024, "answers request 24 with 1024 bytes"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct script s = good;
        struct fixture *f;
        uint8_t config[VIRTIO_CONFIG_MAX];
        struct err err;

        s.lie_at = cases[i].at;
        s.lie_request = cases[i].request;
        s.lie_size = cases[i].size;
        f = start(&s, 64 << 20);
        assert_int_equal(introduce(f, 1, config, &err), -1);
        assert_says(err, cases[i].says);
        destroy(f);
    }
}

/* A device that never answers is given up, here after no time at all. */
static void silence(void **state)
{
    (void)state;
    int pair[2];
    uint64_t value;
    size_t len;
    struct err err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_int_equal(vhost_recv_reply(pair[0], 1, &value, 8, &len, 0, &err), -1);
    assert_int_equal(err.errnum, ETIMEDOUT);
    assert_says(err, "reply to request 1: no answer");
    /* Half an answer is no better. */
    assert_int_equal(write_all(pair[1], "\1\0\0\0", 4), 0);
    assert_int_equal(vhost_recv_reply(pair[0], 1, &value, 8, &len, 0, &err), -1);
    assert_int_equal(err.errnum, ETIMEDOUT);
    close(pair[0]);
    close(pair[1]);
}

/* Nor is one that does not read. */
static void full_socket(void **state)
{
    (void)state;
    int pair[2], r = 0;
    uint64_t value = 0;
    struct err err;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    for (int i = 0; i < 1000000 && !r; i++)
        r = vhost_send(pair[0], 2, 0, &value, 8, NULL, 0, 0, &err);
    assert_int_equal(r, -1);
    assert_int_equal(err.errnum, ETIMEDOUT);
    close(pair[0]);
    close(pair[1]);
}

static void oversized_request(void **state)
{
    (void)state;
    static const uint8_t big[VHOST_PAYLOAD_MAX + 1];
    struct err err;

    assert_int_equal(vhost_send(-1, 2, 0, big, sizeof(big), NULL, 0, 0, &err), -1);
    assert_int_equal(err.errnum, EMSGSIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(introduction),
        cmocka_unit_test(start_and_stop),
        cmocka_unit_test(plain_device),
        cmocka_unit_test(short_configuration),
        cmocka_unit_test(configuration_write),
        cmocka_unit_test(too_few_queues),
        cmocka_unit_test(hang_ups),
        cmocka_unit_test(lies),
        cmocka_unit_test(silence),
        cmocka_unit_test(full_socket),
        cmocka_unit_test(oversized_request),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
