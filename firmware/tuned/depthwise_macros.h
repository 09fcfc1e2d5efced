/* What the depthwise 3x3 kernels of stride 1 for Armv7E-M are built from.
 *
 * A pair is two rows of one channel: P[b] = (row 2b - 1, row 2b), a word for each column, the upper row in its lower
 * half. Of six taps of two results SMLAD takes two at once:
 *   row 2b     = P[b] . (w0, w1) + P[b + 1].lower w2
 *   row 2b + 1 = P[b].upper w0   + P[b + 1] . (w1, w2)
 * A cell is one column of both, (P[b], P[b + 1]); the two sums of the column replace it.
 *
 * On Cortex-M4 a store right behind a load takes no time of its own, and a load right behind a store one cycle more:
 * packed words and results are stored behind the loads of the next columns.
 */
    .syntax unified
    .thumb

#define CELL_BYTES 8

.macro function name
    .section .text.\name, "ax"
    .global \name
    .type \name, %function
    .thumb_func
    .align 2
\name:
.endm

/* ---- packing: two rows, and the words of cells that get P */

#define SECOND r0
#define IN0 r1
#define FIRST r4
#define IN1 r5

.macro load_one a, b, at
    ldrsb \a, [IN0, \at]
    ldrsb \b, [IN1, \at]
.endm
.macro load_two a, b, c, d, left, right
    load_one \a, \b, \left
    load_one \c, \d, \right
.endm
.macro pack a, b
    pkhbt \a, \a, \b, lsl #16
.endm
.macro put_cells values:vararg
    .irp p, \values
    str \p, [SECOND], #CELL_BYTES
    str \p, [FIRST], #CELL_BYTES
    .endr
.endm

/* ---- sums */

#define K0 r0     /* (w0, w1) of each column of the filter */
#define K1 r1
#define K2 r2
#define L0 r3     /* (w1, w2) */
#define L1 r4
#define L2 r5
#define X0 r6     /* sums of a column and of the next, in turns: upper row, lower row */
#define X1 r7
#define Y0 r8
#define Y1 r9
#define P0 r10
#define P1 r11
#define CELL r12
#define BIAS lr
#define COLUMN_BYTES 60

/* A column arrives: it ends the sums of the column before (a), goes on with those of its own (b), and begins those of
 * the next in a. 17 cycles on Cortex-M4. */
.macro load_column at
    ldrd P0, P1, [CELL, #CELL_BYTES * \at]
.endm
.macro end_column a0, a1, at
    smlad \a0, P0, K2, \a0
    smlatb \a1, P0, K2, \a1
    smlabt \a0, P1, L2, \a0
    smlad \a1, P1, L2, \a1
    str.w \a0, [CELL, #CELL_BYTES * (\at - 1)]
    str.w \a1, [CELL, #CELL_BYTES * (\at - 1) + 4]
.endm
.macro go_on b0, b1, from0, from1
    smlad \b0, P0, K1, \from0
    smlatb \b1, P0, K1, \from1
    smlabt \b0, P1, L1, \b0
    smlad \b1, P1, L1, \b1
.endm
.macro begin_column a0, a1
    smlad \a0, P0, K0, BIAS
    smlatb \a1, P0, K0, BIAS
    smlabt \a0, P1, L0, \a0
    smlad \a1, P1, L0, \a1
.endm
.macro column a0, a1, b0, b1, at
    load_column \at
    end_column \a0, \a1, \at
    go_on \b0, \b1, \b0, \b1
    begin_column \a0, \a1
.endm

/* ---- results: sums are twice as large as they are, so that the upper half of a product with the mantissa, 2^31 times
 * its value, is the sum times that value, rounded. Ties of the shift after it go away from zero: negative ones need 1
 * less. With relu, where the zero point is the least result, they do not: it is that of negative sums in either case. */

#define CELLS r0
#define OUT0 r1
#define T r2
#define OUT1 r3
#define FACTOR r4
#define CONSTANT r5
#define RIGHT r6

.macro load_cell upper, lower
    ldr \upper, [CELLS], #4
    ldr \lower, [CELLS], #4
.endm
.macro scale relu, values:vararg
    .irp v, \values
    .if \relu
    smmlar \v, \v, FACTOR, CONSTANT
    .else
    add T, CONSTANT, \v, asr #31
    smmlar \v, \v, FACTOR, T
    .endif
    .endr
    .irp v, \values
    asr \v, \v, RIGHT
    .endr
    .irp v, \values
    ssat \v, #8, \v
    .endr
.endm
.macro put_results upper, lower, at=0
    strb \lower, [OUT1, #\at]
    strb \upper, [OUT0, #\at]
.endm
