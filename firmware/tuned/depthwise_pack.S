/* Packs pairs of rows of one channel into cells, for Armv7E-M; see depthwise_macros.h.
 *
 *   void depthwise_pack(uint32_t *cell, const int8_t *in, int32_t pairs, const depthwise_channel *channel);
 *
 * Each P is the second word of one row of cells, from `cell` on, and the first of the next; so is the padding after it.
 */
#if defined(__ARM_FEATURE_DSP)
#include "depthwise_macros.h"

#define C_PADDING 40            /* offset in depthwise_channel: padding, width, bytes of a pixel, of a row */
#define S_PAIRS 0
#define S_COLUMNS 8
#define S_ROW 12
#define S_BYTES 16

#define STEP1 r6                /* bytes from a pixel to the next, and twice, three times as many */
#define STEP2 r7
#define STEP3 r8

    function depthwise_pack
    push {r4-r11, lr}
    add r4, r3, #C_PADDING
    ldm r4, {r3, r5, r6, r9}
    add FIRST, SECOND, r5, lsl #3
    add FIRST, FIRST, #CELL_BYTES - 4
    push {r2, r3, r5, r9}       /* pairs, padding, columns, bytes of a row */
    add IN1, IN0, r9
    lsl STEP2, STEP1, #1
    add STEP3, STEP2, STEP1
1:  ldr lr, [sp, #S_COLUMNS]
    tst lr, #1
    beq 2f
    load_one r9, r10, #0
    add IN0, IN0, STEP1
    add IN1, IN1, STEP1
    pack r9, r10
    put_cells r9
2:  tst lr, #2
    beq 3f
    load_two r9, r10, r11, r12, #0, STEP1
    add IN0, IN0, STEP2
    add IN1, IN1, STEP2
    pack r9, r10
    pack r11, r12
    put_cells r9, r11
3:  lsrs lr, lr, #2
    beq 5f
4:  load_two r9, r10, r11, r12, #0, STEP1
    pack r9, r10
    pack r11, r12
    load_two r2, r10, r3, r12, STEP2, STEP3
    put_cells r9, r11
    add IN0, IN0, STEP1, lsl #2
    add IN1, IN1, STEP1, lsl #2
    pack r2, r10
    pack r3, r12
    put_cells r2, r3
    subs lr, lr, #1
    bne 4b
5:  ldrd r2, r3, [sp, #S_PAIRS]
    ldr r9, [sp, #S_ROW]
    mov IN0, IN1                /* which stands at the end of its row, where the next pair begins */
    add IN1, IN1, r9
    put_cells r3
    subs r2, r2, #1
    str r2, [sp, #S_PAIRS]
    bne 1b
    add sp, sp, #S_BYTES
    pop {r4-r11, pc}
    .size depthwise_pack, . - depthwise_pack
#endif
