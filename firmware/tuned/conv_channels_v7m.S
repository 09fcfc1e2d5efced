/* Two pixels times all output channels, for Armv7-M without DSP instructions (Cortex-M3).
 *
 *   void conv_channels(const conv_scalar_job *job);    see tuned.h
 *
 * A word holds one input of both pixels, x0 + 65536 x1. MLA multiplies both by a weight: two MACs in 2 cycles. The sum of
 * two such products, at most 2^15 in each half, with 2^15 added to the lower half, is split: its upper half is
 * added to H, all of it to T. So H = sum x1 w, and T - 65536 H - 2^15 for each pair is sum x0 w.
 *
 * Weights: of each pair of inputs two of one channel, then two of the next. 8 MACs: 14 instructions, 19 cycles.
 */
#if __ARM_ARCH_ISA_THUMB == 2 && !defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define TA r0
#define HA r1
#define TB r2
#define HB r3
#define X0 r4
#define X1 r5
#define W0 r6
#define W1 r7
#define W2 r8
#define W3 r9
#define BASE r10
#define END r11
#define X r12
#define W lr

.macro step i
    ldr X0, [X, #8 * \i]
    ldr X1, [X, #8 * \i + 4]
    ldrsb W0, [W, #4 * \i]
    ldrsb W1, [W, #4 * \i + 1]
    ldrsb W2, [W, #4 * \i + 2]
    ldrsb W3, [W, #4 * \i + 3]
    mla W0, X0, W0, BASE
    mla W2, X0, W2, BASE
    mla W0, X1, W1, W0
    mla W2, X1, W3, W2
    add.w TA, TA, W0
    add HA, HA, W0, asr #16
    add.w TB, TB, W2
    add HB, HB, W2, asr #16
.endm
#define STEP_BYTES 56
#define STEPS 4

/* Sums of both pixels to bytes. Next parameters: bias, factor, constant, right shift. */
.macro finish t, h
    ldm X!, {W0-W3}
    sub \t, \t, \h, lsl #16
    add \h, \h, W0
    add \t, \t, W0
    smull X0, X1, \t, W1
    lsls X0, X0, #1             /* carry: the half that rounds */
    adc X1, X1, \t
    add \t, X1, \t, asr #31
    add \t, \t, W2
    asr \t, \t, W3
    ssat \t, #8, \t
    smull X0, X1, \h, W1
    lsls X0, X0, #1
    adc X1, X1, \h
    add \h, X1, \h, asr #31
    add \h, \h, W2
    asr \h, \h, W3
    ssat \h, #8, \h
.endm

/* The job's copy on the stack, as in tuned.h, and what else is there. */
#define J_X 0
#define J_WEIGHTS 4
#define J_PARAMETERS 8
#define J_OUT 12
#define J_NEXT_PIXEL 16
#define J_CHANNELS 20
#define J_PAIRS 24
#define L_START 28 /* what T starts with: -2^15 for each pair */
#define L_ENTRY 32 /* where the first round starts: some steps are left out */
#define L_BYTES 36

    .section .text.conv_channels, "ax"
    .global conv_channels
    .type conv_channels, %function
    .thumb_func
    .align 2
conv_channels:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
    ldm r0, {r1-r7}
    mov r8, r7, lsl #15
    rsb r8, r8, #0
    add END, r1, r7, lsl #3
    rsb r0, r7, #0
    and r0, r0, #STEPS - 1      /* steps that the first round leaves out */
    sub r1, r1, r0, lsl #3
    mov W, r2
    mov r10, #STEP_BYTES
    mul r10, r10, r0
    adr r9, 2f
    add r9, r9, r10
    orr r9, r9, #1
    str r0, [sp, #J_WEIGHTS]
    str r1, [sp, #J_X]
    str r3, [sp, #J_PARAMETERS]
    str r4, [sp, #J_OUT]
    str r5, [sp, #J_NEXT_PIXEL]
    str r6, [sp, #J_CHANNELS]
    str r8, [sp, #L_START]
    str r9, [sp, #L_ENTRY]
    mov BASE, #0x8000
1:  ldr X, [sp, #J_X]
    ldr TA, [sp, #L_START]
    ldr X0, [sp, #J_WEIGHTS]    /* the steps that are left out */
    ldr X1, [sp, #L_ENTRY]
    mov HA, #0
    mov HB, #0
    mov TB, TA
    sub W, W, X0, lsl #2
    bx X1
    .align 2
2:  .set i, 0
    .rept STEPS
    step i
    .set i, i + 1
    .endr
    add X, X, #8 * STEPS
    add W, W, #4 * STEPS
    cmp X, END
    bne 2b

    ldr X, [sp, #J_PARAMETERS]
    finish TA, HA
    finish TB, HB
    ldr X0, [sp, #J_OUT]
    ldr X1, [sp, #J_NEXT_PIXEL]
    ldr W0, [sp, #J_CHANNELS]
    str X, [sp, #J_PARAMETERS]
    add X1, X1, X0
    strb TA, [X0], #1
    strb TB, [X0], #1
    str X0, [sp, #J_OUT]
    strb HA, [X1]
    strb HB, [X1, #1]
    subs W0, W0, #2
    str W0, [sp, #J_CHANNELS]
    bne 1b
    add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size conv_channels, . - conv_channels
#endif
