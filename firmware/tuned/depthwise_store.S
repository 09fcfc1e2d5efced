/* Results of the sums of pairs of rows of one channel, for Armv7E-M; see depthwise_macros.h.
 *
 *   void depthwise_store(const uint32_t *cell, int8_t *out, int32_t pairs, const depthwise_channel *channel);
 *   void depthwise_store_relu(...);
 */
#if defined(__ARM_FEATURE_DSP)
#include "depthwise_macros.h"

#define C_FACTOR 28             /* offset in depthwise_channel: factor, constant, right shift, padding, width, ... */
#define COLUMNS r7
#define STEP r8                 /* bytes from a pixel to the next */

/* The upper row's result is stored last: both pointers are the same where there is no lower row. */
.macro advance
    add OUT1, OUT1, STEP
    add OUT0, OUT0, STEP
.endm
.macro store name, relu
    function \name
    push {r2, r4-r11, lr}
    add r3, r3, #C_FACTOR
    ldm r3, {r4-r9, lr}         /* ..., padding, width, bytes of a pixel, from a row to the next */
    add OUT1, OUT0, lr
    mov COLUMNS, r8
    mov STEP, r9
1:  lsrs lr, COLUMNS, #1
    bcc 2f
    load_cell r9, r10
    scale \relu, r9, r10
    put_results r9, r10
    advance
    cmp lr, #0
    beq 4f
2:  load_cell r9, r10
    scale \relu, r9, r10
    b 3f
    .align 2
5:  load_cell r9, r10
    put_results r11, r12
    advance
    scale \relu, r9, r10
3:  load_cell r11, r12
    put_results r9, r10
    advance
    scale \relu, r11, r12
    subs lr, lr, #1
    bne 5b
    put_results r11, r12
    advance
4:  ldr r10, [sp]
    sub r9, OUT1, OUT0          /* bytes of a row: OUT0 stands where OUT1 began, OUT1 at the next pair */
    mov OUT0, OUT1
    add OUT1, OUT1, r9
    add CELLS, CELLS, #CELL_BYTES
    subs r10, r10, #1
    str r10, [sp]
    bne 1b
    pop {r2, r4-r11, pc}
    .size \name, . - \name
.endm
    store depthwise_store, 0
    store depthwise_store_relu, 1
#endif
