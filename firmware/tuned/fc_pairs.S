/* Rows of inputs times pairs of units, for Armv7E-M: less code than fc_panel.S.
 *
 *   void fully_connected_pairs_s8(const fully_connected_pairs_s8_layer *layer, const int8_t *in, int8_t *out);
 *
 * Factor, constant and right shift of both units of all pairs, or of one if the others have the same. Then of each pair
 * both biases and the weights, four of the first unit in a word and four of the second in the next. A loop of four inputs and two units, 8 MACs, takes 15 instructions. Of an odd
 * number of units the last pair repeats one.
 */
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
    .syntax unified
    .thumb
#include "requantize.h"

#define IN r1
#define OUT r2
#define X r3           /* where a row is read */
#define END r4         /* of the row */
#define PAIR r5        /* where the biases and weights of a pair are read */
#define A r6           /* sums */
#define B r7
#define X0 r8          /* inputs 0 and 2, 1 and 3 */
#define X1 r9
#define W0 r10
#define W1 r11
#define V r12
#define SCALES lr

.macro finish v, at
    ldm SCALES!, {X0, X1, W0}
    scale_sum \v, X0, X1, X1
    narrow \v, W0
    strb \v, [OUT, \at]
.endm

    .section .text.fully_connected_pairs_s8, "ax"
    .global fully_connected_pairs_s8
    .type fully_connected_pairs_s8, %function
    .thumb_func
    .align 2
fully_connected_pairs_s8:
    push {r4-r11, lr}
    ldrh r3, [r0, #10]          /* rows, on the stack */
    push {r0, r3}
1:  ldr r0, [sp]
    ldr SCALES, [r0]
    ldrh END, [r0, #4]          /* inputs */
    ldrh r3, [r0, #6]           /* units */
    ldrsh r7, [r0, #8]          /* scale_step */
    add END, END, IN
    add r6, r3, #1
    lsr r6, r6, #1              /* pairs */
    add PAIR, r7, #24
    mla PAIR, PAIR, r6, SCALES
    sub PAIR, PAIR, r7          /* behind the scales of all pairs, or of the one whose scales they share */
    mov r0, r3                  /* units left */
2:  mov X, IN
    ldm PAIR!, {A, B}
3:  ldr X1, [X], #4
    ldr W1, [PAIR, #4]
    ldr W0, [PAIR], #8
    sxtb16 X0, X1
    sxtb16 X1, X1, ror #8
    sxtb16 V, W0
    sxtb16 W0, W0, ror #8
    smlad A, X0, V, A
    sxtb16 V, W1
    sxtb16 W1, W1, ror #8
    smlad A, X1, W0, A
    smlad B, X0, V, B
    smlad B, X1, W1, B
    cmp X, END
    blo 3b
    finish A, #0
    cmp r0, #1                  /* of one unit both are the same */
    it ne
    addne OUT, OUT, #1
    finish B, #0
    add OUT, OUT, #1
    ldr X0, [sp]
    ldrsh X0, [X0, #8]
    add SCALES, SCALES, X0
    subs r0, r0, #2
    bgt 2b
    mov IN, END
    ldr r3, [sp, #4]
    subs r3, r3, #1
    str r3, [sp, #4]
    bne 1b
    add sp, sp, #8
    pop {r4-r11, pc}
    .size fully_connected_pairs_s8, . - fully_connected_pairs_s8
#endif
