/* Calls of functions through `WRAP NAME, FUNCTION`: the callee-saved registers hold patterns during the call, the stack below is painted,
 * and both are looked at afterwards by abi_check (check.c). The link replaces calls of NAME by those of __wrap_NAME, which
 * calls FUNCTION.
 *
 * Written for ARMv6-M, the subset of all cores. Registers are kept in frames on a stack of their own (`abi_top`), because
 * arguments may lie on the real one: sp has to be the caller's when the function starts. */
#include "frame.h"

    .syntax unified
    .thumb

    .macro WRAP name, function
    .section .text.__wrap_\name, "ax", %progbits
    .balign 4
    .global __wrap_\name
    .thumb_func
    .type __wrap_\name, %function
__wrap_\name:
    push {r4, lr}
    ldr r4, =info_\name
    bl abi_call /* does not come back: lr is on the stack */
    .ltorg
    .section .data.abi_functions, "aw", %progbits
info_\name:
    .word \function, 0, 0, 0
    .endm

    .section .data.abi_functions, "aw", %progbits
    .balign 4
    .global abi_functions
abi_functions:

    .section .rodata.abi_patterns, "a", %progbits
    .balign 8
    .global abi_patterns
abi_patterns:
    .word 0xC0DE4444, 0xC0DE5555, 0xC0DE6666, 0xC0DE7777, 0xC0DE8888, 0xC0DE9999, 0xC0DEAAAA, 0xC0DEBBBB
    .word 0xF0160016, 0xF0170017, 0xF0180018, 0xF0190019, 0xF01A001A, 0xF01B001B, 0xF01C001C, 0xF01D001D
    .word 0xF01E001E, 0xF01F001F, 0xF0200020, 0xF0210021, 0xF0220022, 0xF0230023, 0xF0240024, 0xF0250025

    .section .text.abi_call, "ax", %progbits
    .balign 4
    .thumb_func
    .type abi_call, %function
abi_call: /* r4: the function's record; on the stack: the caller's r4 and lr */
    push {r5, r6}
    ldr r5, =abi_top
    ldr r6, [r5]
    str r7, [r6, #F_SAVED + 12]
    pop {r7}
    str r7, [r6, #F_SAVED + 4]
    pop {r7}
    str r7, [r6, #F_SAVED + 8]
    pop {r7}
    str r7, [r6, #F_SAVED]
    pop {r7}
    str r7, [r6, #F_LR]
    mov r7, sp
    str r7, [r6, #F_SP]
    str r4, [r6, #F_FUNCTION]
    mov r7, r8
    str r7, [r6, #F_SAVED + 16]
    mov r7, r9
    str r7, [r6, #F_SAVED + 20]
    mov r7, r10
    str r7, [r6, #F_SAVED + 24]
    mov r7, r11
    str r7, [r6, #F_SAVED + 28]
    movs r7, #0
    mvns r7, r7
    str r7, [r6, #F_DEEPEST]
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    adds r6, #F_SAVED_FP
    vstmia r6, {s16-s31}
    subs r6, #F_SAVED_FP
    ldr r7, =abi_patterns + 32
    vldmia r7, {s16-s31}
#endif
    adds r6, #F_BYTES
    str r6, [r5]
    /* The stack below. */
    mov r6, sp
    ldr r5, =PAINTED_BYTES
    subs r7, r6, r5
    ldr r5, =STACK_PATTERN
1:  str r5, [r7]
    adds r7, #4
    cmp r7, r6
    blo 1b
    ldr r7, [r4]
    mov ip, r7
    ldr r7, =abi_patterns
    ldr r4, [r7, #16]
    mov r8, r4
    ldr r4, [r7, #20]
    mov r9, r4
    ldr r4, [r7, #24]
    mov r10, r4
    ldr r4, [r7, #28]
    mov r11, r4
    ldr r4, [r7]
    ldr r5, [r7, #4]
    ldr r6, [r7, #8]
    ldr r7, [r7, #12]
    blx ip

    ldr r2, =abi_top
    ldr r3, [r2]
    subs r3, #F_BYTES
    str r3, [r2]
    str r0, [r3, #F_RESULT]
    str r1, [r3, #F_RESULT + 4]
    adds r3, #F_AFTER
    stmia r3!, {r4-r7}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    stmia r3!, {r4-r7}
    subs r3, #F_AFTER + 32
    mov r4, sp
    str r4, [r3, #F_AFTER_SP]
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    vmrs r4, fpscr
    str r4, [r3, #F_AFTER_FPSCR]
    adds r3, #F_AFTER_FP
    vstmia r3, {s16-s31}
    subs r3, #F_AFTER_FP
#endif
    mov r4, r3
    /* The check runs below what was painted, wherever sp is. */
    ldr r5, [r4, #F_SP]
    ldr r6, =PAINTED_BYTES
    subs r5, r5, r6
    movs r6, #7
    bics r5, r6
    mov sp, r5
    mov r0, r4
    bl abi_check
    ldr r0, [r4, #F_SP]
    mov sp, r0
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    adds r4, #F_SAVED_FP
    vldmia r4, {s16-s31}
    subs r4, #F_SAVED_FP
#endif
    ldr r0, [r4, #F_SAVED + 16]
    mov r8, r0
    ldr r0, [r4, #F_SAVED + 20]
    mov r9, r0
    ldr r0, [r4, #F_SAVED + 24]
    mov r10, r0
    ldr r0, [r4, #F_SAVED + 28]
    mov r11, r0
    ldr r0, [r4, #F_LR]
    mov lr, r0
    ldr r0, [r4, #F_RESULT]
    ldr r1, [r4, #F_RESULT + 4]
    ldr r5, [r4, #F_SAVED + 4]
    ldr r6, [r4, #F_SAVED + 8]
    ldr r7, [r4, #F_SAVED + 12]
    ldr r4, [r4, #F_SAVED]
    bx lr
    .ltorg
