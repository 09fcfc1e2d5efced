/* One row of inputs times panels of four units, for Armv7E-M.
 *
 *   void fc_panel(const fully_connected_s8_layer *layer, const int8_t *x, int8_t *out, int32_t offset);
 *
 * Inputs are read as they are stored. Weights are those of conv_panel.S: a half-word is a + 256 b, of unit a and its
 * neighbor b. Four inputs and four units, 16 MACs, take 19 instructions, 20 cycles on Cortex-M4. What is loaded, and the
 * addresses, are in low registers, for which loads have instructions of two bytes.
 *
 * fc_panel4.S includes it with FOUR_BITS: a half-word is then a + 16 b + 256 c + 4096 d, of four units, with 8 added to the
 * weights a, b and c. Masks leave its lowest 4, 8 and 12 bits; the sums A to D of x times these and the whole are those of
 * one unit more each. They begin with `offset`, -8 times the sum of x, times 1, 17, 273 and 273: what the 8s add up to is in
 * no difference then. The number of instructions is the same.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb
#include "requantize.h"

#define X r0        /* where inputs are read */
#define W r1        /* where weights are read */
#define X1 r2       /* four inputs; inputs 1 and 3 */
#define W0 r3
#define W1 r4
#define W2 r5
#define W3 r6
#define X0 r7       /* inputs 0 and 2 */
#define S0 r8       /* sums */
#define S1 r9
#define S2 r10
#define S3 r11
#define END r12     /* of the inputs */
#define BIASES lr   /* of the panel: its weights are behind them */

#if FOUR_BITS
#define WEIGHTS_SHIFT 3 /* 8 bytes of weights for a step */
#define STEP_BYTES 70   /* 19 instructions of 4 bytes, but for loads */

