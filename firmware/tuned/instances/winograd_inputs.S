/* Tiles of inputs, transformed for Winograd's F(2x2, 3x3), for Armv7E-M: winograd_products.S multiplies them.
 *
 *   void NAME(const word *rows, word *v, int32_t tiles);
 *
 * A tile is the 4x4 inputs of 2x2 outputs. rows: the addresses of four expanded rows. v: [tile][16 positions]
 * [CHANNELS / 2] words of two channels, at most 512. Defined before inclusion: NAME; CHANNELS, of the input, a multiple of
 * 16, at most 112: an LDR reaches 4095 bytes.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define COLUMN (2 * CHANNELS)
#define TILE (32 * CHANNELS)

#define A0 r5
#define A1 r6
#define A2 r7
#define A3 r8
#define B0 r9
#define B1 r10
#define B2 r11
#define B3 r12

/* Four inputs of a row, transformed: x0 - x2, x1 + x2, x2 - x1, x1 - x3. */
.macro row from, x0, x1, x2, x3
    ldr \x1, [\from, #COLUMN]
    ldr \x2, [\from, #2 * COLUMN]
    ldr \x3, [\from, #3 * COLUMN]
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
    str lr, [r4, #(4 + \at) * COLUMN]
    str \b, [r4, #(8 + \at) * COLUMN]
.endm

.macro outer a, b, at
    ssub16 \b, \a, \b
    str \b, [r4, #\at * COLUMN]
.endm

    .section .text.NAME, "ax"
    .global NAME
    .type NAME, %function
    .thumb_func
    .align 2
NAME:
    push {r4-r11, lr}
    sub sp, sp, #8
    mov r4, r1
    str r2, [sp, #4]            /* tiles left */
    ldm r0, {r0-r3}
1:  add lr, r4, #COLUMN
    str lr, [sp]
2:  row r0, A0, A1, A2, A3
    row r2, B0, B1, B2, B3
    ssub16 A0, A0, B0
    ssub16 A1, A1, B1
    ssub16 A2, A2, B2
    ssub16 A3, A3, B3
    str A0, [r4]
    str A1, [r4, #COLUMN]
    str A2, [r4, #2 * COLUMN]
    str A3, [r4, #3 * COLUMN]
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
    ldr lr, [sp]
    add r4, r4, #4
    cmp r4, lr
    bne 2b
    ldr lr, [sp, #4]
    add r0, r0, #COLUMN         /* a tile has two columns of its own */
    add r1, r1, #COLUMN
    add r2, r2, #COLUMN
    add r3, r3, #COLUMN
    add r4, r4, #TILE - COLUMN
    subs lr, lr, #1
    str lr, [sp, #4]
    bne 1b
    add sp, sp, #8
    pop {r4-r11, pc}
    .size NAME, . - NAME
#endif
