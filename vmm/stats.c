/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of one run. */
#include "vmm/stats.h"

#include <linux/kvm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/mem.h"

/* A header that claims more is not believed. */
#define KVM_STATS_MAX      512
#define KVM_STATS_NAME_MAX 256

static const char *const reason_names[STATS_REASONS] = {
    [KVM_EXIT_UNKNOWN] = "unknown",
    [KVM_EXIT_EXCEPTION] = "exception",
    [KVM_EXIT_IO] = "io",
    [KVM_EXIT_DEBUG] = "debug",
    [KVM_EXIT_HLT] = "hlt",
    [KVM_EXIT_MMIO] = "mmio",
    [KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window",
    [KVM_EXIT_SHUTDOWN] = "shutdown",
    [KVM_EXIT_FAIL_ENTRY] = "fail-entry",
    [KVM_EXIT_INTR] = "intr",
    [KVM_EXIT_INTERNAL_ERROR] = "internal-error",
    [KVM_EXIT_SYSTEM_EVENT] = "system-event",
};

void stats_count_exit(struct exit_stats *s, uint32_t reason)
{
    s->total++;
    s->reasons[reason < STATS_REASONS ? reason : STATS_REASONS - 1]++;
}

static void add_port(struct exit_stats *s, uint16_t port, uint64_t count)
{
    for (size_t i = 0; i < s->nports; i++) {
        if (s->ports[i].port == port) {
            s->ports[i].count += count;
            return;
        }
    }
    if (s->nports == STATS_PORTS)
        return;
    s->ports[s->nports].port = port;
    s->ports[s->nports++].count = count;
}

void stats_count_port(struct exit_stats *s, uint16_t port)
{
    add_port(s, port, 1);
}

void stats_count_device(struct exit_stats *s, size_t slot)
{
    if (slot < STATS_DEVICES)
        s->devices[slot]++;
}

void stats_merge(struct exit_stats *to, const struct exit_stats *from)
{
    to->total += from->total;
    to->interrupted += from->interrupted;
    for (size_t i = 0; i < STATS_REASONS; i++)
        to->reasons[i] += from->reasons[i];
    for (size_t i = 0; i < from->nports; i++)
        add_port(to, from->ports[i].port, from->ports[i].count);
    for (size_t i = 0; i < STATS_DEVICES; i++)
        to->devices[i] += from->devices[i];
}

static void print_reasons(const struct exit_stats *s, struct buf *out)
{
    buf_printf(out, "\"exits\": {\"total\": %llu", (unsigned long long)s->total);
    for (size_t i = 0; i < STATS_REASONS; i++) {
        if (!s->reasons[i])
            continue;
        if (reason_names[i])
            buf_printf(out, ", \"%s\": %llu", reason_names[i], (unsigned long long)s->reasons[i]);
        else
            buf_printf(out, ", \"reason-%zu\": %llu", i, (unsigned long long)s->reasons[i]);
    }
    buf_printf(out, ", \"interrupted\": %llu}", (unsigned long long)s->interrupted);
}

void stats_print(const struct exit_stats *s, struct buf *out)
{
    size_t last = 0;

    print_reasons(s, out);
    buf_adds(out, ", \"ports\": {");
    for (size_t i = 0; i < s->nports; i++)
        buf_printf(out, "%s\"%#x\": %llu", i ? ", " : "", s->ports[i].port,
                   (unsigned long long)s->ports[i].count);
    buf_adds(out, "}, \"devices\": [");
    for (size_t i = 0; i < STATS_DEVICES; i++)
        if (s->devices[i])
            last = i + 1;
    for (size_t i = 0; i < last; i++)
        buf_printf(out, "%s%llu", i ? ", " : "", (unsigned long long)s->devices[i]);
    buf_addc(out, ']');
}

static bool header_ok(const struct kvm_stats_header *h)
{
    return h->num_desc <= KVM_STATS_MAX && h->name_size > 0 && h->name_size <= KVM_STATS_NAME_MAX;
}

/* Prints one statistic when it is a single number other than zero; false when nothing came. */
static bool print_kvm_stat(int fd, const struct kvm_stats_header *h, const struct kvm_stats_desc *d,
                           struct buf *out, bool first)
{
    uint64_t value;

    if (d->size != 1 || pread_all(fd, &value, sizeof(value), (off_t)h->data_offset + d->offset))
        return false;
    if (!value || memchr(d->name, '"', h->name_size) || memchr(d->name, '\\', h->name_size))
        return false;
    buf_printf(out, "%s\"%.*s\": %llu", first ? "" : ", ", (int)h->name_size, d->name,
               (unsigned long long)value);
    return true;
}

void stats_print_kvm(int fd, struct buf *out)
{
    cleanup_free char *descs = NULL;
    struct kvm_stats_header h;
    size_t step;
    bool first = true;

    if (fd < 0 || pread_all(fd, &h, sizeof(h), 0) || !header_ok(&h)) {
        buf_adds(out, "null");
        return;
    }
    step = sizeof(struct kvm_stats_desc) + h.name_size;
    descs = xcalloc(h.num_desc + 1, step);
    if (pread_all(fd, descs, h.num_desc * step, h.desc_offset)) {
        buf_adds(out, "null");
        return;
    }
    buf_addc(out, '{');
    for (size_t i = 0; i < h.num_desc; i++)
        if (print_kvm_stat(fd, &h, (struct kvm_stats_desc *)(descs + i * step), out, first))
            first = false;
    buf_addc(out, '}');
}