.macro fc_step i
    ldr X1, [X, #4 * \i]
    ldr W0, [W, #8 * \i]
    ldr W1, [W, #8 * \i + 4]
    sxtb16 X0, X1
    sxtb16 X1, X1, ror #8
    and W2, W0, #0x000f000f
    smlad S0, X0, W2, S0
    and W3, W0, #0x00ff00ff
    smlad S1, X0, W3, S1
    bic W2, W0, #0xf000f000
    smlad S2, X0, W2, S2
    and W3, W1, #0x000f000f
    smlad S3, X0, W0, S3
    and W2, W1, #0x00ff00ff
    smlad S0, X1, W3, S0
    bic W3, W1, #0xf000f000
    smlad S1, X1, W2, S1
    smlad S2, X1, W3, S2
    smlad S3, X1, W1, S3
.endm
#else
#define NAME fc_panel
#define WEIGHTS_SHIFT 4
#define STEP_BYTES 66

/* Sums: S0 of x a, S1 of x (a + 256 b), S2 of x c, S3 of x (c + 256 d). */
.macro fc_step i
    ldr X1, [X, #4 * \i]
    ldr W0, [W, #16 * \i]
    ldr W1, [W, #16 * \i + 4]
    ldr W2, [W, #16 * \i + 8]
    ldr W3, [W, #16 * \i + 12]
    sxtb16 X0, X1
    sxtb16 X1, X1, ror #8
    smlad S1, X0, W0, S1
    sxtb16 W0, W0
    smlad S3, X0, W1, S3
    sxtb16 W1, W1
    smlad S1, X1, W2, S1
    sxtb16 W2, W2
    smlad S3, X1, W3, S3
    sxtb16 W3, W3
    smlad S0, X0, W0, S0
    smlad S2, X0, W1, S2
    smlad S0, X1, W2, S0
    smlad S2, X1, W3, S2
.endm

#if defined(CORTEX_M7)
/* The same for Cortex-M7: each SMLAD beside another instruction, 10 cycles. */
.purgem fc_step
.macro fc_step i
    ldr X1, [X, #4 * \i]
    ldr W0, [W, #16 * \i]
    ldr W1, [W, #16 * \i + 4]
    sxtb16 X0, X1
    ldr W2, [W, #16 * \i + 8]
    sxtb16 X1, X1, ror #8
    smlad S1, X0, W0, S1
    sxtb16 W0, W0
    smlad S3, X0, W1, S3
    sxtb16 W1, W1
    smlad S1, X1, W2, S1
    ldr W3, [W, #16 * \i + 12]
    smlad S0, X0, W0, S0
    sxtb16 W2, W2
    smlad S2, X0, W1, S2
    sxtb16 W0, W3
    smlad S3, X1, W3, S3
    smlad S0, X1, W2, S0
    smlad S2, X1, W0, S2
.endm
#endif
#endif
#define STEPS 8

.macro fc_finish v
    ldm X!, {X1, W0, W1}
    scale_sum \v, X1, W0, W0
    narrow \v, W1
.endm

/* On the stack. */
#define L_X 0          /* where the first step begins: the steps by which x is short of a multiple of STEPS are left out */
#define L_ENTRY 4      /* of the loop */
#define L_BACK 8       /* bytes of weights of those, less the biases */
#define L_SCALES 12
#define L_STEP 16      /* bytes from the end of a panel's scales to the next */
#define L_OUT 20
#define L_UNITS 24     /* left */
#define L_OFFSET 28
#define L_BYTES 36     /* with the saved registers a multiple of 8 */

    .section .text.NAME, "ax"
    .global NAME
    .type NAME, %function
    .thumb_func
    .align 2
NAME:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
    strd r2, r3, [sp, #L_OUT]   /* the offset is where the units come */
    str r3, [sp, #L_OFFSET]
    ldr r4, [r0]                /* scales, then panels */
    ldrh r5, [r0, #4]           /* inputs */
    ldrh r6, [r0, #6]           /* units */
    ldrsh r7, [r0, #8]          /* scale_step */
    str r6, [sp, #L_UNITS]
    strd r4, r7, [sp, #L_SCALES]
    add r5, r5, #3
    bic r5, r5, #3
    add END, r1, r5
    rsb r5, r5, #0
    ubfx r5, r5, #2, #3         /* steps that are left out */
    sub r0, r1, r5, lsl #2
    mov r2, #STEP_BYTES
    adr r3, 2f
    mla r2, r2, r5, r3
    orr r2, r2, #1
    lsl r3, r5, #WEIGHTS_SHIFT
    sub r3, r3, #16
    strd r0, r2, [sp, #L_X]
    str r3, [sp, #L_BACK]
    add r6, r6, #3
    lsr r6, r6, #2              /* panels */
    add r3, r7, #48
    mla r3, r3, r6, r4
    sub W, r3, r7               /* behind the scales of all panels, or of the one whose scales they share */
1:  ldrd X, X1, [sp, #L_X]
    ldr W0, [sp, #L_BACK]
#if FOUR_BITS
    ldr S0, [sp, #L_OFFSET]
    mov BIASES, W
    sub W, W, W0
    add S1, S0, S0, lsl #4
    add S2, S1, S0, lsl #8
#else
    mov BIASES, W
    ldr S0, [W]
    ldr S2, [W, #8]
    sub W, W, W0
    mov S1, S0
#endif
    mov S3, S2
    bx X1
    .align 2
2:  .set i, 0
    .rept STEPS
    fc_step i
    .set i, i + 1
    .endr
    add X, X, #4 * STEPS
    add W, W, #STEPS << WEIGHTS_SHIFT
    cmp X, END
    bne 2b
#if FOUR_BITS
    ldm BIASES, {W0, W1, W2, W3}
    sub S3, S3, S2
    sub S2, S2, S1
    sub S1, S1, S0
    add S0, S0, W0
    add S1, W1, S1, asr #4
    add S2, W2, S2, asr #8
    add S3, W3, S3, asr #12
#else
    /* S0 = sum x a + bias of a; b's: bias of b + ((S1 - S0) >> 8). As S1 began with a's bias, it is not in the difference. */
    ldr W0, [BIASES, #4]
    ldr W1, [BIASES, #12]
    sub S1, S1, S0
    sub S3, S3, S2
    add S1, W0, S1, asr #8
    add S3, W1, S3, asr #8
#endif
    ldr X, [sp, #L_SCALES]
    ldrd W3, X0, [sp, #L_OUT]   /* and units left */
    fc_finish S0
    strb S0, [W3]
    fc_finish S1
    cmp X0, #2                  /* of the last panel some units may not be there */
    it ge
    strbge S1, [W3, #1]
    fc_finish S2
    cmp X0, #3
    it ge
    strbge S2, [W3, #2]
    fc_finish S3                /* leaves the flags as they are */
    it gt
    strbgt S3, [W3, #3]
    ldr X1, [sp, #L_STEP]
    add W3, W3, #4
    add X, X, X1
    str X, [sp, #L_SCALES]
    subs X0, X0, #4
    strd W3, X0, [sp, #L_OUT]
    bgt 1b
    add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size NAME, . - NAME
#endif
