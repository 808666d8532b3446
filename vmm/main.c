/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vmm: the KVM virtual machine monitor of one pod. */
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "vmm/machine.h"
#include "vmm/options.h"
#include "vmm/probe.h"

static int run_probe(const struct options *o)
{
    cleanup_with(buf_free) struct buf b = {0};
    struct probe_result r;

    probe_kvm(o->kvm_fd, &r);
    probe_print(&r, &b);
    return write_all(STDOUT_FILENO, b.data, b.len) || !r.usable;
}

int main(int argc, char **argv)
{
    struct options o;
    struct err err;

    if (options_parse(argc, argv, &o, &err)) {
        fprintf(stderr, "appc-vmm: %s\n", err.msg);
        return 1;
    }
    if (o.probe)
        return run_probe(&o);
    if (machine_run(&o, &err)) {
        fprintf(stderr, "appc-vmm: %s\n", err.msg);
        return 1;
    }
    return 0;
}
