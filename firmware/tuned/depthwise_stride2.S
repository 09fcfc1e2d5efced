/* Depthwise 3x3, stride 2, of one channel for Armv7E-M: packing, sums, results; see depthwise_3x3_stride2.c.
 *
 *   void depthwise_pack_stride2(uint32_t *cell, const int8_t *in, int32_t rows, const depthwise_channel *channel);
 *   void depthwise_sums_stride2(uint32_t *cells, int32_t count, const depthwise_channel *channel);
 *   void depthwise_store_stride2(const uint32_t *cell, int8_t *out, int32_t rows, const depthwise_channel *channel);
 *   void depthwise_store_stride2_relu(...);                as depthwise_store_relu
 *
 * A cell is what an output does not share with the one before: of its first two columns (row 0, row 1) each and
 * (row 2, row 2). What is left comes from the next cell; the one at the end of a row is the last column by itself. The sum
 * replaces the cell's first word.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define CELL_BYTES 12
#define C_FACTOR 28         /* offsets in depthwise_channel */
#define C_PADDING 40

.macro function name
    .section .text.\name, "ax"
    .global \name
    .type \name, %function
    .thumb_func
    .align 2
\name:
.endm

#define CELL r0
#define IN0 r1
#define IN1 r2
#define IN2 r3
#define STEP1 r4
#define STEP2 r5
#define STEP3 r6
#define PADDING r7
#define COUNT r12
#define LAST lr             /* of the cell before: stored behind the next loads, which then hide the store on Cortex-M4 */

