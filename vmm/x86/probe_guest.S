/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The probe guest: 64-bit, ring 0, position independent. It reports its steps
 * on PROBE_PORT; vmm/probe.h names them. It is copied into a guest and never
 * runs in the VMM.
 */
#include "vmm/x86/probe_guest.h"

    .section .rodata
    .balign 16
    .globl x86_probe_code, x86_probe_layout
x86_probe_code:

    /* Time: an empty pair of steps, then one with a loop in between. */
    movl $PROBE_REPEATS, %esi
1:
    movb $PROBE_STEP_EMPTY, %al
    outb %al, $PROBE_PORT
    movb $PROBE_STEP_LOOP, %al
    outb %al, $PROBE_PORT
    movl $PROBE_LOOPS, %ecx
2:
    decl %ecx
    jnz 2b
    movb $PROBE_STEP_TIMED, %al
    outb %al, $PROBE_PORT
    decl %esi
    jnz 1b

    /* A breakpoint: kernels patch themselves with them. */
    movb $PROBE_STEP_INT3, %al
    outb %al, $PROBE_PORT
    int3

    /* What CPUID promises has to work. CMPXCHG16B: leaf 1, ECX[13]. */
    movl $1, %eax
    xorl %ecx, %ecx
    cpuid
    movl %ecx, %ebp
    btl $13, %ebp
    jnc 3f
    movb $PROBE_STEP_CMPXCHG16B, %al
    outb %al, $PROBE_PORT
    xorl %eax, %eax
    xorl %edx, %edx
    movl $PROBE_DATA, %edi
    lock cmpxchg16b (%rdi)
3:
    /* POPCNT: ECX[23]. */
    btl $23, %ebp
    jnc 4f
    movb $PROBE_STEP_POPCNT, %al
    outb %al, $PROBE_PORT
    popcntl %ebp, %eax
4:
    /* XSAVE and XRSTOR: ECX[26]; CR4.OSFXSR and CR4.OSXSAVE go first. */
    btl $26, %ebp
    jnc 5f
    movb $PROBE_STEP_XSAVE, %al
    outb %al, $PROBE_PORT
    movq %cr4, %rax
    orl $0x40200, %eax
    movq %rax, %cr4
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $3, %eax
    xsetbv
    movl $PROBE_DATA, %edi
    movl $3, %eax
    xsave (%rdi)
    movl $3, %eax
    xrstor (%rdi)
5:
    /* STAC and CLAC: leaf 7, EBX[20]. */
    xorl %eax, %eax
    cpuid
    cmpl $7, %eax
    jb 6f
    movl $7, %eax
    xorl %ecx, %ecx
    cpuid
    btl $20, %ebx
    jnc 6f
    movb $PROBE_STEP_SMAP, %al
    outb %al, $PROBE_PORT
    stac
    clac
6:
    movb $PROBE_STEP_DONE, %al
    outb %al, $PROBE_PORT
7:
    hlt
    jmp 7b

x86_probe_bp:
    iretq

x86_probe_fault:
    movb $PROBE_STEP_FAULT, %al
    outb %al, $PROBE_PORT
8:
    hlt
    jmp 8b
x86_probe_code_end:

    .balign 4
x86_probe_layout: /* struct probe_layout of vmm/x86/probe.c */
    .long x86_probe_code_end - x86_probe_code
    .long x86_probe_bp - x86_probe_code
    .long x86_probe_fault - x86_probe_code

    .section .note.GNU-stack, "", @progbits
