/* Depthwise 3x3, stride 1, padding 1, of a whole map of narrow rows, for Armv7E-M; see depthwise_macros.h.
 *
 *   void NAME(const depthwise_map_layer *layer, const int8_t *in, int8_t *out, uint32_t *scratch);
 *
 * As depthwise_3x3.c, but all rows of a channel at once and nothing called, so that a row and a channel cost little
 * besides. Columns of padding are not packed: what they add to sums is the same for all rows.
 *
 * Defined before inclusion: NAME; HEIGHT, WIDTH, STEP: rows, columns, channels of the map; RELU (see scale).
 */
#if defined(__ARM_FEATURE_DSP)
#include "depthwise_macros.h"

#define PAIRS ((HEIGHT + 1) / 2)
#define PITCH (CELL_BYTES * WIDTH)
#define ROW (WIDTH * STEP)

/* On the stack; from S_K on what a record is unpacked to. */
#define S_K 0
#define S_L 12
#define S_BIAS 24
#define S_FACTOR 28
#define S_CONSTANT 32
#define S_SHIFT 36
#define S_RECORD 40
#define S_COUNT 44
#define S_PADDING 48        /* in both halves */
#define S_IN 52
#define S_OUT 56
#define S_CELLS 60
#define S_LEFT 64           /* bias and what a column of padding at the left adds */
#define S_RIGHT 68          /* what one at the right adds */
#define S_END 72            /* of the cells */
#define S_BYTES 76

