/* A row of outputs of one channel of a 3x3 filter, with least code, for Armv7E-M.
 *
 *   void depthwise_short_row(const int16_t *upper, int8_t *out, const short_row *row);    see tuned.h
 *
 * 27 instructions, 40 cycles on Cortex-M4, for an output.
 */
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
    .syntax unified
    .thumb
#include "requantize.h"

#define UPPER r0
#define OUT r1
#define SUM r2
#define PITCH r3   /* bytes from a row to the next */
#define W0 r4      /* the first two weights of each row */
#define W1 r5
#define W2 r6
#define THIRD01 r7 /* the third ones of rows 0 and 1 */
#define THIRD2 r8  /* that of row 2 in the upper half, the right shift in the lowest byte */
#define FACTOR r9
#define CONSTANT r10
#define STEP r11   /* bytes from an output to the next */
#define X r12
#define AT lr

    .section .text.depthwise_short_row, "ax"
    .global depthwise_short_row
    .type depthwise_short_row, %function
    .thumb_func
    .align 2
depthwise_short_row:
    push {r4-r11, lr}
    ldm r2!, {r3-r11}
    ldm r2, {r2, r12, lr}       /* bias, stride, bytes of all outputs */
    add lr, lr, OUT
    push {r2, r12, lr}
1:  ldr SUM, [sp]
    ldr X, [UPPER]
    ldrsh AT, [UPPER, #4]
    smlad SUM, X, W0, SUM
    smlabb SUM, AT, THIRD01, SUM
    add AT, UPPER, PITCH
    ldr X, [AT]
    smlad SUM, X, W1, SUM
    ldrsh X, [AT, #4]
    smlabt SUM, X, THIRD01, SUM
    add AT, AT, PITCH
    ldr X, [AT]
    smlad SUM, X, W2, SUM
    ldrsh X, [AT, #4]
    smlabt SUM, X, THIRD2, SUM
    ldrd X, AT, [sp, #4]
    add UPPER, UPPER, X
    scale_sum SUM, FACTOR, CONSTANT, X
    narrow SUM, THIRD2
    strb SUM, [OUT]
    add OUT, OUT, STEP
    cmp OUT, AT
    bne 1b
    add sp, sp, #12
    pop {r4-r11, pc}
    .size depthwise_short_row, . - depthwise_short_row
#endif
