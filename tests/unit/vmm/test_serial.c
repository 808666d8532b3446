/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/serial.c as a 16550A driver sees it, and vmm/stats.c. */
#include <errno.h>
#include <linux/kvm.h>

#include "base/buf.h"
#include "tests/unit/vmm/util.h"
#include "vmm/serial.h"
#include "vmm/stats.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct fixture {
    struct serial s;
    int out[2];
};

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof(*f));

    assert_int_equal(pipe(f->out), 0);
    serial_init(&f->s, f->out[1]);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close(f->out[0]);
    close(f->out[1]);
    test_free(f);
    return 0;
}

static void sends(void **state)
{
    struct fixture *f = *state;
    char text[3];

    serial_write(&f->s, DATA, 'h');
    serial_write(&f->s, DATA, 'i');
    assert_int_equal(read(f->out[0], text, sizeof(text)), 2);
    assert_memory_equal(text, "hi", 2);
    assert_int_equal(serial_read(&f->s, LSR), 0x60);
}

/* What Linux tries (8250_port.c): the second time it is not told, so that it does not rely on it.
 */
static void says_empty_once(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(serial_read(&f->s, IIR), 0x01);
    serial_write(&f->s, IER, 0x02);
    assert_int_equal(serial_read(&f->s, IIR), 0x02);
    serial_write(&f->s, IER, 0);
    serial_write(&f->s, IER, 0x02);
    assert_int_equal(serial_read(&f->s, IIR), 0x01);
    serial_write(&f->s, DATA, 'x');
    serial_write(&f->s, IIR, 0x01); /* FIFO on: a 16550A says so */
    assert_int_equal(serial_read(&f->s, IIR), 0xc2);
}

static void is_recognised(void **state)
{
    struct fixture *f = *state;

    serial_write(&f->s, SCR, 0xa5);
    assert_int_equal(serial_read(&f->s, SCR), 0xa5);
    assert_int_equal(serial_read(&f->s, MSR), 0xb0);
    serial_write(&f->s, MCR, 0x1a); /* loop-back, as drivers try */
    assert_int_equal(serial_read(&f->s, MSR), 0x90);
    serial_write(&f->s, DATA, 'x'); /* goes nowhere */
    serial_write(&f->s, MCR, 0x03);
    serial_write(&f->s, LCR, 0x80);
    serial_write(&f->s, DATA, 0x0c);
    serial_write(&f->s, IER, 0x01);
    assert_int_equal(serial_read(&f->s, DATA), 0x0c);
    assert_int_equal(serial_read(&f->s, IER), 0x01);
    serial_write(&f->s, LCR, 0x03);
    assert_int_equal(serial_read(&f->s, IER), 0);
    assert_int_equal(serial_read(&f->s, DATA), 0);
    serial_write(&f->s, DATA, 'y');
    char c[2];
    assert_int_equal(read(f->out[0], c, sizeof(c)), 1);
    assert_int_equal(c[0], 'y');
}

static void absent(void **state)
{
    (void)state;
    struct serial s;

    serial_init(&s, -1);
    serial_write(&s, DATA, 'x');
    for (unsigned i = 0; i < SERIAL_PORTS; i++)
        assert_int_equal(serial_read(&s, i), 0xff);
}

static void statistics(void **state)
{
    (void)state;
    cleanup_with(buf_free) struct buf b = {0};
    struct exit_stats a = {0}, c = {0};

    stats_count_exit(&a, KVM_EXIT_IO);
    stats_count_exit(&a, KVM_EXIT_MMIO);
    stats_count_exit(&a, 4000000000u); /* a reason of the future */
    stats_count_port(&a, 0x64);
    stats_count_device(&a, 2);
    stats_count_device(&a, 1000);
    stats_count_exit(&c, KVM_EXIT_IO);
    stats_count_port(&c, 0x64);
    stats_merge(&c, &a);
    stats_print(&c, &b);
    assert_string_equal(b.data,
                        "\"exits\": {\"total\": 4, \"io\": 2, \"mmio\": 1, \"reason-63\": 1, "
                        "\"interrupted\": 0}, \"ports\": {\"0x64\": 2}, "
                        "\"devices\": [0, 0, 1]");
}

static void many_ports(void **state)
{
    (void)state;
    struct exit_stats s = {0};

    for (unsigned i = 0; i < 1000; i++)
        stats_count_port(&s, (uint16_t)i);
    assert_int_equal(s.nports, STATS_PORTS);
}

/* struct kvm_stats_desc with its name. */
struct desc {
    uint32_t flags;
    int16_t exponent;
    uint16_t size;
    uint32_t offset;
    uint32_t bucket_size;
    char name[16];
};

/* The layout of KVM_GET_STATS_FD in a file, with a header that can be spoilt. */
static void kvm_statistics(void **state)
{
    (void)state;
    struct {
        struct kvm_stats_header h;
        char id[16];
        struct desc descs[2];
        uint64_t values[2];
    } file = {
        .h = {.name_size = 16, .num_desc = 2, .desc_offset = sizeof(struct kvm_stats_header) + 16},
        .descs = {{.size = 1, .offset = 0, .name = "exits"},
                  {.size = 1, .offset = 8, .name = "halts"}},
        .values = {77, 0}};
    char path[] = "/tmp/kvm-stats-XXXXXX";
    cleanup_close int fd = mkstemp(path);
    cleanup_with(buf_free) struct buf b = {0};

    unlink(path);
    file.h.data_offset = (uint32_t)((char *)file.values - (char *)&file);
    assert_int_equal(pwrite_all(fd, &file, sizeof(file), 0), 0);
    stats_print_kvm(fd, &b);
    assert_string_equal(b.data, "{\"exits\": 77}"); /* zeros are left out */
    buf_reset(&b);
    file.h.num_desc = 1u << 30;
    assert_int_equal(pwrite_all(fd, &file, sizeof(file), 0), 0);
    stats_print_kvm(fd, &b);
    stats_print_kvm(-1, &b);
    assert_string_equal(b.data, "nullnull");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(sends),
        T(says_empty_once),
        T(is_recognised),
        cmocka_unit_test(absent),
        cmocka_unit_test(statistics),
        cmocka_unit_test(many_ports),
        cmocka_unit_test(kvm_statistics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
