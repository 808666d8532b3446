/* SPDX-License-Identifier: Apache-2.0 */
/* Starts the device processes and the VMM (appc-vmm, or QEMU without KVM) of a pod. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "host/supervisor/pod.h"
#include "host/supervisor/tsc.h"

/* virtio device ids (virtio 1.2, section 5). */
#define VIRTIO_ID_BLK   2
#define VIRTIO_ID_RNG   4
#define VIRTIO_ID_VSOCK 19
#define VIRTIO_ID_FS    26

/* The first bytes of every kernel command line; see docs/architecture.md. */
#define CMDLINE_QUIET "quiet reboot=t panic=-1"
#define CMDLINE_DEBUG "console=ttyS0 8250.nr_uarts=1 reboot=t panic=-1 ignore_loglevel"
#define KERNEL_HZ     100 /* kernel-config/x86_64.config */

/* As long as the queue of appc-vmm: with QEMU's own 128 large reads and writes are cut up. */
#define FS_QEMU_DEVICE "vhost-user-fs-device,queue-size=1024,num-request-queues=1,tag=" WIRE_FS_TAG

/* One device as its front end sees it. */
struct front {
    unsigned id;
    unsigned queues;
    const char *qemu_device; /* with its properties; the chardev is added */
    int fd;                  /* socket to the device process */
};

struct launching {
    struct pod *pod;
    struct tsc_sample begin;
    struct front fronts[POD_DEVICES_MAX];
    unsigned n;
};

static void device_ended(struct child *c)
{
    struct pod *p = c->ctx;
    struct err why;
    if (p->phase >= POD_CLOSED)
        return;
    /* A device whose VMM went away ends quietly; the VMM's own end says more. */
    if (WIFEXITED(c->wstatus) && WEXITSTATUS(c->wstatus) == 0)
        return;
    child_reason(c, &why);
    pod_fail(p, "%s", why.msg);
}

static void vmm_ended(struct child *c)
{
    struct pod *p = c->ctx;
    struct err why;
    if (p->phase == POD_CLOSED || p->phase == POD_DEAD)
        return;
    if (WIFEXITED(c->wstatus) && WEXITSTATUS(c->wstatus) == 0) {
        pod_fail(p, "the guest reset itself before its apps had ended%s",
                 p->plan.debug ? "" : "; --debug shows its console");
        return;
    }
    child_reason(c, &why);
    pod_fail(p, "%s", why.msg);
}

static void prepare_child(struct pod *p, struct child *c, const char *name,
                          void (*ended)(struct child *))
{
    *c = (struct child){.name = name,
                        .log_fd = p->children_log_fd,
                        .echo = p->plan.debug,
                        .ended = ended,
                        .ctx = p};
}

/* Starts one device process; `a` has its own options already. */
static int start_device(struct launching *l, const char *name, struct front front,
                        struct child_args *a, struct err *err)
{
    struct pod *p = l->pod;
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) < 0)
        return err_set(err, errno, "can't make a socket for %s", name);
    child_arg(a, "--socket-fd=%d", child_arg_fd(a, sv[1]));
    struct child *c = &p->devices[p->ndevices];
    prepare_child(p, c, name, device_ended);
    int r = child_start(c, &p->loop, a, err);
    close(sv[1]);
    child_args_done(a);
    if (r < 0) {
        close(sv[0]);
        return -1;
    }
    p->ndevices++;
    front.fd = sv[0];
    l->fronts[l->n++] = front;
    return 0;
}

static int start_vsock(struct launching *l, int connect_fd, struct err *err)
{
    struct child_args a = {0};
    child_arg(&a, "%s/appc-dev-vsock", l->pod->plan.libexec);
    child_arg(&a, "--connect-fd=%d", child_arg_fd(&a, connect_fd));
    child_arg(&a, "--guest-cid=%d", WIRE_GUEST_CID);
    return start_device(l, "appc-dev-vsock",
                        (struct front){VIRTIO_ID_VSOCK, 3, "vhost-user-vsock-device", -1}, &a, err);
}

/* What the pod's isolators allow holds for each disk (ISO-58, ISO-59). */
static void add_limits(const struct plan *plan, struct child_args *a)
{
    if (plan->block_bytes)
        child_arg(a, "--bytes-per-second=%llu", (unsigned long long)plan->block_bytes);
    if (plan->block_requests)
        child_arg(a, "--requests-per-second=%llu", (unsigned long long)plan->block_requests);
}

