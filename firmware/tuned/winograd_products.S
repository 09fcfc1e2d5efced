/* The products of Winograd's F(2x2, 3x3), 16 for 4 pixels instead of 36, for Armv7E-M (Lavin and Gray, arXiv:1509.09308).
 *
 *   void winograd_products(const winograd_job *job);          winograd_job is in tuned.h
 *
 * v: transformed inputs, see winograd_inputs.S. u, transformed filters: [16 positions][pair of channels][4 outputs] words of
 * two channels. m: [tile][16 positions][4 outputs] sums over channels, whose number is a multiple of 16.
 */
#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
    .syntax unified
    .thumb

#define PAIR 128 /* bytes from a pair of channels to the next in v */

/* What is loaded, and the addresses, are in low registers, for which loads have instructions of two bytes. */
#define X0 r0
#define X1 r1
#define WA r2
#define WB r3
#define X r4
#define W r5
#define S0 r6
#define S1 r7
#define S2 r8
#define S3 r9
#define S4 r10
#define S5 r11
#define S6 r12
#define S7 lr

.macro multiply sum, x, w, first
    .if \first
    smuad \sum, \x, \w
    .else
    smlad \sum, \x, \w, \sum
    .endif
.endm

#if defined(CORTEX_M7)
/* Two inputs, two tiles, four outputs; X0 and WA are loaded a step ahead: SMLADs with a load beside them. */
.macro step i, first=0
    multiply S0, X0, WA, \first
    ldr X1, [X, #PAIR * \i + 4]
    multiply S1, X1, WA, \first
    ldr WB, [W, #16 * \i + 4]
    multiply S2, X0, WB, \first
    ldr WA, [W, #16 * \i + 8]
    multiply S3, X1, WB, \first
    ldr WB, [W, #16 * \i + 12]
    multiply S4, X0, WA, \first
    multiply S5, X1, WA, \first
    ldr WA, [W, #16 * (\i + 1)]
    multiply S6, X0, WB, \first
    ldr X0, [X, #PAIR * (\i + 1)]
    multiply S7, X1, WB, \first
.endm
#else
/* Two inputs, two tiles, four outputs: 8 SMLADs, 14 instructions, 15 cycles on Cortex-M4. */
.macro step i, first=0
    ldr X0, [X, #PAIR * \i]
    ldr X1, [X, #PAIR * \i + 4]
    ldr WA, [W, #16 * \i]
    ldr WB, [W, #16 * \i + 4]
    multiply S0, X0, WA, \first
    multiply S1, X1, WA, \first
    multiply S2, X0, WB, \first
    multiply S3, X1, WB, \first
    ldr WA, [W, #16 * \i + 8]
    ldr WB, [W, #16 * \i + 12]
    multiply S4, X0, WA, \first
    multiply S5, X1, WA, \first
    multiply S6, X0, WB, \first
    multiply S7, X1, WB, \first
.endm
#endif

#define J_V 0
#define J_U 4
#define J_M 8
#define J_TILES 12
#define J_INPUTS 16    /* then the bytes of a pair of tiles */
#define L_M 20         /* of the pair of tiles */
#define L_LEFT 24      /* tiles */
#define L_POSITIONS 28 /* left */
#define L_END 32
#define L_BYTES 36

    .section .text.winograd_products, "ax"
    .global winograd_products
    .type winograd_products, %function
    .thumb_func
    .align 2
winograd_products:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
    ldm r0, {r1-r5}
    lsl r5, r5, #6
    mov r6, #16
    stm sp, {r1-r5}
    str r6, [sp, #L_POSITIONS]
1:  ldr X, [sp, #J_V]
    ldr r0, [sp, #J_M]
    ldr r1, [sp, #J_TILES]
    strd r0, r1, [sp, #L_M]
2:  ldr W, [sp, #J_U]
    ldr r0, [sp, #J_INPUTS]
    add r0, r0, X
    str r0, [sp, #L_END]
#if defined(CORTEX_M7)
    ldr X0, [X]
    ldr WA, [W]
#endif
    step 0, 1
    b 4f
3:  step 0
4:  .set i, 1
    .rept 7
    step i
    .set i, i + 1
    .endr
    ldr X1, [sp, #L_END]
    add X, X, #8 * PAIR
    add W, W, #128
    cmp X, X1
    bne 3b
    ldrd r0, r1, [sp, #L_M]
    str S0, [r0]
    str S2, [r0, #4]
    str S4, [r0, #8]
    str S6, [r0, #12]
    str S1, [r0, #256]
    str S3, [r0, #260]
    str S5, [r0, #264]
    str S7, [r0, #268]
    add r0, r0, #512
    subs r1, r1, #2
    strd r0, r1, [sp, #L_M]
    bne 2b
    ldm sp, {r0-r2}
    ldr r3, [sp, #L_POSITIONS]
    add r0, r0, #8
    mov r1, W                   /* the next position's filters */
    add r2, r2, #16
    stm sp, {r0-r2}
    subs r3, r3, #1
    str r3, [sp, #L_POSITIONS]
    bne 1b
    add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size winograd_products, . - winograd_products
#endif
