/* Depthwise 3x3, stride 1, padding 1: the sums of one channel, two rows at a time, for Armv7E-M; see depthwise_3x3.c.
 *
 *   void depthwise_sums(uint32_t *cells, int32_t columns, const depthwise_channel *channel);
 *
 * A pair is two rows of one channel: P[b] = (row 2b - 1, row 2b), a word for each column, the upper row in its lower
 * half. Of six taps of two results SMLAD takes two at once:
 *   row 2b     = P[b] . (w0, w1) + P[b + 1].lower w2
 *   row 2b + 1 = P[b].upper w0   + P[b + 1] . (w1, w2)
 * A cell is one column of both, (P[b], P[b + 1]); the two sums of the column replace it. A cell of padding stands
 * before each row of cells and after the last, so that the sums run through all rows without a break.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define CELL_BYTES 8

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
.macro column a0, a1, b0, b1, at
    ldrd P0, P1, [CELL, #CELL_BYTES * \at]
    smlad \a0, P0, K2, \a0
    smlatb \a1, P0, K2, \a1
    smlabt \a0, P1, L2, \a0
    smlad \a1, P1, L2, \a1
    str.w \a0, [CELL, #CELL_BYTES * (\at - 1)]
    str.w \a1, [CELL, #CELL_BYTES * (\at - 1) + 4]
    smlad \b0, P0, K1, \b0
    smlatb \b1, P0, K1, \b1
    smlabt \b0, P1, L1, \b0
    smlad \b1, P1, L1, \b1
    smlad \a0, P0, K0, BIAS
    smlatb \a1, P0, K0, BIAS
    smlabt \a0, P1, L0, \a0
    smlad \a1, P1, L0, \a1
.endm

    .section .text.depthwise_sums, "ax"
    .global depthwise_sums
    .type depthwise_sums, %function
    .thumb_func
    .align 2
depthwise_sums:
    push {r4-r11, lr}
    sub sp, sp, #8
    add r3, r0, #CELL_BYTES
    add r3, r3, r1, lsl #3
    str r3, [sp]                /* the end */
    rsb r1, r1, #0              /* the first turn leaves out as many columns as the last would be too many */
    and r1, r1, #3
    sub CELL, r0, r1, lsl #3
    mov r3, #COLUMN_BYTES
    mul r1, r1, r3
    adr r3, 1f
    add r1, r1, r3
    orr r1, r1, #1
    str r1, [sp, #4]
    ldr P0, [r0]                /* padding, the same in both words */
    ldm r2, {r0-r6}
    mov BIAS, r6
    smlad Y0, P0, K0, BIAS
    smlatb Y1, P0, K0, BIAS
    smlabt Y0, P0, L0, Y0
    smlad Y1, P0, L0, Y1
    mov X0, Y0                  /* either is the first column's: the other is stored over the padding */
    mov X1, Y1
    add CELL, CELL, #CELL_BYTES
    ldr P0, [sp, #4]
    bx P0
    .align 2
1:
    column X0, X1, Y0, Y1, 0
    column Y0, Y1, X0, X1, 1
    column X0, X1, Y0, Y1, 2
    column Y0, Y1, X0, X1, 3
    ldr P0, [sp]
    add CELL, CELL, #4 * CELL_BYTES
    cmp CELL, P0
    bne 1b
    add sp, sp, #8
    pop {r4-r11, pc}
    .size depthwise_sums, . - depthwise_sums
#endif
