/* SPDX-License-Identifier: Apache-2.0 */
/* Which accelerator a pod runs under: KVM where it is usable, else QEMU's TCG. */
#ifndef APPC_HOST_POD_ACCEL_H
#define APPC_HOST_POD_ACCEL_H

#include <stdbool.h>

struct err;

/* What the host offers. `reason` says why KVM can't be used, "" when it can. */
struct accel_report {
    bool kvm;
    char reason[256];
    double probe_ms; /* how long the probe took; 0 when its result was remembered */
    char *qemu;      /* path, or NULL */
};

/*
 * Looks at /dev/kvm and runs the probe guest ("appc-vmm --probe"). The result
 * is remembered in <data>/kvm-probe.json until the next boot or another
 * appc-vm; `fresh` ignores what is remembered.
 */
void accel_probe(const char *data_dir, bool fresh, struct accel_report *ret);
void accel_report_done(struct accel_report *r);

struct accel {
    int kvm_fd; /* open /dev/kvm, or -1 for TCG */
    char *qemu; /* for TCG: path of QEMU */
};

/*
 * `choice` is auto, kvm or tcg. Auto falls back to TCG with one warning line on
 * standard error, as emulation is no security boundary.
 */
int accel_choose(const char *data_dir, const char *choice, struct accel *ret, struct err *err);
void accel_done(struct accel *a);

#endif
