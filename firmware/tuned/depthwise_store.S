/* Results of the sums of pairs of rows of one channel, for Armv7E-M; see depthwise_sums.S.
 *
 *   void NAME(const uint32_t *cell, int8_t *out, int32_t pairs, const depthwise_channel *channel);
 *
 * Sums are twice as large as they are: so the upper half of a product with the mantissa, 2^31 times its value, is the
 * sum times that value, rounded. Ties of the shift after it go away from zero: negative ones need 1 less. With RELU 1,
 * where the zero point is the least result, they do not: it is the result of negative sums in either case.
 *
 * Without definitions before inclusion these are depthwise_store() and depthwise_store_relu() for any map; with NAME,
 * RELU, WIDTH and STEP (channels) it is an instance for one, without branches on its width and without counting
 * pointers up.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define CELL_BYTES 8
#define C_FACTOR 28         /* offset in depthwise_channel: factor, constant, right shift, padding, width, ... */

#define CELLS r0
#define OUT0 r1
#define T r2
#define OUT1 r3
#define FACTOR r4
#define CONSTANT r5
#define RIGHT r6

.macro load upper, lower
    ldr \upper, [CELLS], #4
    ldr \lower, [CELLS], #4
.endm
.macro scale relu, upper, lower
    .if \relu
    smmlar \upper, \upper, FACTOR, CONSTANT
    smmlar \lower, \lower, FACTOR, CONSTANT
    .else
    add T, CONSTANT, \upper, asr #31
    smmlar \upper, \upper, FACTOR, T
    add T, CONSTANT, \lower, asr #31
    smmlar \lower, \lower, FACTOR, T
    .endif
    asr \upper, \upper, RIGHT
    asr \lower, \lower, RIGHT
    ssat \upper, #8, \upper
    ssat \lower, #8, \lower
.endm
/* The upper row's last: both pointers are the same where there is no lower row. Behind the next column's loads the first
 * takes no time of its own on Cortex-M3 and -M4. */
.macro put upper, lower, at=0
    strb \lower, [OUT1, #\at]
    strb \upper, [OUT0, #\at]
.endm

.macro begin name
    .section .text.\name, "ax"
    .global \name
    .type \name, %function
    .thumb_func
    .align 2
\name:
    push {r2, r4-r11, lr}
    add r3, r3, #C_FACTOR
    ldm r3, {r4-r9, lr}         /* ..., padding, width, bytes of a pixel, from a row to the next */
    add OUT1, OUT0, lr
.endm

#ifdef NAME
#define ROW r7
.macro column n                 /* odd and even columns take turns: r9, r10 and r11, r12 */
    .if \n & 1
    load r11, r12
    put r9, r10, (\n - 1) * STEP
    scale RELU, r11, r12
    .else
    load r9, r10
    .if \n
    put r11, r12, (\n - 1) * STEP
    .endif
    scale RELU, r9, r10
    .endif
.endm
    begin NAME
    mov ROW, lr
    ldr lr, [sp]                /* pairs */
1:
    .set n, 0
    .rept WIDTH
    column n
    .set n, n + 1
    .endr
    add CELLS, CELLS, #CELL_BYTES
    .if WIDTH & 1
    put r9, r10, (WIDTH - 1) * STEP
    .else
    put r11, r12, (WIDTH - 1) * STEP
    .endif
    add OUT0, OUT1, ROW         /* the next pair */
    add OUT1, OUT0, ROW
    subs lr, lr, #1
    bne 1b
    pop {r2, r4-r11, pc}
    .size NAME, . - NAME

#else
#define COLUMNS r7
#define STEP1 r8
.macro advance
    add OUT1, OUT1, STEP1
    add OUT0, OUT0, STEP1
.endm
.macro store name, relu
    begin \name
    mov COLUMNS, r8
    mov STEP1, r9
1:  lsrs lr, COLUMNS, #1
    bcc 2f
    load r9, r10
    scale \relu, r9, r10
    put r9, r10
    advance
    cmp lr, #0
    beq 4f
2:  load r9, r10
    scale \relu, r9, r10
    b 3f
    .align 2
5:  load r9, r10
    put r11, r12
    advance
    scale \relu, r9, r10
3:  load r11, r12
    put r9, r10
    advance
    scale \relu, r11, r12
    subs lr, lr, #1
    bne 5b
    put r11, r12
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
#endif
