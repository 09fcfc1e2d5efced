/* One row of inputs times panels of four units, for Armv7E-M.
 *
 *   void fc_panel(const fc_panel_job *job);    see tuned.h
 *
 * Inputs are read as they are stored. Weights are those of conv_panel.S: a half-word is a + 256 b, of unit a and its
 * neighbor b. Four inputs and four units, 16 MACs, take 19 instructions, 20 cycles on Cortex-M4.
 *
 * fc_panel4.S includes it with FOUR_BITS: a half-word is then a + 16 b + 256 c + 4096 d, of four units, with 8 added to the
 * weights a, b and c. Masks leave its lowest 4, 8 and 12 bits; the sums A to D of x times these and the whole are those of
 * one unit more each. What the 8s add to a sum is -job->offset. The number of instructions is the same.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#if FOUR_BITS
#define NAME fc_panel4
#define WEIGHTS 8 /* bytes of weights of a step */

.macro fc_step i
    ldr r5, [r12, #4 * \i]
    ldr r6, [lr, #8 * \i]
    ldr r7, [lr, #8 * \i + 4]
    sxtb16 r4, r5
    sxtb16 r5, r5, ror #8
    and r8, r6, #0x000f000f
    smlad r0, r4, r8, r0
    and r9, r6, #0x00ff00ff
    smlad r1, r4, r9, r1
    bic r8, r6, #0xf000f000
    smlad r2, r4, r8, r2
    and r9, r7, #0x000f000f
    smlad r3, r4, r6, r3
    and r8, r7, #0x00ff00ff
    smlad r0, r5, r9, r0
    bic r9, r7, #0xf000f000
    smlad r1, r5, r8, r1
    smlad r2, r5, r9, r2
    smlad r3, r5, r7, r3
.endm
#else
#define NAME fc_panel
#define WEIGHTS 16

/* Sums: r0 of x a, r1 of x (a + 256 b), r2 of x c, r3 of x (c + 256 d). */
.macro fc_step i
    ldr r5, [r12, #4 * \i]
    ldr r6, [lr, #16 * \i]
    ldr r7, [lr, #16 * \i + 4]
    ldr r8, [lr, #16 * \i + 8]
    ldr r9, [lr, #16 * \i + 12]
    sxtb16 r4, r5
    sxtb16 r5, r5, ror #8
    smlad r1, r4, r6, r1
    sxtb16 r6, r6
    smlad r3, r4, r7, r3
    sxtb16 r7, r7
    smlad r1, r5, r8, r1
    sxtb16 r8, r8
    smlad r3, r5, r9, r3
    sxtb16 r9, r9
    smlad r0, r4, r6, r0
    smlad r2, r4, r7, r2
    smlad r0, r5, r8, r0
    smlad r2, r5, r9, r2
.endm

#if defined(CORTEX_M7)
/* The same for Cortex-M7: each SMLAD beside another instruction, 10 cycles. */
.purgem fc_step
.macro fc_step i
    ldr r5, [r12, #4 * \i]
    ldr r6, [lr, #16 * \i]
    ldr r7, [lr, #16 * \i + 4]
    sxtb16 r4, r5
    ldr.w r8, [lr, #16 * \i + 8]
    sxtb16 r5, r5, ror #8
    smlad r1, r4, r6, r1
    sxtb16 r6, r6
    smlad r3, r4, r7, r3
    sxtb16 r7, r7
    smlad r1, r5, r8, r1
    ldr r9, [lr, #16 * \i + 12]
    smlad r0, r4, r6, r0
    sxtb16 r8, r8
    smlad r2, r4, r7, r2
    sxtb16 r6, r9
    smlad r3, r5, r9, r3
    smlad r0, r5, r8, r0
    smlad r2, r5, r6, r2
.endm
#endif
#endif
#define STEP_BYTES 76 /* 19 instructions of 4 bytes */
#define STEPS 8

/* Double rounding, zero point, saturation: hil/tuned/requantize.py. */
.macro fc_finish v
    ldm r12!, {r4-r6}
    add r5, r5, \v, asr #31
    add r5, r5, \v
    smmlar \v, \v, r4, r5
    asr \v, \v, r6
    ssat \v, #8, \v
    strb \v, [r7], #1
.endm

/* The job, on the stack, and what else is there. */
#define J_X 0          /* where the first step begins: `skipped` steps before x */
#define L_ENTRY 4      /* of the loop: the first `skipped` of its steps are left out */
#define L_BACK 8       /* bytes of weights of those */
#define J_BIASES 12
#define J_SCALES 16
#define J_SCALE_STEP 20
#define J_OUT 24
#define J_PANELS 28
#define J_OFFSET 32
#define L_BYTES 36     /* with the saved registers a multiple of 8 */

    .section .text.NAME, "ax"
    .global NAME
    .type NAME, %function
    .thumb_func
    .align 2
NAME:
    push {r4-r11, lr}
    sub sp, sp, #L_BYTES
    ldr r9, [r0, #32]
    str r9, [sp, #J_OFFSET]
    ldm r0, {r1-r8}             /* x, inputs, weights, biases, scales, scale_step, out, panels */
    mov lr, r3
    add r10, r1, r2             /* end of x */
    rsb r2, r2, #0
    ubfx r2, r2, #2, #3         /* skipped: steps by which x is short of a multiple of STEPS */
    sub r1, r1, r2, lsl #2
    mov r3, #WEIGHTS
    mul r3, r3, r2
    mov r9, #STEP_BYTES
    mul r2, r2, r9
    adr r9, 2f
    add r2, r2, r9
    orr r2, r2, #1
    stm sp, {r1-r8}
1:  ldr r11, [sp, #J_BIASES]
    ldr r12, [sp, #J_X]
    ldr r4, [sp, #L_ENTRY]
    ldr r5, [sp, #L_BACK]
#if FOUR_BITS
    mov r0, #0
    mov r2, #0
#else
    ldr r0, [r11]
    ldr r2, [r11, #8]
#endif
    sub lr, lr, r5
    mov r1, r0
    mov r3, r2
    bx r4
    .align 2
2:  .set i, 0
    .rept STEPS
    fc_step i
    .set i, i + 1
    .endr
    add r12, r12, #4 * STEPS
    add lr, lr, #WEIGHTS * STEPS
    cmp r12, r10
    bne 2b
#if FOUR_BITS
    ldm r11, {r4-r7}            /* biases */
    ldr r8, [sp, #J_OFFSET]
    sub r3, r3, r2
    sub r2, r2, r1
    sub r1, r1, r0
    add r4, r4, r8
    add r5, r5, r8
    add r6, r6, r8
    add r0, r0, r4
    add r1, r5, r1, asr #4
    add r2, r6, r2, asr #8
    add r3, r7, r3, asr #12
    ldr r12, [sp, #J_SCALES]
    ldr r7, [sp, #J_OUT]
#else
    /* r0 = sum x a + bias of a; b's: bias of b + ((r1 - r0) >> 8). As r1 began with a's bias, it is not in the difference. */
    ldr r4, [r11, #4]
    ldr r5, [r11, #12]
    ldr r12, [sp, #J_SCALES]
    ldr r7, [sp, #J_OUT]
    sub r1, r1, r0
    sub r3, r3, r2
    add r1, r4, r1, asr #8
    add r3, r5, r3, asr #8
#endif
    fc_finish r0
    fc_finish r1
    fc_finish r2
    fc_finish r3
    ldr r4, [sp, #J_SCALE_STEP]
    ldr r5, [sp, #J_PANELS]
    add r11, r11, #16
    add r12, r12, r4
    str r11, [sp, #J_BIASES]
    str r12, [sp, #J_SCALES]
    str r7, [sp, #J_OUT]
    subs r5, r5, #1
    str r5, [sp, #J_PANELS]
    bne 1b
    add sp, sp, #L_BYTES
    pop {r4-r11, pc}
    .size NAME, . - NAME
#endif