static int start_images(struct launching *l, struct err *err)
{
    const struct plan *plan = &l->pod->plan;
    struct child_args a = {0};
    child_arg(&a, "%s/appc-dev-blk", plan->libexec);
    child_arg(&a, "--read-only");
    child_arg(&a, "--serial=%s", WIRE_DISK_IMAGES);
    add_limits(plan, &a);
    for (size_t i = 0; i < plan->nimages; i++) {
        const struct plan_extent *e = &plan->images[i];
        if (e->fd < 0)
            child_arg(&a, "--extent=zero:%llu", (unsigned long long)e->length);
        else
            child_arg(&a, "--extent=%d:%llu:%llu", child_arg_fd(&a, e->fd),
                      (unsigned long long)e->offset, (unsigned long long)e->length);
    }
    return start_device(l, "appc-dev-blk (images)",
                        (struct front){VIRTIO_ID_BLK, 1, "vhost-user-blk,num-queues=1", -1}, &a,
                        err);
}

static int start_scratch(struct launching *l, struct err *err)
{
    const struct plan *plan = &l->pod->plan;
    struct child_args a = {0};
    off_t size = lseek(plan->scratch_fd, 0, SEEK_END);
    child_arg(&a, "%s/appc-dev-blk", plan->libexec);
    child_arg(&a, "--serial=%s", WIRE_DISK_SCRATCH);
    add_limits(plan, &a);
    child_arg(&a, "--extent=%d:0:%llu", child_arg_fd(&a, plan->scratch_fd),
              (unsigned long long)size);
    return start_device(l, "appc-dev-blk (scratch)",
                        (struct front){VIRTIO_ID_BLK, 1, "vhost-user-blk,num-queues=1", -1}, &a,
                        err);
}

static int start_fs(struct launching *l, struct err *err)
{
    const struct plan *plan = &l->pod->plan;
    struct child_args a = {0};
    child_arg(&a, "%s/appc-dev-fs", plan->libexec);
    child_arg(&a, "--tag=%s", WIRE_FS_TAG);
    child_arg(&a, "--ownership=%s", plan->ownership);
    for (size_t i = 0; i < plan->nshares; i++) {
        const struct plan_share *s = &plan->shares[i];
        child_arg(&a, "--share=%s:%d%s%s", s->name, child_arg_fd(&a, s->fd),
                  s->read_only ? ":ro" : "", s->recursive ? "" : ":norec");
    }
    return start_device(l, "appc-dev-fs", (struct front){VIRTIO_ID_FS, 2, FS_QEMU_DEVICE, -1}, &a,
                        err);
}

static int start_rng(struct launching *l, struct err *err)
{
    struct child_args a = {0};
    child_arg(&a, "%s/appc-dev-rng", l->pod->plan.libexec);
    return start_device(l, "appc-dev-rng", (struct front){VIRTIO_ID_RNG, 1, "vhost-user-rng", -1},
                        &a, err);
}

static void kvm_args(const struct launching *l, struct child_args *a, int kernel_fd, int initrd_fd,
                     int serial_fd)
{
    const struct plan *plan = &l->pod->plan;
    child_arg(a, "%s/appc-vmm", plan->libexec);
    child_arg(a, "--kvm-fd=%d", child_arg_fd(a, plan->kvm_fd));
    child_arg(a, "--kernel-fd=%d", child_arg_fd(a, kernel_fd));
    child_arg(a, "--initrd-fd=%d", child_arg_fd(a, initrd_fd));
    child_arg(a, "--cmdline=%s", plan->debug ? CMDLINE_DEBUG : CMDLINE_QUIET);
    child_arg(a, "--memory=%llu", (unsigned long long)plan->memory);
    child_arg(a, "--cpus=%u", plan->cpus);
    for (unsigned i = 0; i < l->n; i++)
        child_arg(a, "--device=%u:%u:%d", l->fronts[i].id, l->fronts[i].queues,
                  child_arg_fd(a, l->fronts[i].fd));
    if (serial_fd >= 0)
        child_arg(a, "--serial-fd=%d", child_arg_fd(a, serial_fd));
}

static void two(struct child_args *a, const char *option, const char *value)
{
    child_arg(a, "%s", option);
    child_arg(a, "%s", value);
}

/*
 * One CPU at first: while the kernel patches its own code at boot, QEMU may let another CPU run
 * into a breakpoint that is gone already ("Oops: int3", about one boot in a hundred on a busy
 * host). Init starts the others. An emulated CPU's counter is the host's. The guest can't measure
 * it against an emulated timer, nor watch it: ticks get lost when the host has other things to do.
 * It would be left with a clock of 10 ms steps that is slow.
 */