/* Twice the weights of a column. */
.macro unpack bytes, at
    sxtb16 r10, \bytes
    sxtb16 r11, \bytes, ror #8
    sadd16 r10, r10, r10
    sadd16 r11, r11, r11
    pkhbt r12, r10, r11, lsl #16
    pkhbt r11, r11, r10
    str r12, [sp, #S_K + \at]
    str r11, [sp, #S_L + \at]
.endm

    function NAME
    push {r4-r11, lr}
    sub sp, sp, #S_BYTES
    ldm r0, {r6-r9}             /* kernel, records, channels, padding */
    pkhbt r9, r9, r9, lsl #16
    strd r7, r8, [sp, #S_RECORD]
    strd r9, r1, [sp, #S_PADDING]
    strd r2, r3, [sp, #S_OUT]
    add r3, r3, #PITCH * PAIRS
    str r3, [sp, #S_END]

    .align 2
channel:
    ldr r0, [sp, #S_RECORD]
    ldr r1, [sp, #S_IN]
    ldm r0!, {r5-r9}            /* three columns, bias, mantissa */
    str r0, [sp, #S_RECORD]
    asr r2, r5, #24             /* right shift */
    asr r3, r6, #24             /* zero point */
    str r8, [sp, #S_BIAS]
    str r9, [sp, #S_FACTOR]
    lsl r3, r3, #1
    add r3, r3, #1
    sub r4, r2, #1
    lsl r3, r3, r4
    str r3, [sp, #S_CONSTANT]
    str r2, [sp, #S_SHIFT]
    unpack r5, 0
    unpack r6, 4
    unpack r7, 8

#define COUNT r2
#define PADDING r3
    ldrd r3, r4, [sp, #S_PADDING]
    ldr r0, [sp, #S_CELLS]
    add r4, r4, #1
    str r4, [sp, #S_IN]
    mov FIRST, r0
    add SECOND, r0, #4
    .set x, 0                   /* P[0] = (padding, row 0) */
    .rept WIDTH / 2
    ldrsb r6, [IN0, #x]
    ldrsb r7, [IN0, #(x + STEP)]
    pkhbt r6, PADDING, r6, lsl #16
    pkhbt r7, PADDING, r7, lsl #16
    str r6, [FIRST], #CELL_BYTES
    str r7, [FIRST], #CELL_BYTES
    .set x, x + 2 * STEP
    .endr
    .if WIDTH & 1
    ldrsb r6, [IN0, #x]
    pkhbt r6, PADDING, r6, lsl #16
    str r6, [FIRST], #CELL_BYTES
    .endif
    add IN0, IN0, #ROW
    .if PAIRS > 1
    mov COUNT, #PAIRS - 1
    add IN1, IN0, #ROW
2:
    .set x, 0
    .if WIDTH & 1
    load_one r6, r7, #0
    pack r6, r7
    .set x, STEP
    .endif
    .rept WIDTH / 4
    load_two r9, r10, r11, r12, #x, #(x + STEP)
    .if x == STEP
    put_cells r6
    .elseif x
    put_cells r6, r8
    .endif
    pack r9, r10
    pack r11, r12
    load_two r6, r7, r8, lr, #(x + 2 * STEP), #(x + 3 * STEP)
    put_cells r9, r11
    pack r6, r7
    pack r8, lr
    .set x, x + 4 * STEP
    .endr
    .if WIDTH & 2
    load_two r9, r10, r11, r12, #x, #(x + STEP)
    .endif
    .if WIDTH >= 4
    put_cells r6, r8
    .elseif WIDTH & 1
    put_cells r6
    .endif
    add IN0, IN1, #ROW          /* the next pair */
    add IN1, IN1, #2 * ROW
    .if WIDTH & 2
    pack r9, r10
    pack r11, r12
    put_cells r9, r11
    .endif
    subs COUNT, COUNT, #1
    bne 2b
    .endif
    .set x, 0                   /* P[PAIRS] = (last row, padding), or padding below an odd number of rows */
    .rept WIDTH
    .if HEIGHT & 1
    str PADDING, [SECOND], #CELL_BYTES
    .else
    ldrsb r6, [IN0, #x]
    pkhbt r6, r6, PADDING
    str r6, [SECOND], #CELL_BYTES
    .endif
    .set x, x + STEP
    .endr

    mov P0, PADDING
    ldr CELL, [sp, #S_CELLS]
    ldm sp, {r0-r6}
    mov BIAS, r6
    smlad X0, P0, K0, BIAS
    smlabt X0, P0, L0, X0
    smuad X1, P0, K2
    smlabt X1, P0, L2, X1
    strd X0, X1, [sp, #S_LEFT]
3:  ldr X0, [sp, #S_LEFT]
    load_column 0
    go_on Y0, Y1, X0, X0
    .set n, 1
    .if WIDTH > 1
    begin_column X0, X1
    .rept WIDTH - 2
    .if n & 1
    column Y0, Y1, X0, X1, n
    .else
    column X0, X1, Y0, Y1, n
    .endif
    .set n, n + 1
    .endr
    load_column n
    .if n & 1
    end_column Y0, Y1, n
    go_on X0, X1, X0, X1
    .else
    end_column X0, X1, n
    go_on Y0, Y1, Y0, Y1
    .endif
    .set n, n + 1
    .endif
    ldrd P0, P1, [sp, #S_RIGHT]
    .if n & 1
    add Y0, Y0, P0
    add Y1, Y1, P0
    str Y0, [CELL, #PITCH - CELL_BYTES]
    str Y1, [CELL, #PITCH - CELL_BYTES + 4]
    .else
    add X0, X0, P0
    add X1, X1, P0
    str X0, [CELL, #PITCH - CELL_BYTES]
    str X1, [CELL, #PITCH - CELL_BYTES + 4]
    .endif
    add CELL, CELL, #PITCH
    cmp CELL, P1
    bne 3b

.macro result_column n          /* odd and even columns take turns */
    .if \n & 1
    load_cell r11, r12
    put_results r9, r10, (\n - 1) * STEP
    scale RELU, r11, r12
    .else
    load_cell r9, r10
    .if \n
    put_results r11, r12, (\n - 1) * STEP
    .endif
    scale RELU, r9, r10
    .endif
.endm
    ldrd OUT0, CELLS, [sp, #S_OUT]
    add r6, sp, #S_FACTOR
    ldm r6, {r4-r6}
    add r7, OUT0, #1
    str r7, [sp, #S_OUT]
    .if HEIGHT > 1
    add OUT1, OUT0, #ROW
    mov lr, #HEIGHT / 2
4:
    .set n, 0
    .rept WIDTH
    result_column n
    .set n, n + 1
    .endr
    .if WIDTH & 1
    put_results r9, r10, (WIDTH - 1) * STEP
    .else
    put_results r11, r12, (WIDTH - 1) * STEP
    .endif
    add OUT0, OUT1, #ROW        /* the next pair */
    add OUT1, OUT1, #2 * ROW
    subs lr, lr, #1
    bne 4b
    .endif
    .if HEIGHT & 1
    .set x, 0
    .rept WIDTH
    ldr r9, [CELLS], #CELL_BYTES
    .if x
    strb r10, [OUT0, #(x - STEP)]
    .endif
    scale RELU, r9
    mov r10, r9
    .set x, x + STEP
    .endr
    strb r10, [OUT0, #(x - STEP)]
    .endif
    ldr r4, [sp, #S_COUNT]
    subs r4, r4, #1
    str r4, [sp, #S_COUNT]
    bne channel
    add sp, sp, #S_BYTES
    pop {r4-r11, pc}
    .size NAME, . - NAME
#endif
