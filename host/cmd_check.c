/* SPDX-License-Identifier: Apache-2.0 */
/* appc-vm check: what this host offers, and whether pods can run. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/str.h"
#include "host/cli.h"
#include "host/paths.h"
#include "host/pod/accel.h"
#include "host/program.h"

/* Below this a pod with its images may run out of space. */
#define FREE_SPACE_LOW (1ULL << 30)

enum verdict { OK, WARN, BAD };

static const char *const verdict_names[] = {"ok", "warning", "missing"};

struct report {
    json_t *rows;
    bool text;
    bool bad;
};

static void row(struct report *r, const char *what, enum verdict v, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

static void row(struct report *r, const char *what, enum verdict v, const char *fmt, ...)
{
    char detail[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(detail, sizeof(detail), fmt, ap);
    va_end(ap);
    if (r->text)
        printf("%-8s %-16s %s\n", verdict_names[v], what, detail);
    json_array_append_new(r->rows, json_pack("{s:s, s:s, s:s}", "check", what, "verdict",
                                             verdict_names[v], "detail", detail));
    r->bad = r->bad || v == BAD;
}

static void check_accel(struct report *r, const char *data_dir)
{
    cleanup_with(accel_report_done) struct accel_report a = {0};
    accel_probe(data_dir, true, &a);
    if (a.kvm)
        row(r, "kvm", OK, "usable; the probe guest took %.1f ms", a.probe_ms);
    else
        row(r, "kvm", WARN, "not usable: %s", a.reason);
    if (a.qemu)
        row(r, "qemu", OK, "%s", a.qemu);
    else
        row(r, "qemu", a.kvm ? WARN : BAD,
            "qemu-system-x86_64 is not installed (package qemu-system-x86)");
    if (a.kvm || a.qemu)
        row(r, "accelerator", a.kvm ? OK : WARN, "--accel=auto takes %s", a.kvm ? "kvm" : "tcg");
}

/* A child tries, so that this process stays as it is. */
static bool user_namespaces_work(void)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0)
        _exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) == 0 ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

static void check_files(struct report *r)
{
    static const struct {
        const char *what, *name;
    } files[] = {
        {"kernel", "guest/vmlinux"},
        {"initramfs", "guest/initramfs.cpio"},
        {"vmm", "appc-vmm"},
        {"supervisor", "appc-supervisor"},
        {"blk device", "appc-dev-blk"},
        {"vsock device", "appc-dev-vsock"},
        {"rng device", "appc-dev-rng"},
        {"fs device", "appc-dev-fs"},
        {"metadata", "appc-mds"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct err err;
        cleanup_free char *path = NULL;
        if (paths_companion(files[i].name, &path, &err) < 0)
            row(r, files[i].what, BAD, "%s", err.msg);
        else
            row(r, files[i].what, OK, "%s", path);
    }
    cleanup_free char *mke2fs = program_find("mke2fs");
    row(r, "mke2fs", mke2fs ? OK : BAD, "%s",
        mke2fs ? mke2fs : "not installed (package e2fsprogs); --scratch=0 does without");
}

static void check_space(struct report *r, const char *data_dir)
{
    struct statvfs fs;
    struct err err;
    if (mkdir_parents_at(AT_FDCWD, data_dir, 0700, &err) < 0) {
        row(r, "data directory", BAD, "%s", err.msg);
        return;
    }
    if (access(data_dir, W_OK) < 0 || statvfs(data_dir, &fs) < 0) {
        row(r, "data directory", BAD, "%s can't be written: %s", data_dir, strerror(errno));
        return;
    }
    unsigned long long left = (unsigned long long)fs.f_bavail * fs.f_frsize;
    row(r, "data directory", left < FREE_SPACE_LOW ? WARN : OK, "%s, %.1f GB free", data_dir,
        (double)left / 1e9);
}

int cmd_check(const struct command *self, int argc, char **argv)
{
    const char *dir = NULL, *format = "text";
    const struct opt table[] = {
        {0, "dir", OPT_STRING, &dir, "DIR", "data directory"},
        {0, "format", OPT_CHOICE, &format, "text|json", "output format"},
        {0},
    };
    int n, r = cli_parse(self, table, argc, argv, 0, 0, &n);
    if (r >= 0)
        return r;
    struct err err;
    cleanup_free char *data_dir = NULL;
    if (paths_data_dir(dir, &data_dir, &err) < 0)
        return cli_fail(&err, CLI_FAILED);
    struct report report = {.rows = json_array(), .text = str_eq(format, "text")};
    check_space(&report, data_dir);
    check_accel(&report, data_dir);
    bool userns = user_namespaces_work();
    row(&report, "user namespaces", userns ? OK : WARN, "%s",
        userns ? "the device processes get an empty root and no privilege"
               : "off: the device processes rely on Landlock and seccomp alone");
    check_files(&report);
    if (!report.text) {
        json_t *o = json_pack("{s:b, s:O}", "canRun", !report.bad, "checks", report.rows);
        json_dumpf(o, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(o);
    } else {
        printf("%s\n", report.bad ? "pods can't run here" : "pods can run here");
    }
    json_decref(report.rows);
    return report.bad ? CLI_FAILED : CLI_OK;
}
