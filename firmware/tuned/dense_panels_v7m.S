/* A row of inputs times panels of four units, for Armv7-M without DSP instructions (Cortex-M3).
 *
 *   void dense_panels(const dense_scalar_job *job);    see tuned.h
 *
 * A word has the weights of four units, each with 128 added, so that two masks make u0 + 65536 u2 and u1 + 65536 u3 of it. MLA
 * multiplies two weights at once; the sums of two such products start with -128 (x0 + x1) in each half, which
 * takes the 128 away again, and with 2^15, and are split as in conv_channels_v7m.S. 8 MACs: 17 instructions, 24 cycles.
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
#define P r8
#define D r9
#define BASE r10
#define MASK r11
#define X r12
#define W lr

.macro step i
    ldrsb X0, [X, #2 * \i]
    ldrsb X1, [X, #2 * \i + 1]
    ldr W0, [W, #8 * \i]
    ldr W1, [W, #8 * \i + 4]
    add.w D, X0, X1
    sub P, BASE, D, lsl #7
    sub D, P, D, lsl #23
    and P, MASK, W0
    and W0, MASK, W0, lsr #8
    mla P, X0, P, D
    mla W0, X0, W0, D
    and X0, MASK, W1
    and W1, MASK, W1, lsr #8
    mla P, X1, X0, P
    mla W0, X1, W1, W0
    add.w TA, TA, P
    add HA, HA, P, asr #16
    add.w TB, TB, W0
    add HB, HB, W0, asr #16
.endm
#define STEP_BYTES 76
#define STEPS 4

/* The job's copy on the stack, as in tuned.h, and what else is there. */
#define J_X 0
#define J_WEIGHTS 4
#define J_BIASES 8
#define J_SCALES 12
#define J_SCALE_STEP 16
#define J_OUT 20
#define J_PAIRS 24
#define J_PANELS 28
#define L_START 32 /* what T starts with: -2^15 for each pair */
#define L_ENTRY 36 /* where the first round starts: some steps are left out */
#define L_END 40
#define L_BYTES 44

/* A sum to a byte. X: the next bias; D: factor, constant and right shift; the distance from a unit's to the next's is the step. */
.macro finish s
    ldr X0, [X], #4
    ldr X1, [sp, #J_SCALE_STEP]
    ldm D, {W0, W1, P}
    add D, D, X1
    add \s, \s, X0
    smull X0, X1, \s, W0
    lsls X0, X0, #1             /* carry: the half that rounds */
    adc X1, X1, \s
    add \s, X1, \s, asr #31
    add \s, \s, W1
    asr \s, \s, P
    ssat \s, #8, \s
.endm

    .section .text.dense_panels, "ax"
    .global dense_panels
    .type dense_panels, %function
    .thumb_func
    .align 2
dense_panels:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
    ldm r0, {r1-r8}
    add r9, r1, r7, lsl #1
    str r9, [sp, #L_END]
    lsl r9, r7, #15
    rsb r9, r9, #0
    str r9, [sp, #L_START]
    rsb r9, r7, #0
    and r9, r9, #STEPS - 1      /* steps that the first round leaves out */
    sub r1, r1, r9, lsl #1
    mov W, r2
    lsl r2, r9, #3              /* bytes of their weights */
    stm sp, {r1-r8}
    mov r8, #STEP_BYTES
    mul r7, r9, r8
    adr r8, 2f
    add r7, r7, r8
    orr r7, r7, #1
    str r7, [sp, #L_ENTRY]
    mov BASE, #0x8000
    mov MASK, #0x00FF00FF
1:  ldr X, [sp, #J_X]
    ldr X0, [sp, #J_WEIGHTS]
    ldr X1, [sp, #L_ENTRY]
    ldr TA, [sp, #L_START]
    mov HA, #0
    mov HB, #0
    mov TB, TA
    sub W, W, X0
    bx X1
    .align 2
2:  .set i, 0
    .rept STEPS
    step i
    .set i, i + 1
    .endr
    ldr X0, [sp, #L_END]
    add X, X, #2 * STEPS
    add W, W, #8 * STEPS
    cmp X, X0
    bne 2b

    ldr X, [sp, #J_BIASES]
    ldr D, [sp, #J_SCALES]
    sub TA, TA, HA, lsl #16
    sub TB, TB, HB, lsl #16
    finish TA
    finish TB
    finish HA
    finish HB
    ldr X0, [sp, #J_OUT]
    ldr X1, [sp, #J_PANELS]
    str X, [sp, #J_BIASES]
    str D, [sp, #J_SCALES]
    strb TA, [X0]
    strb TB, [X0, #1]
    strb HA, [X0, #2]
    strb HB, [X0, #3]
    add X0, X0, #4
    str X0, [sp, #J_OUT]
    subs X1, X1, #1
    str X1, [sp, #J_PANELS]
    bne 1b
    add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size dense_panels, . - dense_panels
#endif
