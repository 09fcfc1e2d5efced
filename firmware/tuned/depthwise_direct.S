/* Sums of rows of outputs of one channel of a depthwise 3x3 filter of stride 2, straight from the map, for Armv7E-M; see
 * depthwise_direct.c.
 *
 *   void NAME(const int8_t *in, int32_t *sums, int32_t rows, const depthwise_window *window);
 *
 * `in` is the first column of the window's row 0; the row of w2 is `window->down` bytes after it. Of each column a word
 * holds rows 0 and 1, and a word row 2 of the first two columns; the last column of a window is the next one's first.
 *
 * Defined before inclusion: NAME; WIDTH, STEP: columns and channels of the map; OUT_WIDTH; LEFT, RIGHT: 1 where the first
 * and the last window have a column of padding.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define ROW (WIDTH * STEP)
#define WHOLE (OUT_WIDTH - RIGHT)
#define MISSING (-WHOLE & 3)    /* outputs that the first turn leaves out */
#define OUTPUT_BYTES 60

#define S_ROWS 0
#define S_PADDING 4
#define S_END 8
#define S_BYTES 16

#define IN r0
#define SUMS r1
#define IN2 r2
#define A r3
#define K0 r4                   /* weights of rows 0 and 1 of each column */
#define K1 r5
#define K2 r6
#define W20 r7                  /* of row 2: columns 0 and 1, then 2 */
#define W22 r8
#define BIAS r9
#define FIRST r10               /* the first column of the window: rows 0 and 1, row 2 */
#define FIRST2 r11
#define SUM r12
#define B lr

/* Two columns, the second of which is then the next window's first. 18 cycles on Cortex-M4. */
.macro first_columns at
    ldrsb.w A, [IN, #\at]
    ldrsb.w B, [IN, #(\at + ROW)]
    ldrsb.w SUM, [IN2, #\at]
    pkhbt FIRST2, FIRST2, SUM, lsl #16
    smlad SUM, FIRST, K0, BIAS
    pkhbt A, A, B, lsl #16
    smlad SUM, FIRST2, W20, SUM
    smlad SUM, A, K1, SUM
.endm
.macro last_column
    smlad SUM, FIRST, K2, SUM
    smlabb SUM, FIRST2, W22, SUM
.endm
.macro load_first at
    ldrsb.w FIRST, [IN, #\at]
    ldrsb.w B, [IN, #(\at + ROW)]
    ldrsb.w FIRST2, [IN2, #\at]
    pkhbt FIRST, FIRST, B, lsl #16
.endm
.macro output n
    first_columns (2 * \n + 1 - LEFT) * STEP
    load_first (2 * \n + 2 - LEFT) * STEP
    last_column
    str.w SUM, [SUMS, #4 * \n]
.endm

    .section .text.NAME, "ax"
    .global NAME
    .type NAME, %function
    .thumb_func
    .align 2
NAME:
    push {r4-r11, lr}
    sub sp, sp, #S_BYTES
    ldm r3!, {r4-r9}
    ldm r3, {r10, r11}          /* padding in both halves, down */
    strd r2, r10, [sp, #S_ROWS]
    add IN2, IN, r11
1:
    .if LEFT
    ldr FIRST, [sp, #S_PADDING]
    mov FIRST2, FIRST
    .else
    load_first 0
    .endif
    .if WHOLE
    add A, SUMS, #4 * WHOLE
    str A, [sp, #S_END]
    .if MISSING
    sub IN, IN, #2 * STEP * MISSING
    sub IN2, IN2, #2 * STEP * MISSING
    sub SUMS, SUMS, #4 * MISSING
    b 2f + OUTPUT_BYTES * MISSING
    .endif
    .align 2
2:
    output 0
    output 1
    output 2
    output 3
    ldr A, [sp, #S_END]
    add IN, IN, #8 * STEP
    add IN2, IN2, #8 * STEP
    add SUMS, SUMS, #16
    cmp SUMS, A
    bne 2b
    .endif
    .if RIGHT
    first_columns (1 - LEFT) * STEP
    ldr FIRST, [sp, #S_PADDING]
    mov FIRST2, FIRST
    last_column
    str SUM, [SUMS], #4
    .endif
    ldr A, [sp, #S_ROWS]
    add IN, IN, #2 * (ROW - STEP * WHOLE)
    add IN2, IN2, #2 * (ROW - STEP * WHOLE)
    subs A, A, #1
    str A, [sp, #S_ROWS]
    bne 1b
    add sp, sp, #S_BYTES
    pop {r4-r11, pc}
    .size NAME, . - NAME
#endif
