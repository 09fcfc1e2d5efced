/* Packs pairs of rows of one channel into cells, for Armv7E-M; see depthwise_sums.S.
 *
 *   void NAME(uint32_t *cell, const int8_t *in, int32_t pairs, const depthwise_channel *channel);
 *
 * Each P is the second word of one row of cells, from `cell` on, and the first of the next; so is the padding after it.
 * Without definitions before inclusion this is depthwise_pack() for any map; with NAME, WIDTH and STEP (channels) it is
 * an instance for one, without branches on its width and without counting pointers up.
 */
#if defined(__ARM_FEATURE_DSP)
#ifndef NAME
#define NAME depthwise_pack
#endif
    .syntax unified
    .thumb

#define CELL_BYTES 8
#define C_PADDING 40        /* offset in depthwise_channel: padding, width, bytes of a pixel, of a row */

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
.macro put values:vararg
    .irp p, \values
    str \p, [SECOND], #CELL_BYTES
    str \p, [FIRST], #CELL_BYTES
    .endr
.endm

    .section .text.NAME, "ax"
    .global NAME
    .type NAME, %function
    .thumb_func
    .align 2
NAME:
    push {r4-r11, lr}
    add r4, r3, #C_PADDING
    ldm r4, {r3, r5, r6, r9}
    add FIRST, SECOND, r5, lsl #3
    add FIRST, FIRST, #CELL_BYTES - 4

/* Stores follow the next columns' loads: the first of them takes no time of its own on Cortex-M3 and -M4, and a load
 * right behind a store would take one cycle more. */
#ifdef WIDTH
#define PAIRS r2
#define PADDING r3
    push {r8, r9}               /* r9: bytes of a row */
    add IN1, IN0, r9
1:
    .set x, 0
    .if WIDTH & 1
    load_one r6, r7, #0
    pack r6, r7
    .set x, STEP
    .endif
    .rept WIDTH / 4
    load_two r9, r10, r11, r12, #x, #(x + STEP)
    .if x == 0
    .elseif x == STEP
    put r6
    .else
    put r6, r8
    .endif
    pack r9, r10
    pack r11, r12
    load_two r6, r7, r8, lr, #(x + 2 * STEP), #(x + 3 * STEP)
    put r9, r11
    pack r6, r7
    pack r8, lr
    .set x, x + 4 * STEP
    .endr
    ldr lr, [sp, #4]
    .if WIDTH & 2
    load_two r9, r10, r11, r12, #x, #(x + STEP)
    .endif
    .if WIDTH >= 4
    put r6, r8
    .elseif WIDTH & 1
    put r6
    .endif
    .if WIDTH & 2
    pack r9, r10
    pack r11, r12
    put r9, r11
    .endif
    add IN0, IN1, lr            /* the next pair */
    add IN1, IN0, lr
    put PADDING
    subs PAIRS, PAIRS, #1
    bne 1b
    add sp, sp, #8
    pop {r4-r11, pc}
#else
#define STEP1 r6                /* bytes from a pixel to the next, and twice, three times as many */
#define STEP2 r7
#define STEP3 r8
    push {r2, r3, r5, r9}       /* pairs, padding, columns, bytes of a row */
    add IN1, IN0, r9
    lsl STEP2, STEP1, #1
    add STEP3, STEP2, STEP1
1:  ldr lr, [sp, #8]
    tst lr, #1
    beq 2f
    load_one r9, r10, #0
    add IN0, IN0, STEP1
    add IN1, IN1, STEP1
    pack r9, r10
    put r9
2:  tst lr, #2
    beq 3f
    load_two r9, r10, r11, r12, #0, STEP1
    add IN0, IN0, STEP2
    add IN1, IN1, STEP2
    pack r9, r10
    pack r11, r12
    put r9, r11
3:  lsrs lr, lr, #2
    beq 5f
4:  load_two r9, r10, r11, r12, #0, STEP1
    pack r9, r10
    pack r11, r12
    load_two r2, r10, r3, r12, STEP2, STEP3
    put r9, r11
    add IN0, IN0, STEP1, lsl #2
    add IN1, IN1, STEP1, lsl #2
    pack r2, r10
    pack r3, r12
    put r2, r3
    subs lr, lr, #1
    bne 4b
5:  ldrd r2, r3, [sp]
    ldr r9, [sp, #12]
    mov IN0, IN1                /* which stands at the end of its row, where the next pair begins */
    add IN1, IN1, r9
    put r3
    subs r2, r2, #1
    str r2, [sp]
    bne 1b
    add sp, sp, #16
    pop {r4-r11, pc}
#endif
    .size NAME, . - NAME
#endif