static void qemu_cmdline(const struct launching *l, struct child_args *a)
{
    const char *cmdline = l->pod->plan.debug ? CMDLINE_DEBUG : CMDLINE_QUIET;
    uint64_t khz = tsc_khz(l->begin, tsc_sample());
    /* Mostly the start of the device processes has taken long enough to tell. */
    for (int i = 0; i < 4 && !khz && l->begin.ticks; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        khz = tsc_khz(l->begin, tsc_sample());
    }
    child_arg(a, "-append");
    if (khz)
        child_arg(a, "%s maxcpus=1 noreplace-smp tsc=reliable tsc_early_khz=%llu lpj=%llu", cmdline,
                  (unsigned long long)khz, (unsigned long long)khz * 1000 / KERNEL_HZ);
    else
        child_arg(a, "%s maxcpus=1 noreplace-smp", cmdline);
}

/* QEMU's microvm as the front end of the same device processes. */
static void qemu_args(const struct launching *l, struct child_args *a, int kernel_fd, int initrd_fd,
                      int serial_fd)
{
    const struct plan *plan = &l->pod->plan;
    char tmp[256];
    child_arg(a, "%s", plan->qemu);
    /* Without an RTC the kernel would look for one for a second. */
    snprintf(tmp, sizeof(tmp), "microvm,acpi=off,rtc=on,isa-serial=%s,memory-backend=mem",
             serial_fd >= 0 ? "on" : "off");
    two(a, "-M", tmp);
    two(a, "-accel", "tcg,thread=multi");
    two(a, "-cpu", "max");
    snprintf(tmp, sizeof(tmp), "%u", plan->cpus);
    two(a, "-smp", tmp);
    snprintf(tmp, sizeof(tmp), "%lluK", (unsigned long long)plan->memory >> 10);
    two(a, "-m", tmp);
    char object[300];
    snprintf(object, sizeof(object), "memory-backend-memfd,id=mem,share=on,size=%s", tmp);
    two(a, "-object", object);
    child_arg(a, "-nodefaults");
    child_arg(a, "-no-user-config");
    child_arg(a, "-no-reboot");
    two(a, "-display", "none");
    two(a, "-global", "virtio-mmio.force-legacy=false");
    snprintf(tmp, sizeof(tmp), "/proc/self/fd/%d", child_arg_fd(a, kernel_fd));
    two(a, "-kernel", tmp);
    snprintf(tmp, sizeof(tmp), "/proc/self/fd/%d", child_arg_fd(a, initrd_fd));
    two(a, "-initrd", tmp);
    qemu_cmdline(l, a);
    for (unsigned i = 0; i < l->n; i++) {
        snprintf(tmp, sizeof(tmp), "socket,id=d%u,fd=%d", i, child_arg_fd(a, l->fronts[i].fd));
        two(a, "-chardev", tmp);
        snprintf(tmp, sizeof(tmp), "%s,chardev=d%u", l->fronts[i].qemu_device, i);
        two(a, "-device", tmp);
    }
    if (serial_fd >= 0) {
        snprintf(tmp, sizeof(tmp), "file,id=console,path=/proc/self/fd/%d",
                 child_arg_fd(a, serial_fd));
        two(a, "-chardev", tmp);
        two(a, "-serial", "chardev:console");
    }
}

static int open_guest_file(const struct plan *plan, const char *name, struct err *err)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/guest/%s", plan->libexec, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno, "can't open the guest's %s at %s; \"./dev setup\" builds it",
                       name, path);
    return fd;
}

static int start_vmm(struct launching *l, int serial_fd, struct err *err)
{
    struct pod *p = l->pod;
    cleanup_close int kernel = open_guest_file(&p->plan, "vmlinux", err);
    if (kernel < 0)
        return -1;
    cleanup_close int initrd = open_guest_file(&p->plan, "initramfs.cpio", err);
    if (initrd < 0)
        return -1;
    struct child_args a = {0};
    if (p->plan.kvm_fd >= 0)
        kvm_args(l, &a, kernel, initrd, serial_fd);
    else
        qemu_args(l, &a, kernel, initrd, serial_fd);
    prepare_child(p, &p->vmm, p->plan.kvm_fd >= 0 ? "appc-vmm" : "qemu", vmm_ended);
    int r = child_start(&p->vmm, &p->loop, &a, err);
    child_args_done(&a);
    return r;
}

