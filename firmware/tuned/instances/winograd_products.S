/* The products of Winograd's F(2x2, 3x3), 16 for 4 pixels instead of 36, for Armv7E-M (Lavin and Gray, arXiv:1509.09308).
 *
 *   void NAME(const winograd_job *job);          winograd_job is in tuned.h
 *
 * v: transformed inputs, see winograd_inputs.S. u, transformed filters: [16 positions][CHANNELS / 2][4 outputs] words of two
 * channels. m: [tile][16 positions][4 outputs] sums over channels. Defined before inclusion: NAME, CHANNELS, as there.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define COLUMN (2 * CHANNELS)
#define TILE (32 * CHANNELS)

#define X0 r8
#define X1 r9
#define WA r10
#define WB r11
#define X r12
#define W lr

.macro multiply sum, x, w, first
    .if \first
    smuad \sum, \x, \w
    .else
    smlad \sum, \x, \w, \sum
    .endif
.endm

/* Two inputs, two tiles, four outputs: 8 SMLADs, 14 instructions, 15 cycles on Cortex-M4. */
.macro step i, first
    ldr X0, [X, #4 * \i]
    ldr X1, [X, #4 * \i + TILE]
    ldr WA, [W, #16 * \i]
    ldr WB, [W, #16 * \i + 4]
    multiply r0, X0, WA, \first
    multiply r1, X1, WA, \first
    multiply r2, X0, WB, \first
    multiply r3, X1, WB, \first
    ldr WA, [W, #16 * \i + 8]
    ldr WB, [W, #16 * \i + 12]
    multiply r4, X0, WA, \first
    multiply r5, X1, WA, \first
    multiply r6, X0, WB, \first
    multiply r7, X1, WB, \first
.endm

#if defined(CORTEX_M7)
/* The same for Cortex-M7, X0 and WA loaded a step ahead: SMLADs with a load beside them. */
.purgem step
.macro step i, first
    multiply r0, X0, WA, \first
    ldr X1, [X, #4 * \i + TILE]
    multiply r1, X1, WA, \first
    ldr WB, [W, #16 * \i + 4]
    multiply r2, X0, WB, \first
    ldr WA, [W, #16 * \i + 8]
    multiply r3, X1, WB, \first
    ldr WB, [W, #16 * \i + 12]
    multiply r4, X0, WA, \first
    multiply r5, X1, WA, \first
    ldr WA, [W, #16 * (\i + 1)]
    multiply r6, X0, WB, \first
    ldr X0, [X, #4 * (\i + 1)]
    multiply r7, X1, WB, \first
.endm
#endif

#define J_V 0
#define J_U 4
#define J_M 8
#define J_TILES 12
#define L_M 16         /* of the pair */
#define L_LEFT 20      /* tiles */
#define L_POSITIONS 24 /* left */
#define L_END 28
#define L_BYTES 32

    .section .text.NAME, "ax"
    .global NAME
    .type NAME, %function
    .thumb_func
    .align 2
NAME:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
    ldm r0, {r1-r4}
    stm sp, {r1-r4}
    mov r5, #16
    str r5, [sp, #L_POSITIONS]
1:  ldr X, [sp, #J_V]
    ldr r0, [sp, #J_M]
    ldr r1, [sp, #J_TILES]
    str r0, [sp, #L_M]
    str r1, [sp, #L_LEFT]
2:  ldr W, [sp, #J_U]
#if defined(CORTEX_M7)
    ldr X0, [X]
    ldr WA, [W]
#endif
    step 0, 1
    .set i, 1
    .rept 7
    step i, 0
    .set i, i + 1
    .endr
    add X, X, #32
    .if CHANNELS > 16
    add X1, X, #COLUMN - 32
    str X1, [sp, #L_END]
3:  add W, W, #128
    .set i, 0
    .rept 8
    step i, 0
    .set i, i + 1
    .endr
    ldr X1, [sp, #L_END]
    add X, X, #32
    cmp X, X1
    bne 3b
    .endif
    ldr W, [sp, #L_M]
    ldr X0, [sp, #L_LEFT]
    str r0, [W]
    str r2, [W, #4]
    str r4, [W, #8]
    str r6, [W, #12]
    str r1, [W, #256]
    str r3, [W, #260]
    str r5, [W, #264]
    str r7, [W, #268]
    add W, W, #512
    add X, X, #TILE
    add X, X, #TILE - COLUMN
    str W, [sp, #L_M]
    subs X0, X0, #2
    str X0, [sp, #L_LEFT]
    bne 2b
    ldm sp, {r0-r2}
    ldr r3, [sp, #L_POSITIONS]
    add r0, r0, #COLUMN
    add r1, r1, #8 * CHANNELS
    add r2, r2, #16
    stm sp, {r0-r2}
    subs r3, r3, #1
    str r3, [sp, #L_POSITIONS]
    bne 1b
    add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size NAME, . - NAME
#endif
