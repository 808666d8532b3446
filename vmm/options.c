/* SPDX-License-Identifier: Apache-2.0 */
/* Table-driven parsing of the VMM's command line. */
#include "vmm/options.h"

#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"

#define VIRTIO_ID_MAX 63

typedef int option_parser(struct options *o, void *field, const char *value, struct err *err);

static int parse_fd(struct options *o, void *field, const char *value, struct err *err)
{
    uint64_t n;

    (void)o;
    if (parse_u64(value, INT_MAX, &n))
        return err_set(err, 0, "'%s' is not a descriptor number", value);
    *(int *)field = (int)n;
    return 0;
}

static int parse_text(struct options *o, void *field, const char *value, struct err *err)
{
    (void)o;
    if (strlen(value) >= VMM_CMDLINE_MAX)
        return err_set(err, 0, "longer than %d bytes", VMM_CMDLINE_MAX - 1);
    *(const char **)field = value;
    return 0;
}

static int parse_memory(struct options *o, void *field, const char *value, struct err *err)
{
    uint64_t n;

    (void)o;
    if (parse_size(value, &n) || n < VMM_MEMORY_MIN || n > VMM_MEMORY_MAX)
        return err_set(err, 0, "'%s' is not a size between 32M and 1024G", value);
    *(uint64_t *)field = n & ~0xfffull;
    return 0;
}

static int parse_cpus(struct options *o, void *field, const char *value, struct err *err)
{
    uint64_t n;

    (void)o;
    if (parse_u64(value, VMM_CPUS_MAX, &n) || n == 0)
        return err_set(err, 0, "'%s' is not a number between 1 and %d", value, VMM_CPUS_MAX);
    *(unsigned *)field = (unsigned)n;
    return 0;
}

/* Takes the number up to the next ':' (or the end when `last`) off *p. */
static int take_number(const char **p, bool last, uint64_t max, uint64_t *ret)
{
    char digits[24];
    size_t len = strcspn(*p, ":");

    if (len >= sizeof(digits) || ((*p)[len] == '\0') != last)
        return -1;
    memcpy(digits, *p, len);
    digits[len] = '\0';
    *p += len + !last;
    return parse_u64(digits, max, ret);
}

static int parse_device(struct options *o, void *field, const char *value, struct err *err)
{
    const char *p = value;
    uint64_t id, queues, fd;

    (void)field;
    if (o->ndevices == VMM_DEVICES_MAX)
        return err_set(err, 0, "more than %d devices", VMM_DEVICES_MAX);
    if (take_number(&p, false, VIRTIO_ID_MAX, &id) || id == 0 ||
        take_number(&p, false, VMM_QUEUES_MAX, &queues) || queues == 0 ||
        take_number(&p, true, INT_MAX, &fd))
        return err_set(err, 0, "'%s' is not ID:QUEUES:FD with ID 1..%d and QUEUES 1..%d", value,
                       VIRTIO_ID_MAX, VMM_QUEUES_MAX);
    o->devices[o->ndevices++] =
        (struct device_option){.id = (uint32_t)id, .queues = (unsigned)queues, .fd = (int)fd};
    return 0;
}

enum { RUN = 1, PROBE = 2, REPEAT = 4 };

/* `needed` and `allowed` are sets of the modes RUN and PROBE. */
static const struct option_rule {
    const char *name;
    option_parser *parse;
    size_t field;
    unsigned needed;
    unsigned allowed;
} rules[] = {
    {"kvm-fd", parse_fd, offsetof(struct options, kvm_fd), RUN | PROBE, RUN | PROBE},
    {"kernel-fd", parse_fd, offsetof(struct options, kernel_fd), RUN, RUN},
    {"initrd-fd", parse_fd, offsetof(struct options, initrd_fd), 0, RUN},
    {"cmdline", parse_text, offsetof(struct options, cmdline), RUN, RUN},
    {"memory", parse_memory, offsetof(struct options, memory), RUN, RUN},
    {"cpus", parse_cpus, offsetof(struct options, cpus), RUN, RUN},
    {"device", parse_device, 0, 0, RUN | REPEAT},
    {"serial-fd", parse_fd, offsetof(struct options, serial_fd), 0, RUN},
    {"stats-fd", parse_fd, offsetof(struct options, stats_fd), 0, RUN},
};

/* Finds the rule of "--NAME=VALUE"; NULL when there is none. */
static const struct option_rule *find_rule(const char *arg, const char **ret_value)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        size_t len = strlen(rules[i].name);

        if (str_starts(arg, "--") && str_starts(arg + 2, rules[i].name) && arg[2 + len] == '=') {
            *ret_value = arg + 2 + len + 1;
            return &rules[i];
        }
    }
    return NULL;
}

static int parse_one(struct options *o, unsigned *seen, const char *arg, struct err *err)
{
    const char *value;
    const struct option_rule *rule = find_rule(arg, &value);
    unsigned bit;

    if (!rule)
        return err_set(err, 0, "unknown argument '%s': options are --NAME=VALUE", arg);
    bit = 1u << (rule - rules);
    if ((*seen & bit) && !(rule->allowed & REPEAT))
        return err_set(err, 0, "option --%s was given twice", rule->name);
    *seen |= bit;
    if (rule->parse(o, (char *)o + rule->field, value, err))
        return err_prefix(err, "option --%s", rule->name);
    return 0;
}

static int check_mode(unsigned seen, unsigned mode, struct err *err)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        bool given = seen & (1u << i);

        if (!given && (rules[i].needed & mode))
            return err_set(err, 0, "option --%s is missing", rules[i].name);
        if (given && !(rules[i].allowed & mode))
            return err_set(err, 0, "option --%s does not go with --probe", rules[i].name);
    }
    return 0;
}

int options_parse(int argc, char *const *argv, struct options *ret, struct err *err)
{
    struct options o = {
        .kvm_fd = -1, .kernel_fd = -1, .initrd_fd = -1, .serial_fd = -1, .stats_fd = -1};
    unsigned seen = 0;

    for (int i = 1; i < argc; i++) {
        if (str_eq(argv[i], "--probe"))
            o.probe = true;
        else if (parse_one(&o, &seen, argv[i], err))
            return -1;
    }
    if (check_mode(seen, o.probe ? PROBE : RUN, err))
        return -1;
    *ret = o;
    return 0;
}
