/* Sums of two tensors of int8 for Armv7E-M: out = saturated((left * a + right * b + constant) >> 20).
 *
 *   void add_affine(const add_factors *factors, const int8_t *a, const int8_t *b, int8_t *out, int32_t count);
 *
 * The factors have 28 fractional bits: SMLAWB and SMLAWT multiply them by bytes that are the upper half of a half-word,
 * x * 256, and drop 16 bits. hil/tuned/affine.py has tried all pairs of a and b. Eight elements take 49 instructions;
 * they are read before any is written: out may be a or b.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

/* Two elements whose bytes are the upper halves of x and y: to [out + at] and [out + at + 2]. */
.macro add_two x, y, at
    smlawb r3, r4, \x, r6
    smlawt \x, r4, \x, r6
    smlawb r3, r5, \y, r3
    smlawt \x, r5, \y, \x
    ssat r3, #8, r3, asr #20
    ssat \x, #8, \x, asr #20
    strb r3, [r2, #\at]
    strb \x, [r2, #\at + 2]
.endm

    .section .text.add_affine, "ax"
    .global add_affine
    .type add_affine, %function
    .thumb_func
    .align 2
add_affine:
    push {r4-r11, lr}
    sub sp, sp, #4
    ldm r0, {r4-r6}             /* left, right, constant */
    mov r0, r1
    mov r1, r2
    mov r2, r3
    ldr r7, [sp, #40]
    bic r8, r7, #7
    add r8, r8, r2
    str r8, [sp]                /* end of whole eights */
    and r7, r7, #7
    str r7, [sp, #40]           /* elements that are left then */
    mov r7, #0xff00ff00
    cmp r2, r8
    beq 2f
    .align 2
1:  ldr r9, [r0, #4]
    ldr r8, [r0], #8
    ldr r11, [r1, #4]
    ldr r10, [r1], #8
    and r12, r7, r8, lsl #8
    and lr, r7, r10, lsl #8
    add_two r12, lr, 0
    and r8, r8, r7
    and r10, r10, r7
    add_two r8, r10, 1
    and r12, r7, r9, lsl #8
    and lr, r7, r11, lsl #8
    add_two r12, lr, 4
    and r9, r9, r7
    and r11, r11, r7
    add_two r9, r11, 5
    ldr r3, [sp]
    add r2, r2, #8
    cmp r2, r3
    bne 1b
2:  ldr r7, [sp, #40]
    cbz r7, 4f
3:  ldrsb r8, [r0], #1
    ldrsb r10, [r1], #1
    lsl r8, r8, #8
    lsl r10, r10, #8
    smlawb r3, r4, r8, r6
    smlawb r3, r5, r10, r3
    ssat r3, #8, r3, asr #20
    strb r3, [r2], #1
    subs r7, r7, #1
    bne 3b
4:  add sp, sp, #4
    pop {r4-r11, pc}
    .size add_affine, . - add_affine
#endif
