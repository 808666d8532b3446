/* SPDX-License-Identifier: Apache-2.0 */
/* The device filter of the pod: which nodes its apps may open, whatever nodes they make. */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "guest-init/cgroup.h"

#define ANY_MINOR (-1)

/* Nodes of /dev (devices.c), and terminals: the disks of the pod are not among them. */
static const struct {
    int major, minor;
} allowed[] = {
    {1, 3},           /* null */
    {1, 5},           /* zero */
    {1, 7},           /* full */
    {1, 8},           /* random */
    {1, 9},           /* urandom */
    {5, 0},           /* tty */
    {5, 1},           /* console */
    {5, 2},           /* ptmx */
    {136, ANY_MINOR}, /* pts */
};

#define LOAD(dst, offset)                                                                          \
    ((struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_W,                                          \
                       .dst_reg = (dst),                                                           \
                       .src_reg = BPF_REG_1,                                                       \
                       .off = (offset)})
#define ALU(op, dst, value)                                                                        \
    ((struct bpf_insn){.code = BPF_ALU | (op) | BPF_K, .dst_reg = (dst), .imm = (value)})
#define JUMP(op, reg, value, skip)                                                                 \
    ((struct bpf_insn){                                                                            \
        .code = BPF_JMP | (op) | BPF_K, .dst_reg = (reg), .off = (skip), .imm = (value)})
#define EXIT ((struct bpf_insn){.code = BPF_JMP | BPF_EXIT})

/* The program; its length. r2 type, r3 access, r4 major, r5 minor; 0 refuses. */
static unsigned make_program(struct bpf_insn *p)
{
    unsigned n = 0;
    p[n++] = LOAD(BPF_REG_2, offsetof(struct bpf_cgroup_dev_ctx, access_type));
    p[n++] = LOAD(BPF_REG_4, offsetof(struct bpf_cgroup_dev_ctx, major));
    p[n++] = LOAD(BPF_REG_5, offsetof(struct bpf_cgroup_dev_ctx, minor));
    p[n++] = (struct bpf_insn){
        .code = BPF_ALU | BPF_MOV | BPF_X, .dst_reg = BPF_REG_3, .src_reg = BPF_REG_2};
    p[n++] = ALU(BPF_AND, BPF_REG_2, 0xffff);
    p[n++] = ALU(BPF_RSH, BPF_REG_3, 16);
    p[n++] = ALU(BPF_MOV, BPF_REG_0, 1);
    /* A node that can't be opened does no harm, and unpacking an archive makes some. */
    p[n++] = JUMP(BPF_JNE, BPF_REG_3, BPF_DEVCG_ACC_MKNOD, 1);
    p[n++] = EXIT;
    p[n++] = JUMP(BPF_JNE, BPF_REG_2, BPF_DEVCG_DEV_CHAR, 3 * ARRAY_SIZE(allowed));
    for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
        bool any = allowed[i].minor == ANY_MINOR;
        p[n++] = JUMP(BPF_JNE, BPF_REG_4, allowed[i].major, 2);
        p[n++] = any ? JUMP(BPF_JA, 0, 0, 0) : JUMP(BPF_JNE, BPF_REG_5, allowed[i].minor, 1);
        p[n++] = EXIT;
    }
    p[n++] = ALU(BPF_MOV, BPF_REG_0, 0);
    p[n++] = EXIT;
    return n;
}

int cgroup_filter_devices(int dirfd, struct err *err)
{
    struct bpf_insn program[16 + 3 * ARRAY_SIZE(allowed)];
    union bpf_attr load = {0}, attach = {0};
    load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    load.insn_cnt = make_program(program);
    load.insns = (uint64_t)(uintptr_t)program;
    load.license = (uint64_t)(uintptr_t) "Apache-2.0";
    cleanup_close int prog = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
    if (prog < 0)
        return err_set(err, errno, "can't load the device filter");
    attach.target_fd = (uint32_t)dirfd;
    attach.attach_bpf_fd = (uint32_t)prog;
    attach.attach_type = BPF_CGROUP_DEVICE;
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)) < 0)
        return err_set(err, errno, "can't attach the device filter");
    return 0;
}
