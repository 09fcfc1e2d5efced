/* Two pixels times all output channels, for Armv6-M (Cortex-M0, M0+): see conv_channels_v7m.S, which has the same sums.
 *
 *   void conv_channels(const conv_scalar_job *job);    see tuned.h
 *
 * There is no long multiplication: see high_rounded in scalar.h. 8 MACs: 22 instructions, 25 cycles.
 */
#if __ARM_ARCH_ISA_THUMB == 1
    .syntax unified
    .thumb

#define X r0
#define W r1
#define X0 r2
#define X1 r3
#define FOUR r4
#define P r5
#define Q r6
#define TA r8
#define HA r9
#define TB r10
#define HB r11
#define BASE r12
#define END lr

.macro add_sums t, h
    adds P, P, Q
    add P, BASE
    add \t, P
    asrs P, P, #16
    add \h, P
.endm
.macro step
    ldm X!, {X0, X1}
    ldm W!, {FOUR}
    sxtb P, FOUR
    muls P, X0, P
    lsls Q, FOUR, #16
    asrs Q, Q, #24
    muls Q, X1, Q
    add_sums TA, HA
    lsls P, FOUR, #8
    asrs P, P, #24
    muls P, X0, P
    asrs Q, FOUR, #24
    muls Q, X1, Q
    add_sums TB, HB
.endm
#define STEP_BYTES 44
#define STEPS 4

/* \s, with its bias, to a byte at [\out]. r1: constant, right shift; r5, r6: the upper and the lower half of the factor. */
.macro finish s, out
    sxth r3, \s
    subs r4, \s, r3
    asrs r4, r4, #16
    movs r2, r3
    muls r2, r6, r2
    asrs r2, r2, #16
    muls r3, r5, r3
    adds r3, r3, r2
    movs r2, r4
    muls r2, r6, r2
    adds r3, r3, r2
    add r3, BASE
    asrs r3, r3, #16
    muls r4, r5, r4
    adds r3, r3, r4             /* the rounded upper half of \s * factor */
    adds r3, r3, \s
    asrs r2, \s, #31
    adds r3, r3, r2
    ldr r2, [r1]
    adds r3, r3, r2
    ldr r2, [r1, #4]
    asrs r3, r3, r2
    sxtb r2, r3
    cmp r2, r3
    beq 1f
    asrs r3, r3, #31            /* beyond int8: -128 or 127 */
    movs r2, #127
    eors r2, r2, r3
1:  mov r3, \out
    strb r2, [r3]
.endm

/* The job's copy on the stack, as in tuned.h, and what else is there. */
#define J_X 0
#define J_WEIGHTS 4
#define J_PARAMETERS 8
#define J_OUT 12
#define J_NEXT_PIXEL 16
#define J_CHANNELS 20
#define J_PAIRS 24
#define L_START 28   /* what T starts with: -2^15 for each pair */
#define L_ENTRY 32   /* where the first round starts: some steps are left out */
#define L_END 36
#define L_BYTES 40

    .section .text.conv_channels, "ax"
    .global conv_channels
    .type conv_channels, %function
    .thumb_func
    .align 2
conv_channels:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    sub sp, sp, #L_BYTES
    ldm r0!, {r1-r7}
    mov r0, sp
    stm r0!, {r1-r7}
    lsls r3, r7, #15
    rsbs r3, r3, #0
    str r3, [sp, #L_START]
    movs r3, #1
    lsls r3, r3, #15
    mov BASE, r3
    lsls r3, r7, #3
    adds r3, r3, r1
    str r3, [sp, #L_END]
    rsbs r3, r7, #0
    movs r4, #STEPS - 1
    ands r3, r3, r4             /* steps that the first round leaves out */
    movs r4, #STEP_BYTES
    muls r3, r4, r3
    adr r4, 2f
    adds r3, r3, r4
    adds r3, r3, #1
    str r3, [sp, #L_ENTRY]
1:  ldr r2, [sp, #L_START]
    movs r3, #0
    mov TA, r2
    mov TB, r2
    mov HA, r3
    mov HB, r3
    ldr r2, [sp, #L_END]
    mov END, r2
    ldr X, [sp, #J_X]
    ldr W, [sp, #J_WEIGHTS]
    ldr r2, [sp, #L_ENTRY]
    bx r2
    .align 2
2:  .rept STEPS
    step
    .endr
    cmp X, END
    bne 2b

    str W, [sp, #J_WEIGHTS]
    mov r0, TA
    mov r7, HA
    ldr r2, [sp, #J_OUT]
    ldr r3, [sp, #J_NEXT_PIXEL]
    adds r3, r3, r2
    mov r8, r2
    mov r9, r3
    adds r2, r2, #2
    str r2, [sp, #J_OUT]
    ldr r1, [sp, #J_PARAMETERS]
    bl 3f
    movs r2, #1
    add r8, r2
    add r9, r2
    mov r0, TB
    mov r7, HB
    bl 3f
    str r1, [sp, #J_PARAMETERS]
    ldr r2, [sp, #J_CHANNELS]
    subs r2, r2, #2
    str r2, [sp, #J_CHANNELS]
    beq 4f
    b 1b                        /* too far for a conditional branch */
4:  add sp, sp, #L_BYTES
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}

    /* Both pixels of a channel, T in r0, H in r7, to r8 and r9; r1: its parameters, then the next's. */
3:  lsls r3, r7, #16
    subs r0, r0, r3
    ldm r1!, {r2, r5}
    adds r0, r0, r2
    adds r7, r7, r2
    uxth r6, r5
    asrs r5, r5, #16
    finish r0, r8
    finish r7, r9
    adds r1, r1, #8
    bx lr
    .size conv_channels, . - conv_channels
#endif
