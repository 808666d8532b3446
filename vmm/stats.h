/* SPDX-License-Identifier: Apache-2.0 */
/* Counts of exits to user space and the JSON object that --stats-fd gets. */
#ifndef APPC_VMM_STATS_H
#define APPC_VMM_STATS_H

#include <stddef.h>
#include <stdint.h>

struct buf;

#define STATS_REASONS 64 /* KVM_EXIT_* above are counted in the last */
#define STATS_PORTS   32
#define STATS_DEVICES 32

/* One per vCPU, so that counting needs no lock. */
struct exit_stats {
    uint64_t total;                  /* returns of KVM_RUN with an exit reason */
    uint64_t interrupted;            /* returns with EINTR */
    uint64_t reasons[STATS_REASONS]; /* by KVM_EXIT_* */
    struct {
        uint16_t port;
        uint64_t count;
    } ports[STATS_PORTS]; /* in order of first use; more ports are not listed */
    size_t nports;
    uint64_t devices[STATS_DEVICES]; /* register accesses by device slot */
};

void stats_count_exit(struct exit_stats *s, uint32_t reason);
void stats_count_port(struct exit_stats *s, uint16_t port);
void stats_count_device(struct exit_stats *s, size_t slot);

/* Adds the counts of `from` to `to`. */
void stats_merge(struct exit_stats *to, const struct exit_stats *from);

/*
 * Appends the members "exits", "ports" and "devices" (without braces around
 * them) to *out.
 */
void stats_print(const struct exit_stats *s, struct buf *out);

/*
 * Appends a JSON object with the binary statistics of a VM or vCPU (the
 * descriptor is from KVM_GET_STATS_FD): scalar values by their name, zeros
 * left out; "null" when fd is -1 or what it gives can't be understood.
 */
void stats_print_kvm(int fd, struct buf *out);

#endif
