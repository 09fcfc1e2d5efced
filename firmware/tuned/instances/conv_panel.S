/* Convolution of pairs of pixels with a panel of four channels: any filter and stride, also 1x1, for Armv7E-M.
 *
 *   void NAME(const conv_panel_job *job);    conv_panel_job is in tuned.h
 *
 * x is expanded to 16 bits as SXTB16 leaves it: of four inputs (0, 2), then (1, 3). A filter row is one run of words;
 * the second pixel's is NEXT bytes further. No im2col.
 *
 * Weights: a half-word is a + 256 b, of channel a and its neighbour b, at one input. SMLAD with the whole word
 * gives B = sum x (a + 256 b), with SXTB16 of it A = sum x a; sum x b = (B - A) >> 8, exact while it is below 2^23.
 * So four weights of two channels take one SXTB16 instead of two.
 *
 * FOUR_BITS: a half-word is a + 16 b + 256 c + 4096 d, of four channels, with 8 added to the weights a, b and c. Masks leave
 * its lowest 4, 8 and 12 bits; the sums A to D of x times these and the whole are those of one channel more each. They begin
 * with -8 times the sum of the pixel's x, which job->sums holds, times 1, 17, 273 and 273: what the 8s add up to is in no
 * difference then.
 *
 * Defined before inclusion: NAME; NEXT, bytes, with XSTEP 4: runs of each pixel for itself; or NEXT 4 and XSTEP 8:
 * the words of both alternate. ONE_ROW 1: kh is 1, and rows the run itself. STEPS: those of a turn of the loop, 8 or, for
 * less code, a smaller power of two. On Cortex-M7 the order of instructions is another.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb
#include "requantize.h"

#ifndef STEPS
#define STEPS 8
#endif

/* What is loaded, and the addresses, are in low registers, for which loads have instructions of two bytes. */
#define X0 r0
#define X1 r1
#define WA r2
#define WC r3
#define X r4
#define W r5
#define A0 r6
#define A1 r7
#define B0 r8
#define B1 r9
#define C0 r10
#define C1 r11
#define D0 r12
#define D1 lr