/* Two columns of the three rows. The last cell's third word is not stored yet. */
.macro pack_cell left, right
    ldrsb r8, [IN0, \left]
    ldrsb r9, [IN1, \left]
    ldrsb r10, [IN0, \right]
    ldrsb r11, [IN1, \right]
    str LAST, [CELL, #-4]
    pkhbt r8, r8, r9, lsl #16
    pkhbt r10, r10, r11, lsl #16
    ldrsb r9, [IN2, \left]
    ldrsb r11, [IN2, \right]
    str r8, [CELL], #4
    str r10, [CELL], #8
    pkhbt LAST, r9, r11, lsl #16
.endm
.macro advance by:vararg
    add IN0, IN0, \by
    add IN1, IN1, \by
    add IN2, IN2, \by
.endm

    function depthwise_pack_stride2
    push {r4-r11, lr}
    add r12, r3, #C_PADDING
    ldm r12, {r4-r11}           /* padding, width, step, row, left, right, down to row 1, down to row 2 */
    push {r1, r2, r4-r11}
#define S_IN 0
#define S_ROWS 4
#define S_WIDTH 12
#define S_ROW 20
#define S_LEFT 24
#define S_RIGHT 28
#define S_DOWN1 32
#define S_DOWN2 36
#define S_BYTES 40
    mov PADDING, r4
    mov STEP1, r6
    lsl STEP2, STEP1, #1
    add STEP3, STEP2, STEP1
    ldr LAST, [CELL, #-4]       /* what is stored before the first cell stays as it was */
1:  ldrd r8, r9, [sp, #S_DOWN1]
    ldr COUNT, [sp, #S_WIDTH]
    ldr r10, [sp, #S_LEFT]
    add IN1, IN0, r8
    add IN2, IN1, r9
    cmp r10, #0
    beq 2f                      /* else a column of padding, then the first column */
    ldrsb r8, [IN0]
    ldrsb r9, [IN1]
    ldrsb r10, [IN2]
    str LAST, [CELL, #-4]
    pkhbt r8, r8, r9, lsl #16
    pkhbt LAST, PADDING, r10, lsl #16
    str PADDING, [CELL], #4
    str r8, [CELL], #8
    advance STEP1
    sub COUNT, COUNT, #1
2:  lsrs COUNT, COUNT, #1
    bcc 3f
    pack_cell #0, STEP1
    advance STEP2
3:  cmp COUNT, #0
    beq 5f
4:  pack_cell #0, STEP1
    pack_cell STEP2, STEP3
    advance STEP1, lsl #2
    subs COUNT, COUNT, #1
    bne 4b
5:  ldr r10, [sp, #S_RIGHT]
    str LAST, [CELL, #-4]
    mov r8, PADDING
    mov LAST, PADDING
    cmp r10, #0
    bne 6f
    ldrsb r8, [IN0]
    ldrsb r9, [IN1]
    ldrsb LAST, [IN2]
    pkhbt r8, r8, r9, lsl #16
6:  str r8, [CELL], #CELL_BYTES
    ldrd r8, r9, [sp, #S_IN]
    ldr r10, [sp, #S_ROW]
    add IN0, r8, r10, lsl #1
    subs r9, r9, #1
    strd IN0, r9, [sp, #S_IN]
    bne 1b
    str LAST, [CELL, #-4]
    add sp, sp, #S_BYTES
    pop {r4-r11, pc}
    .size depthwise_pack_stride2, . - depthwise_pack_stride2

#undef CELL
#define K0 r0               /* (w0, w1) of each column of the filter */
#define K1 r1
#define K2 r2
#define W20 r3              /* row 2: columns 0 and 1, then 2 */
#define W22 r4
#define BIAS r5
#define CELL r12
#define C_BIAS 24
#define OUTPUT_BYTES 36

/* p, r: first column and row 2 of this cell; next_p, next_r: of the next. The sum of the output before is stored behind
 * the loads, which hide that. 9 cycles on Cortex-M4. */
.macro output p, r, next_p, next_r, sum, last_sum, at
    ldr.w r8, [CELL, #CELL_BYTES * \at + 4]
    ldr.w \next_p, [CELL, #CELL_BYTES * (\at + 1)]
    ldr.w \next_r, [CELL, #CELL_BYTES * (\at + 1) + 8]
    str.w \last_sum, [CELL, #CELL_BYTES * (\at - 1)]
    smlad \sum, \p, K0, BIAS
    smlad \sum, r8, K1, \sum
    smlad \sum, \next_p, K2, \sum
    smlad \sum, \r, W20, \sum
    smlabb \sum, \next_r, W22, \sum
.endm

    function depthwise_sums_stride2 /* the words of a cell before the first are free */
    push {r4-r11, lr}
    sub sp, sp, #8
    mov r3, #CELL_BYTES
    mla r4, r1, r3, r0
    str r4, [sp]                /* the end */
    rsb r1, r1, #0              /* the first turn leaves out as many cells as the last would be too many */
    and r1, r1, #3
    mls CELL, r1, r3, r0
    mov r3, #OUTPUT_BYTES
    mul r1, r1, r3
    adr r3, 1f
    add r1, r1, r3
    orr r8, r1, #1
    ldr r6, [r0]
    ldr r7, [r0, #8]
    mov r9, r6
    mov r10, r7
    ldr BIAS, [r2, #C_BIAS]
    ldm r2, {r0-r4}
    bx r8
    .align 2
1:
    output r6, r7, r9, r10, r11, lr, 0
    output r9, r10, r6, r7, lr, r11, 1
    output r6, r7, r9, r10, r11, lr, 2
    output r9, r10, r6, r7, lr, r11, 3
    ldr r8, [sp]
    add CELL, CELL, #4 * CELL_BYTES
    cmp CELL, r8
    bne 1b
    str lr, [CELL, #-CELL_BYTES]
    add sp, sp, #8
    pop {r4-r11, pc}
    .size depthwise_sums_stride2, . - depthwise_sums_stride2

#define CELLS r0
#define OUT0 r1
#define ROWS r2
#define T r3
#define FACTOR r4
#define CONSTANT r5
#define RIGHT r6
#define COLUMNS r8
#define STEP r9
#define OUT1 r11

.macro scale relu, value
    .if \relu
    smmlar \value, \value, FACTOR, CONSTANT
    .else
    add T, CONSTANT, \value, asr #31
    smmlar \value, \value, FACTOR, T
    .endif
.endm
.macro store name, relu
    function \name
    push {r4-r11, lr}
    add r3, r3, #C_FACTOR
    ldm r3, {r4-r9}             /* factor, constant, right shift, padding, width, step */
    add OUT1, OUT0, STEP
1:  lsrs lr, COLUMNS, #1
    bcc 2f
    ldr r7, [CELLS], #CELL_BYTES
    scale \relu, r7
    asr r7, r7, RIGHT
    ssat r7, #8, r7
    strb r7, [OUT0]
    mov OUT0, OUT1
    add OUT1, OUT1, STEP
    cmp lr, #0
    beq 3f
2:  ldr r7, [CELLS], #CELL_BYTES
    ldr r10, [CELLS], #CELL_BYTES
    scale \relu, r7
    scale \relu, r10
    asr r7, r7, RIGHT
    asr r10, r10, RIGHT
    ssat r7, #8, r7
    ssat r10, #8, r10
    strb r7, [OUT0]
    strb r10, [OUT1]
    add OUT0, OUT0, STEP, lsl #1
    add OUT1, OUT1, STEP, lsl #1
    subs lr, lr, #1
    bne 2b
3:  add CELLS, CELLS, #CELL_BYTES
    subs ROWS, ROWS, #1
    bne 1b
    pop {r4-r11, pc}
    .size \name, . - \name
.endm
    store depthwise_store_stride2, 0
    store depthwise_store_stride2_relu, 1
#endif