/* appc-dev-vsock hands over a connection of the guest. */
static void on_connect(struct watch *w, uint32_t events)
{
    (void)events;
    struct pod *p = (struct pod *)((char *)w - offsetof(struct pod, connects));
    unsigned char msg[8];
    int fds[FDPASS_MAX];
    size_t nfds;
    ssize_t n = recv_fds(w->fd, msg, sizeof(msg), fds, &nfds);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        loop_del(&p->loop, w);
        close(w->fd);
        w->fd = -1;
        return;
    }
    if (n != (ssize_t)sizeof(msg) || nfds != 1) {
        for (size_t i = 0; i < nfds; i++)
            close(fds[i]);
        return;
    }
    uint32_t port =
        msg[0] | (uint32_t)msg[1] << 8 | (uint32_t)msg[2] << 16 | (uint32_t)msg[3] << 24;
    if (port == WIRE_PORT_METADATA && p->mds_connect_fd >= 0) {
        /* A full queue or a dead service: the client sees its connection closed. */
        (void)send_fds(p->mds_connect_fd, "c", 1, fds, 1);
        close(fds[0]);
    } else if (port == WIRE_PORT_CONTROL)
        control_open(p, fds[0]);
    else if (port == WIRE_PORT_STDIO)
        stream_open(p, fds[0]);
    else
        close(fds[0]);
}

/* The guest's serial console, line by line, with --debug. */
static void on_console(struct watch *w, uint32_t events)
{
    (void)events;
    struct pod *p = (struct pod *)((char *)w - offsetof(struct pod, console));
    char tmp[4096];
    ssize_t n = read(w->fd, tmp, sizeof(tmp));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        loop_del(&p->loop, w);
        close(w->fd);
        w->fd = -1;
        return;
    }
    for (ssize_t i = 0; i < n; i++) {
        if (tmp[i] == '\r')
            continue;
        if (tmp[i] != '\n') {
            buf_addc(&p->console_line, tmp[i]);
            continue;
        }
        dprintf(STDERR_FILENO, "console: %s\n", p->console_line.data ? p->console_line.data : "");
        dprintf(p->children_log_fd, "console: %s\n",
                p->console_line.data ? p->console_line.data : "");
        buf_reset(&p->console_line);
    }
}

static int open_console(struct pod *p, int *ret_fd, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_set(err, errno, "can't make a pipe for the console");
    p->console = (struct watch){.fd = fds[0], .fn = on_console};
    set_nonblock(fds[0], true);
    loop_add(&p->loop, &p->console, EPOLLIN);
    *ret_fd = fds[1];
    return 0;
}

static int start_mds(struct pod *p, struct err *err)
{
    int sv[2];
    p->mds_connect_fd = -1;
    if (p->plan.metadata_fd < 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return err_set(err, errno, "can't make a socket for appc-mds");
    struct child_args a = {0};
    child_arg(&a, "%s/appc-mds", p->plan.libexec);
    child_arg(&a, "--bundle-fd=%d", child_arg_fd(&a, p->plan.metadata_fd));
    child_arg(&a, "--connections-fd=%d", child_arg_fd(&a, sv[1]));
    prepare_child(p, &p->mds, "appc-mds", device_ended);
    int r = child_start(&p->mds, &p->loop, &a, err);
    child_args_done(&a);
    close(sv[1]);
    /* It holds the master key: nobody but the service keeps it from here on. */
    close(p->plan.metadata_fd);
    p->plan.metadata_fd = -1;
    set_nonblock(sv[0], true);
    p->mds_connect_fd = sv[0];
    return r;
}

static int start_devices(struct launching *l, struct err *err)
{
    struct pod *p = l->pod;
    int sv[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
        return err_set(err, errno, "can't make a socket for appc-dev-vsock");
    p->connects = (struct watch){.fd = sv[0], .fn = on_connect};
    set_nonblock(sv[0], true);
    loop_add(&p->loop, &p->connects, EPOLLIN);
    int r = start_vsock(l, sv[1], err);
    close(sv[1]);
    if (r < 0 || start_images(l, err) < 0)
        return -1;
    if (p->plan.scratch_fd >= 0 && start_scratch(l, err) < 0)
        return -1;
    if (p->plan.nshares && start_fs(l, err) < 0)
        return -1;
    return start_rng(l, err);
}

int launch(struct pod *p, struct err *err)
{
    struct launching l = {.pod = p, .begin = tsc_sample()};
    cleanup_close int serial = -1;
    int r = p->plan.debug ? open_console(p, &serial, err) : 0;
    if (r == 0)
        r = start_devices(&l, err);
    if (r == 0)
        r = start_mds(p, err);
    if (r == 0)
        r = start_vmm(&l, serial, err);
    for (unsigned i = 0; i < l.n; i++)
        close(l.fronts[i].fd);
    return r;
}
