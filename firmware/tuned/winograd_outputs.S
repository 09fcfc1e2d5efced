/* The outputs of Winograd's F(2x2, 3x3), of one channel, for Armv7E-M.
 *
 *   void winograd_outputs(const winograd_out_job *job);          types are in tuned.h
 *
 * m: [tile][16 positions][4 channels] sums. They are transformed, (1, 1, 1, 0) and (0, 1, -1, -1) both ways, divided by 4
 * and requantized.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb
#include "requantize.h"

#define M r0
#define OUT r1
#define ROW r2
#define PIXEL r3
#define LEFT r4
#define Y00 r5
#define Y01 r6
#define Y10 r7
#define Y11 r8
#define T0 r9
#define T1 r10
#define T2 r11
#define T3 r12

/* T0, T1: the two sums of a column of four. */
.macro column j
    ldr T0, [M, #16 * \j]
    ldr T1, [M, #16 * (\j + 4)]
    ldr T2, [M, #16 * (\j + 8)]
    ldr T3, [M, #16 * (\j + 12)]
    .if \j == 1
    add T1, T1, lr              /* position 5 counts once in all four: the bias */
    .endif
    add T0, T0, T1
    sub T1, T1, T2
    add T0, T0, T2
    sub T1, T1, T3
.endm

.macro requantize y
    asr \y, \y, #2
    scale_sum \y, T0, T1, T3
    narrow \y, T2
.endm

    .section .text.winograd_outputs, "ax"
    .global winograd_outputs
    .type winograd_outputs, %function
    .thumb_func
    .align 2
winograd_outputs:
    push {r4-r11, lr}
    sub sp, sp, #16
    add lr, r0, #20
    ldm lr, {r5-r8}             /* four times the bias; factor, constant, right shift */
    stm sp, {r5-r8}
    ldm r0, {r0-r4}
1:  ldr lr, [sp]
    column 0
    mov Y00, T0
    mov Y10, T1
    column 1
    add Y00, Y00, T0
    mov Y01, T0
    add Y10, Y10, T1
    mov Y11, T1
    column 2
    add Y00, Y00, T0
    sub Y01, Y01, T0
    add Y10, Y10, T1
    sub Y11, Y11, T1
    column 3
    sub Y01, Y01, T0
    sub Y11, Y11, T1
    ldr T0, [sp, #4]
    ldr T1, [sp, #8]
    ldr T2, [sp, #12]
    requantize Y00
    requantize Y01
    requantize Y10
    requantize Y11
    add lr, OUT, PIXEL
    add M, M, #256
    subs LEFT, LEFT, #1
    strb Y11, [lr, ROW]         /* the first pixel is the last: others share its byte if they are not kept */
    strb Y01, [lr]
    strb Y10, [OUT, ROW]
    strb Y00, [OUT]
    add OUT, lr, PIXEL
    bne 1b
    add sp, sp, #16
    pop {r4-r11, pc}
    .size winograd_outputs, . - winograd_outputs
#endif
