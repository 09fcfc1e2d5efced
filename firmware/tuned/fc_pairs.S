/* Rows of inputs times pairs of units, for Armv7E-M: less code than fc_panel.S.
 *
 *   void fully_connected_pairs_s8(const fully_connected_pairs_s8_layer *layer, const int8_t *in, int8_t *out);
 *
 * Of a pair: both biases, then factor, constant and right shift of each, then the weights, four of the first unit in a
 * word and four of the second in the next. A loop of four inputs and two units, 8 MACs, takes 15 instructions. Of an odd
 * number of units the last pair repeats one.
 */
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
    .syntax unified
    .thumb

#define IN r1
#define OUT r2
#define X r3           /* where a row is read */
#define END r4         /* of the row */
#define PAIR r5        /* where the parameters and weights of a pair are read */
#define A r6           /* sums */
#define B r7
#define X0 r8          /* inputs 0 and 2, 1 and 3 */
#define X1 r9
#define W0 r10
#define W1 r11
#define V r12
#define SCALES lr

/* Double rounding, zero point, saturation: hil/tuned/requantize.py. */
.macro finish v, at
    ldm SCALES!, {X0, X1, W0}
    add X1, X1, \v, asr #31
    add X1, X1, \v
    smmlar \v, \v, X0, X1
    asr \v, \v, W0
    ssat \v, #8, \v
    strb \v, [OUT, \at]
.endm

    .section .text.fully_connected_pairs_s8, "ax"
    .global fully_connected_pairs_s8
    .type fully_connected_pairs_s8, %function
    .thumb_func
    .align 2
fully_connected_pairs_s8:
    push {r4-r11, lr}
    ldrh r3, [r0, #4]           /* rows, on the stack */
    push {r0, r3}
1:  ldr r0, [sp]
    ldr PAIR, [r0]
    ldrh END, [r0, #6]          /* inputs */
    ldrh r0, [r0, #8]           /* units left */
    add END, END, IN
2:  mov X, IN
    mov SCALES, PAIR
    ldm SCALES!, {A, B}
    add PAIR, PAIR, #32
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
