/* The sums of packed rows of one channel, for Armv7E-M; see depthwise_macros.h.
 *
 *   void depthwise_sums(uint32_t *cells, int32_t columns, const depthwise_channel *channel);
 *
 * A cell of padding stands before each row of cells and after the last, so that the sums run through all rows without a
 * break; a row of cells and such a cell are `columns`.
 */
#if defined(__ARM_FEATURE_DSP)
#include "depthwise_macros.h"

    function depthwise_sums
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
    ldrd P0, P1, [r0]           /* padding */
    ldm r2, {r0-r6}
    mov BIAS, r6
    begin_column Y0, Y1
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
