/* A row of outputs of a depthwise convolution, filter 3x3, all channels, for Armv7-M without DSP instructions.
 *
 *   void depthwise_scalar_stride1(const depthwise_scalar_job *job);    see tuned.h
 *   void depthwise_scalar_stride2(const depthwise_scalar_job *job);
 *
 * Three outputs at a time, or two: of each row of the filter three weights and what they are multiplied with are in
 * registers. An odd output at the end is computed with one beyond, which is not stored. Of 9 MACs of a row 18 cycles are the
 * multiplications, 10 to 13 the loads.
 */
#if __ARM_ARCH_ISA_THUMB == 2 && !defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define S0 r0
#define S1 r1
#define S2 r2
#define X0 r3
#define X1 r4
#define X2 r5
#define W0 r6
#define W1 r7
#define W2 r8
#define R0 r9
#define R1 r10
#define R2 r11
#define W r12
#define OUT lr

/* The job's copy on the stack, as in tuned.h, and what else is there. */
#define J_RINGS 0
#define J_ROW0 4
#define J_ROW1 8
#define J_ROW2 12
#define J_WEIGHTS 16
#define J_PARAMETERS 20
#define J_OUT 24
#define J_RING_BYTES 28
#define J_CHANNELS 32 /* bytes from an output to the next in its row */
#define J_COLUMNS 36
#define L_LEFT 40     /* channels left */
#define L_COLUMNS 44  /* outputs left in the row */
#define L_BYTES 48

/* A row of the filter for three outputs, and for two. */
.macro row3 r, at, stride
    ldrsb W0, [W, #3 * \at]
    ldrsb W1, [W, #3 * \at + 1]
    ldrsb W2, [W, #3 * \at + 2]
    ldrsb X0, [\r]
    ldrsb X1, [\r, #1]
    ldrsb X2, [\r, #2]
    mla S0, X0, W0, S0
    mla S0, X1, W1, S0
    mla S0, X2, W2, S0
    .if \stride == 1
    mla S1, X1, W0, S1
    mla S1, X2, W1, S1
    mla S2, X2, W0, S2
    ldrsb X0, [\r, #3]
    ldrsb X1, [\r, #4]
    mla S1, X0, W2, S1
    mla S2, X0, W1, S2
    mla S2, X1, W2, S2
    .else
    mla S1, X2, W0, S1
    ldrsb X0, [\r, #3]
    ldrsb X1, [\r, #4]
    ldrsb X2, [\r, #5]
    mla S1, X0, W1, S1
    ldrsb X0, [\r, #6]
    mla S1, X1, W2, S1
    mla S2, X1, W0, S2
    mla S2, X2, W1, S2
    mla S2, X0, W2, S2
    .endif
.endm
.macro row2 r, at, stride
    ldrsb W0, [W, #3 * \at]
    ldrsb W1, [W, #3 * \at + 1]
    ldrsb W2, [W, #3 * \at + 2]
    ldrsb X0, [\r]
    ldrsb X1, [\r, #1]
    ldrsb X2, [\r, #2]
    ldrsb S2, [\r, #3]
    mla S0, X0, W0, S0
    mla S0, X1, W1, S0
    mla S0, X2, W2, S0
    .if \stride == 1
    mla S1, X1, W0, S1
    mla S1, X2, W1, S1
    mla S1, S2, W2, S1
    .else
    ldrsb X0, [\r, #4]
    mla S1, X2, W0, S1
    mla S1, S2, W1, S1
    mla S1, X0, W2, S1
    .endif
.endm

/* A sum to a byte of the output: factor W0, constant W1, right shift W2, X2 the distance of outputs. */
.macro finish s
    smull X0, X1, \s, W0
    lsls X0, X0, #1             /* carry: the half that rounds */
    adc X1, X1, \s
    add X1, X1, \s, asr #31
    add X1, X1, W1
    asr X1, X1, W2
    ssat X1, #8, X1
    strb X1, [OUT]
    add OUT, OUT, X2
.endm

.macro function name, stride
    .section .text.\name, "ax"
    .global \name
    .type \name, %function
    .thumb_func
    .align 2
\name:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
    ldm r0, {r1-r10}
    stm sp, {r1-r10}
    str r9, [sp, #L_LEFT]
    mov W, r5
1:  ldr R2, [sp, #J_RINGS]      /* the next channel */
    ldr X0, [sp, #J_ROW0]
    ldr X1, [sp, #J_ROW1]
    ldr X2, [sp, #J_ROW2]
    ldr W0, [sp, #J_RING_BYTES]
    ldr OUT, [sp, #J_OUT]
    ldr W1, [sp, #J_COLUMNS]
    add R0, R2, X0
    add R1, R2, X1
    add W0, W0, R2
    add R2, R2, X2
    str W0, [sp, #J_RINGS]
    add W0, OUT, #1
    str W0, [sp, #J_OUT]
    subs W1, W1, #3
    blt 3f
2:  str W1, [sp, #L_COLUMNS]
    ldr X0, [sp, #J_PARAMETERS]
    ldr S0, [X0]
    mov S1, S0
    mov S2, S0
    row3 R0, 0, \stride
    row3 R1, 1, \stride
    row3 R2, 2, \stride
    ldr X0, [sp, #J_PARAMETERS]
    ldr X2, [sp, #J_CHANNELS]
    ldr W0, [X0, #4]
    ldr W1, [X0, #8]
    ldr W2, [X0, #12]
    finish S0
    finish S1
    finish S2
    ldr W1, [sp, #L_COLUMNS]
    add R0, R0, #3 * \stride
    add R1, R1, #3 * \stride
    add R2, R2, #3 * \stride
    subs W1, W1, #3
    bge 2b
3:  adds W1, W1, #3             /* one or two more */
    beq 4f
    str W1, [sp, #L_COLUMNS]
    ldr X0, [sp, #J_PARAMETERS]
    ldr S0, [X0]
    mov S1, S0
    row2 R0, 0, \stride
    row2 R1, 1, \stride
    row2 R2, 2, \stride
    ldr X0, [sp, #J_PARAMETERS]
    ldr X2, [sp, #J_CHANNELS]
    ldr W0, [X0, #4]
    ldr W1, [X0, #8]
    ldr W2, [X0, #12]
    finish S0
    ldr X0, [sp, #L_COLUMNS]
    cmp X0, #1
    beq 4f
    finish S1
4:  ldr X0, [sp, #J_PARAMETERS]
    ldr X1, [sp, #L_LEFT]
    add X0, X0, #16
    add W, W, #9
    str X0, [sp, #J_PARAMETERS]
    subs X1, X1, #1
    str X1, [sp, #L_LEFT]
    bne 1b
    add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size \name, . - \name
.endm

    function depthwise_scalar_stride1, 1
    function depthwise_scalar_stride2, 2
#endif
