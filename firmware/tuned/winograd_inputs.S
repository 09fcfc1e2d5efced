/* Tiles of inputs, transformed for Winograd's F(2x2, 3x3), for Armv7E-M: winograd_products.S multiplies them.
 *
 *   void winograd_inputs(const word *rows, word *v, int32_t tiles, int32_t column_bytes);
 *
 * A tile is the 4x4 inputs of 2x2 outputs. rows: the addresses of four expanded rows. v: [pair of tiles][pair of channels]
 * [16 positions][tile] words of two channels. column_bytes: from a column of the expanded rows to the next.
 */
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
    .syntax unified
    .thumb

#define V r4
#define A0 r5
#define A1 r6
#define A2 r7
#define A3 r8
#define B0 r9
#define B1 r10
#define B2 r11
#define B3 r12

#define L_END 0     /* of the tile's words */
#define L_LEFT 4    /* tiles */
#define L_COLUMN 8
#define L_PAIR 12   /* bytes of a pair of tiles */
#define L_BYTES 20

/* Four inputs of a row, transformed: x0 - x2, x1 + x2, x2 - x1, x1 - x3. */
.macro row from, x0, x1, x2, x3
    ldr \x1, [sp, #L_COLUMN]
    add \x3, \x1, \x1, lsl #1
    ldr \x2, [\from, \x1, lsl #1]
    ldr \x3, [\from, \x3]
    ldr \x1, [\from, \x1]
    ldr \x0, [\from], #4
    sadd16 lr, \x1, \x2
    ssub16 \x3, \x1, \x3
    ssub16 \x0, \x0, \x2
    ssub16 \x2, \x2, \x1
    mov \x1, lr
.endm

.macro middle a, b, at
    sadd16 lr, \a, \b
    ssub16 \b, \b, \a
    str lr, [V, #8 * (4 + \at)]
    str \b, [V, #8 * (8 + \at)]
.endm

.macro outer a, b, at
    ssub16 \b, \a, \b
    str \b, [V, #8 * \at]
.endm

    .section .text.winograd_inputs, "ax"
    .global winograd_inputs
    .type winograd_inputs, %function
    .thumb_func
    .align 2
winograd_inputs:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
    mov V, r1
    lsl r5, r3, #5              /* 16 positions of two tiles for each pair of channels */
    strd r2, r3, [sp, #L_LEFT]
    str r5, [sp, #L_PAIR]
    ldm r0, {r0-r3}
1:  ldr lr, [sp, #L_PAIR]
    add lr, V, lr
    str lr, [sp, #L_END]
2:  row r0, A0, A1, A2, A3
    row r2, B0, B1, B2, B3
    ssub16 A0, A0, B0
    ssub16 A1, A1, B1
    ssub16 A2, A2, B2
    ssub16 A3, A3, B3
    str A0, [V]
    str A1, [V, #8]
    str A2, [V, #16]
    str A3, [V, #24]
    row r1, A0, A1, A2, A3
    middle A0, B0, 0
    middle A1, B1, 1
    middle A2, B2, 2
    middle A3, B3, 3
    row r3, B0, B1, B2, B3
    outer A0, B0, 12
    outer A1, B1, 13
    outer A2, B2, 14
    outer A3, B3, 15
    ldr lr, [sp, #L_END]
    add V, V, #128
    cmp V, lr
    bne 2b
    ldrd r5, r6, [sp, #L_LEFT]  /* and column */
    ldr r7, [sp, #L_PAIR]
    add r0, r0, r6              /* a tile has two columns of its own */
    add r1, r1, r6
    add r2, r2, r6
    add r3, r3, r6
    tst r5, #1                  /* the first tile of a pair, or the second: tiles are an even number */
    itte eq
    subeq V, V, r7
    addeq V, V, #4
    subne V, V, #4
    subs r5, r5, #1
    str r5, [sp, #L_LEFT]
    bne 1b
    add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size winograd_inputs, . - winograd_inputs
#endif
