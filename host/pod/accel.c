/* SPDX-License-Identifier: Apache-2.0 */
/* Which accelerator a pod runs under: KVM where it is usable, else QEMU's TCG. */
#include "host/pod/accel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/cli.h"
#include "host/paths.h"
#include "host/program.h"

#define PROBE_TIMEOUT_MS 5000
#define PROBE_OUTPUT_MAX 4096
#define QEMU             "qemu-system-x86_64"

static int open_kvm(struct err *err)
{
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return fd;
    if (errno == EACCES)
        return err_set(err, 0, "/dev/kvm may not be opened (join the group kvm)");
    if (errno == ENOENT)
        return err_set(err, 0, "there is no /dev/kvm");
    return err_set(err, errno, "can't open /dev/kvm");
}

static double now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* What the remembered result is valid for: this boot, this build of the VMM. */
static char *probe_key(const char *vmm)
{
    struct stat st = {0};
    cleanup_free char *boot = NULL;
    size_t len;
    if (stat(vmm, &st) < 0 ||
        read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256, &boot, &len, NULL) < 0)
        return xstrdup("");
    boot[strcspn(boot, "\n")] = '\0';
    return xasprintf("%s-%lld-%lld", boot, (long long)st.st_mtim.tv_sec, (long long)st.st_size);
}

static bool recall(const char *path, const char *key, struct accel_report *r)
{
    json_t *o = json_load_file(path, 0, NULL);
    const char *reason = json_string_value(json_object_get(o, "reason"));
    bool ok = *key && str_eq(json_string_value(json_object_get(o, "key")), key) && reason;
    if (ok) {
        r->kvm = json_is_true(json_object_get(o, "usable"));
        snprintf(r->reason, sizeof(r->reason), "%s", reason);
    }
    json_decref(o);
    return ok;
}

static void remember(const char *path, const char *key, const struct accel_report *r)
{
    json_t *o = json_pack("{s:s, s:b, s:s}", "key", key, "usable", r->kvm, "reason", r->reason);
    cleanup_free char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    /* Losing it costs some milliseconds at the next start. */
    if (text)
        (void)write_file_atomic_at(AT_FDCWD, path, text, strlen(text), 0600, false, NULL);
}

/* Starts the probe with its standard output in a pipe: the PID, or -1. */
static pid_t start_probe(const char *vmm, int kvm_fd, int out[2])
{
    if (pipe2(out, O_CLOEXEC) < 0)
        return -1;
    cleanup_free char *arg = xasprintf("--kvm-fd=%d", kvm_fd);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        set_cloexec(kvm_fd, false);
        execl(vmm, "appc-vmm", "--probe", arg, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    return pid;
}

/* Reads the one line of the probe; false when it does not come in time. */
static bool read_probe(int fd, char *line, size_t cap)
{
    size_t len = 0;
    double deadline = now_ms() + PROBE_TIMEOUT_MS;
    for (;;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int left = (int)(deadline - now_ms());
        if (left <= 0 || poll(&p, 1, left) <= 0)
            return false;
        ssize_t n = read(fd, line + len, cap - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    line[len] = '\0';
    return true;
}

static void run_probe(const char *vmm, int kvm_fd, struct accel_report *r)
{
    char line[PROBE_OUTPUT_MAX];
    int out[2];
    double start = now_ms();
    pid_t pid = start_probe(vmm, kvm_fd, out);
    if (pid < 0) {
        snprintf(r->reason, sizeof(r->reason), "the probe can't be started: %s", strerror(errno));
        return;
    }
    bool in_time = read_probe(out[0], line, sizeof(line));
    close(out[0]);
    if (!in_time)
        kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    json_t *o = in_time ? json_loads(line, 0, NULL) : NULL;
    const char *reason = json_string_value(json_object_get(o, "reason"));
    r->kvm = json_is_true(json_object_get(o, "usable"));
    if (!r->kvm)
        snprintf(r->reason, sizeof(r->reason), "%s",
                 reason && *reason ? reason : "the probe guest did not end as it should");
    json_decref(o);
    r->probe_ms = now_ms() - start;
}

void accel_probe(const char *data_dir, bool fresh, struct accel_report *ret)
{
    *ret = (struct accel_report){.qemu = program_find(QEMU)};
    struct err err;
    cleanup_close int kvm = open_kvm(&err);
    cleanup_free char *vmm = NULL;
    if (kvm < 0 || paths_companion("appc-vmm", &vmm, &err) < 0) {
        snprintf(ret->reason, sizeof(ret->reason), "%.250s", err.msg);
        return;
    }
    cleanup_free char *key = probe_key(vmm);
    cleanup_free char *path = xasprintf("%s/kvm-probe.json", data_dir);
    if (!fresh && recall(path, key, ret))
        return;
    run_probe(vmm, kvm, ret);
    remember(path, key, ret);
}

void accel_report_done(struct accel_report *r)
{
    free(r->qemu);
    *r = (struct accel_report){0};
}

static int choose_tcg(struct accel_report *r, struct accel *ret, struct err *err)
{
    if (!r->qemu)
        return err_set(err, 0, "emulation needs %s (package qemu-system-x86)", QEMU);
    *ret = (struct accel){.kvm_fd = -1, .qemu = take_ptr(r->qemu)};
    return 0;
}

static int choose_kvm(struct accel *ret, struct err *err)
{
    int fd = open_kvm(err);
    if (fd < 0)
        return -1;
    *ret = (struct accel){.kvm_fd = fd};
    return 0;
}

int accel_choose(const char *data_dir, const char *choice, struct accel *ret, struct err *err)
{
    /* Somebody who says kvm gets it or hears why not from the VMM itself. */
    if (str_eq(choice, "kvm"))
        return choose_kvm(ret, err);
    cleanup_with(accel_report_done) struct accel_report r = {0};
    if (str_eq(choice, "tcg")) {
        r.qemu = program_find(QEMU);
        return choose_tcg(&r, ret, err);
    }
    accel_probe(data_dir, false, &r);
    if (r.kvm)
        return choose_kvm(ret, err);
    if (choose_tcg(&r, ret, err) < 0)
        return err_prefix(err, "KVM can't be used (%s)", r.reason);
    cli_warn("KVM can't be used (%s): the pod is emulated, which is slow and no security boundary",
             r.reason);
    return 0;
}

void accel_done(struct accel *a)
{
    if (a->kvm_fd >= 0)
        close(a->kvm_fd);
    free(a->qemu);
    *a = (struct accel){.kvm_fd = -1};
}