/* All steps are of the same size, whatever NEXT is. */
.macro load_second at
#if ONE_ROW
    ldr.n X1, [X, #\at + NEXT]
#else
    ldr.w X1, [X, #\at + NEXT]
#endif
.endm

/* Two inputs, two pixels, four channels: 16 MACs, 14 instructions, 15 cycles on Cortex-M4. */
.macro step i
    ldr X0, [X, #XSTEP * \i]
    load_second XSTEP * \i
    ldr WA, [W, #8 * \i]
    ldr WC, [W, #8 * \i + 4]
    smlad B0, X0, WA, B0
    smlad B1, X1, WA, B1
    sxtb16 WA, WA
    smlad D0, X0, WC, D0
    smlad D1, X1, WC, D1
    sxtb16 WC, WC
    smlad A0, X0, WA, A0
    smlad A1, X1, WA, A1
    smlad C0, X0, WC, C0
    smlad C1, X1, WC, C1
.endm
#define STEP_BYTES (50 - 2 * ONE_ROW) /* 4 each, but for loads */
#define WEIGHTS_SHIFT 3 /* 8 bytes of weights for a step */
#define AHEAD 0         /* 1: X0 and WA are loaded a step ahead */

#if FOUR_BITS
#undef WEIGHTS_SHIFT
#define WEIGHTS_SHIFT 2
#undef STEP_BYTES
#define STEP_BYTES (52 - 2 * ONE_ROW)
.purgem step
.macro step i
#if defined(CORTEX_M7)
    ldr WC, [W, #4 * \i]
    ldr X0, [X, #XSTEP * \i]
    and WA, WC, #0x000f000f
    smlad D0, X0, WC, D0
    load_second XSTEP * \i
    smlad A0, X0, WA, A0
    smlad A1, X1, WA, A1
    and WA, WC, #0x00ff00ff
    smlad D1, X1, WC, D1
    smlad B0, X0, WA, B0
    smlad B1, X1, WA, B1
    bic WA, WC, #0xf000f000
    smlad C0, X0, WA, C0
    smlad C1, X1, WA, C1
#else
    ldr WC, [W, #4 * \i]
    ldr X0, [X, #XSTEP * \i]
    load_second XSTEP * \i
    and WA, WC, #0x000f000f
    smlad A0, X0, WA, A0
    smlad A1, X1, WA, A1
    and WA, WC, #0x00ff00ff
    smlad B0, X0, WA, B0
    smlad B1, X1, WA, B1
    bic WA, WC, #0xf000f000
    smlad C0, X0, WA, C0
    smlad C1, X1, WA, C1
    smlad D0, X0, WC, D0
    smlad D1, X1, WC, D1
#endif
.endm
#elif defined(CORTEX_M7)
#undef AHEAD
#define AHEAD 1
/* The same for Cortex-M7, X0 and WA loaded a step ahead: each SMLAD with something beside it, 8 cycles. */
.purgem step
.macro step i
    smlad B0, X0, WA, B0
    load_second XSTEP * \i
    smlad B1, X1, WA, B1
    ldr WC, [W, #8 * \i + 4]
    sxtb16 WA, WA
    smlad D0, X0, WC, D0
    smlad D1, X1, WC, D1
    sxtb16 WC, WC
    smlad A0, X0, WA, A0
    smlad C0, X0, WC, C0
    smlad A1, X1, WA, A1
    ldr X0, [X, #XSTEP * (\i + 1)]
    smlad C1, X1, WC, C1
    ldr WA, [W, #8 * (\i + 1)]
.endm
#endif

/* v = bias + ((v - u) >> 8) */
.macro split u0, u1, v0, v1, at
    ldr X0, [X, #4 * \at]
    sub \v0, \v0, \u0
    sub \v1, \v1, \u1
    add \v0, X0, \v0, asr #8
    add \v1, X0, \v1, asr #8
.endm

.macro finish v0, v1, at
    ldr X0, [X, #4 * \at]
    ldr X1, [X, #4 * \at + 4]
    ldr WA, [X, #4 * \at + 8]
    scale_sum \v0, X0, X1, WC
    scale_sum \v1, X0, X1, WC
    narrow \v0, WA
    narrow \v1, WA
.endm

/* The job, on the stack (see tuned.h), and what else is there. */
#define J_ROWS 0
#define J_KH 4
#define J_RUN 8
#define J_STEP 12
#define J_PAIRS 16
#define J_W 20
#define J_P 24
#define J_OUT 28
#define J_CHANNELS 32
#define J_FIRST 36
#define J_ODD 40
#define L_ROW 44   /* where the next row's address is */
#define L_END 48   /* of the run */
#define L_AT 52    /* from a row's address to the run */
#define L_ENTRY 56 /* where a run begins: FIRST steps are left out */
#define L_SUMS 60  /* FOUR_BITS: of the pair of pixels */
#define L_BYTES 64
/* Instead of the job's values, if there are several rows: */
#define L_LAST J_KH  /* the end of the panel's weights */
#define L_SPAN J_RUN /* the run with the steps that are left out */

#if FOUR_BITS
/* Sums of one channel each. */
.macro split_four
    ldr X0, [X]
    ldr X1, [X, #4]
    ldr WA, [X, #8]
    ldr WC, [X, #12]
    sub D0, D0, C0
    sub D1, D1, C1
    sub C0, C0, B0
    sub C1, C1, B1
    sub B0, B0, A0
    sub B1, B1, A1
    add A0, A0, X0
    add A1, A1, X0
    add B0, X1, B0, asr #4
    add B1, X1, B1, asr #4
    add C0, WA, C0, asr #8
    add C1, WA, C1, asr #8
    add D0, WC, D0, asr #12
    add D1, WC, D1, asr #12
.endm
#endif

    .section .text.NAME, "ax"
    .global NAME
    .type NAME, %function
    .thumb_func
    .align 2
NAME:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
#if FOUR_BITS
    ldr r1, [r0, #44]
    str r1, [sp, #L_SUMS]
#endif
    ldm r0, {r1-r11}
    stm sp, {r1-r11}
#if STEPS < 8
    and r10, r10, #STEPS - 1    /* the job counts in eights */
#endif
    mov r0, #STEP_BYTES
    mul r0, r0, r10
    adr r1, 2f
    add r0, r0, r1
    orr r0, r0, #1
    str r0, [sp, #L_ENTRY]
#if !ONE_ROW
    mul r2, r2, r3
    add r2, r6, r2, lsl #WEIGHTS_SHIFT - 2
    str r2, [sp, #L_LAST]
#endif
    sub r6, r6, r10, lsl #WEIGHTS_SHIFT     /* weights that are left out */
    str r6, [sp, #J_W]
    mov r0, #XSTEP
    mul r10, r10, r0
    str r10, [sp, #J_FIRST]
#if !ONE_ROW
    add r3, r3, r10
    str r3, [sp, #L_SPAN]
    rsb r10, r10, #0
    str r10, [sp, #L_AT]
#endif
4:
#if FOUR_BITS
    ldr WC, [sp, #L_SUMS]
    ldr X0, [sp, #J_ROWS]
    ldr.w W, [sp, #J_W]
    ldr A1, [WC, #4]
    ldr A0, [WC], #8
    str WC, [sp, #L_SUMS]
    add B1, A1, A1, lsl #4
    add B0, A0, A0, lsl #4
    add C1, B1, A1, lsl #8
    add C0, B0, A0, lsl #8
    mov D1, C1
#else
    ldr X, [sp, #J_P]
    ldr W, [sp, #J_W]
    ldr X0, [sp, #J_ROWS]
    ldr A0, [X]
    ldr C0, [X, #8]
    mov A1, A0
    mov B0, A0
    mov B1, A0
    mov C1, C0
    mov D1, C0
#endif
    mov D0, C0
#if ONE_ROW
    ldr WC, [sp, #J_RUN]
    ldr WA, [sp, #J_FIRST]
    ldr X1, [sp, #L_ENTRY]
    add WC, WC, X0
    sub X, X0, WA
    str WC, [sp, #L_END]
#if AHEAD
    ldr X0, [X0]
    add WA, W, WA, lsl #1 - (XSTEP / 8)
    ldr WA, [WA]
#endif
    bx X1
#else
1:  ldr X, [X0], #4             /* on a word: in two words it would cost a cycle for each row */
    ldr WA, [sp, #L_AT]
    ldr WC, [sp, #L_SPAN]
    ldr X1, [sp, #L_ENTRY]
    str X0, [sp, #L_ROW]
    add X, X, WA
    add WC, WC, X
    str WC, [sp, #L_END]
#if AHEAD
    ldr WA, [sp, #J_FIRST]
    ldr X0, [X, WA]
    ldr WA, [W, WA, lsl #1]
#endif
    bx X1
#endif
    .align 2
2:  .set i, 0
    .rept STEPS
    step i
    .set i, i + 1
    .endr
#if AHEAD
    ldr X1, [sp, #L_END]
    add X, X, #XSTEP * STEPS
    add W, W, #STEPS << WEIGHTS_SHIFT
    cmp X, X1
    bne 2b
#else
    ldr X0, [sp, #L_END]
    add X, X, #XSTEP * STEPS
    add W, W, #STEPS << WEIGHTS_SHIFT
    cmp X, X0
    bne 2b
#endif
#if !ONE_ROW
    ldr WC, [sp, #L_LAST]
    ldr X0, [sp, #L_ROW]
    ldr WA, [sp, #J_FIRST]
    cmp W, WC
    beq 3f
    sub W, W, WA, lsl #WEIGHTS_SHIFT - 2
    b 1b
#endif

3:  ldr X, [sp, #J_P]
    ldr W, [sp, #J_OUT]
#if FOUR_BITS
    split_four
#else
    split A0, A1, B0, B1, 1
    split C0, C1, D0, D1, 3
#endif
    finish A0, A1, 4
    ldr X1, [sp, #J_CHANNELS]
    strb A1, [W, X1]            /* before the first's: they share a byte if there is no second */
    strb A0, [W]
    add A0, W, X1               /* the second pixel's */
    finish B0, B1, 7
    strb B1, [A0, #1]
    strb B0, [W, #1]
    finish C0, C1, 10
    strb C1, [A0, #2]
    strb C0, [W, #2]
    finish D0, D1, 13
    ldr r0, [sp, #J_CHANNELS]
#if ONE_ROW
    ldr r1, [sp, #J_ROWS]
#else
    ldr r1, [sp, #L_AT]
#endif
    ldr r2, [sp, #J_STEP]
    ldr r3, [sp, #J_PAIRS]
    strb D1, [A0, #3]
    strb D0, [W, #3]
    add W, W, r0, lsl #1
    add r1, r1, r2
    str W, [sp, #J_OUT]
#if ONE_ROW
    str r1, [sp, #J_ROWS]
#else
    str r1, [sp, #L_AT]
#endif
    subs r3, r3, #1
    str r3, [sp, #J_PAIRS]
    bne 4b
    ldr r0, [sp, #J_ODD]
    cbz r0, 5f
    mov r1, #1                  /* the last pixel, with a second one that is not kept */
    str r3, [sp, #J_ODD]
    str r3, [sp, #J_CHANNELS]
    str r1, [sp, #J_PAIRS]
    b 4b
5:  add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size NAME, . - NAME
#endif
