/* SPDX-License-Identifier: Apache-2.0 */
/* vmm/options.c: the command line, good and bad. */
#include "tests/unit/vmm/util.h"
#include "vmm/options.h"

#define GOOD                                                                                       \
    "appc-vmm", "--kvm-fd=3", "--kernel-fd=4", "--cmdline=quiet reboot=t", "--memory=512M",        \
        "--cpus=2"

static int parse(const char **args, struct options *o, struct err *err)
{
    int n = 0;

    while (args[n])
        n++;
    return options_parse(n, (char *const *)args, o, err);
}

static void all_options(void **state)
{
    (void)state;
    const char *args[] = {GOOD,
                          "--initrd-fd=5",
                          "--device=4:1:10",
                          "--device=19:3:11",
                          "--serial-fd=1",
                          "--stats-fd=2",
                          "--balloon=yes",
                          NULL};
    struct options o;
    struct err err;

    assert_int_equal(parse(args, &o, &err), 0);
    assert_false(o.probe);
    assert_int_equal(o.kvm_fd, 3);
    assert_int_equal(o.kernel_fd, 4);
    assert_int_equal(o.initrd_fd, 5);
    assert_int_equal(o.serial_fd, 1);
    assert_int_equal(o.stats_fd, 2);
    assert_string_equal(o.cmdline, "quiet reboot=t");
    assert_int_equal(o.memory, 512 << 20);
    assert_int_equal(o.cpus, 2);
    assert_true(o.balloon);
    assert_int_equal(o.ndevices, 2);
    assert_int_equal(o.devices[0].id, 4);
    assert_int_equal(o.devices[1].id, 19);
    assert_int_equal(o.devices[1].queues, 3);
    assert_int_equal(o.devices[1].fd, 11);
}

static void defaults(void **state)
{
    (void)state;
    const char *args[] = {GOOD, NULL};
    struct options o;
    struct err err;

    assert_int_equal(parse(args, &o, &err), 0);
    assert_int_equal(o.initrd_fd, -1);
    assert_int_equal(o.serial_fd, -1);
    assert_int_equal(o.stats_fd, -1);
    assert_false(o.balloon);
    assert_int_equal(o.ndevices, 0);
}

static void probe_mode(void **state)
{
    (void)state;
    const char *good[] = {"appc-vmm", "--probe", "--kvm-fd=3", NULL};
    const char *none[] = {"appc-vmm", "--probe", NULL};
    const char *both[] = {"appc-vmm", "--probe", "--kvm-fd=3", "--cpus=1", NULL};
    struct options o;
    struct err err;

    assert_int_equal(parse(good, &o, &err), 0);
    assert_true(o.probe);
    assert_int_equal(parse(none, &o, &err), -1);
    assert_says(err, "--kvm-fd is missing");
    assert_int_equal(parse(both, &o, &err), -1);
    assert_says(err, "--cpus does not go with --probe");
}

/* Each is wrong behind the good ones, and the message says how. */
static void bad_values(void **state)
{
    (void)state;
    static const struct {
        const char *arg;
        const char *says;
    } bad[] = {
        {"--device=4:1", "ID:QUEUES:FD"},
        {"--device=", "ID:QUEUES:FD"},
        {"--device=0:1:3", "ID 1..63"},
        {"--device=64:1:3", "ID 1..63"},
        {"--device=4:0:3", "QUEUES 1..16"},
        {"--device=4:17:3", "QUEUES 1..16"},
        {"--device=4:1:-3", "ID:QUEUES:FD"},
        {"--device=4:1:3:5", "ID:QUEUES:FD"},
        {"--device=4:1:99999999999999999999999", "ID:QUEUES:FD"},
        {"--device=4:1:2147483648", "ID:QUEUES:FD"},
        {"--initrd-fd=x", "'x' is not a descriptor"},
        {"--initrd-fd=", "is not a descriptor"},
        {"--balloon=maybe", "neither yes nor no"},
        {"--cpus=2", "given twice"},
        {"--cpu=2", "unknown argument '--cpu=2'"},
        {"--cpus", "unknown argument"},
        {"-cpus=2", "unknown argument"},
        {"kernel", "unknown argument 'kernel'"},
        {"", "unknown argument"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *args[] = {GOOD, bad[i].arg, NULL};
        struct options o = {.cpus = 77};
        struct err err;

        assert_int_equal(parse(args, &o, &err), -1);
        assert_says(err, bad[i].says);
        assert_int_equal(o.cpus, 77); /* untouched */
    }
}

static void bounds(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"--memory=16M", "'16M'"}, {"--memory=2048G", "'2048G'"}, {"--memory=lots", "'lots'"},
        {"--cpus=0", "'0'"},       {"--cpus=65", "'65'"},         {"--cpus=two", "'two'"},
        {"--kvm-fd=-1", "'-1'"},
    };
    struct options o;
    struct err err;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        const char *args[] = {"appc-vmm", bad[i][0], NULL};

        assert_int_equal(parse(args, &o, &err), -1);
        assert_says(err, bad[i][1]);
    }
}

static void too_many_devices(void **state)
{
    (void)state;
    const char *args[6 + VMM_DEVICES_MAX + 2] = {GOOD};
    struct options o;
    struct err err;

    for (int i = 0; i < VMM_DEVICES_MAX; i++)
        args[6 + i] = "--device=4:1:3";
    assert_int_equal(parse(args, &o, &err), 0);
    args[6 + VMM_DEVICES_MAX] = "--device=4:1:3";
    assert_int_equal(parse(args, &o, &err), -1);
    assert_says(err, "more than 19 devices");
}

static void long_command_line(void **state)
{
    (void)state;
    char text[VMM_CMDLINE_MAX + 64] = "--cmdline=";
    const char *args[] = {"appc-vmm", "--kvm-fd=3", "--kernel-fd=4", text, "--memory=64M",
                          "--cpus=1", NULL};
    size_t head = strlen(text);
    struct options o;
    struct err err;

    memset(text + head, 'x', VMM_CMDLINE_MAX - 1);
    assert_int_equal(parse(args, &o, &err), 0);
    text[head + VMM_CMDLINE_MAX - 1] = 'x';
    assert_int_equal(parse(args, &o, &err), -1);
    assert_says(err, "longer than 2047 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_options),
        cmocka_unit_test(defaults),
        cmocka_unit_test(probe_mode),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(bounds),
        cmocka_unit_test(too_many_devices),
        cmocka_unit_test(long_command_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
