/* SPDX-License-Identifier: Apache-2.0 */
/* appc-init: PID 1 of the guest. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/cgroup.h"
#include "guest-init/early.h"
#include "guest-init/pod.h"
#include "guest-init/vsock.h"
#include "wire/wire.h"

/* Nobody else may be left when the machine resets, and init must never return. */
static _Noreturn void reset_machine(void)
{
    (void)kill(-1, SIGKILL);
    (void)reboot(RB_AUTOBOOT);
    _exit(1); /* the kernel panics and, with panic=-1, resets */
}

/* Without a host there is only the kernel's log, which a serial port shows (--debug). */
static _Noreturn void die(const struct err *err)
{
    cleanup_close int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        dprintf(fd, "appc-init: %s\n", err->msg);
    reset_machine();
}

static int prepare(struct pod *p, struct err *err)
{
    if (early_mounts(err) < 0)
        return -1;
    p->init_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    p->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (p->init_ns < 0 || p->null < 0)
        return err_set(err, errno, "can't open init's own mount namespace");
    early_cpus();
    if (cgroup_setup(EARLY_CGROUP, err) < 0 || early_templates(err) < 0)
        return -1;
    return early_loopback(err);
}

int main(void)
{
    struct pod pod;
    struct err err = {0};
    if (getpid() != 1) {
        (void)fputs("appc-init: runs only as the first process of a guest\n", stderr);
        return 2;
    }
    early_descriptors();
    early_privileges();
    (void)signal(SIGPIPE, SIG_IGN);
    /* The host makes up its answer while init mounts its file systems. */
    int control = vsock_connect(WIRE_PORT_CONTROL, true, &err);
    if (control < 0 || pod_open(&pod, control, &err) < 0)
        die(&err);
    if (prepare(&pod, &err) < 0)
        pod_fatal(&pod, &err);
    pod_run(&pod);
    reset_machine();
}
