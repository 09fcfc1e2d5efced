/* Bytes to 16 bits, sixteen at a time, for Armv7E-M.
 *
 *   void expand_swapped(const int8_t *from, uint32_t *to, int bytes);    of four (0, 2), (1, 3)
 *   void expand_in_order(const int8_t *from, uint32_t *to, int bytes);   (0, 1), (2, 3)
 *   void expand_pair(const int8_t *from, const int8_t *second, uint32_t *to, int bytes);  swapped, two pixels' words alternating
 *   void expand_pair_sums(const int8_t *from, const int8_t *second, uint32_t *to, int bytes, int32_t *sums);
 *     the same, for at most 512 bytes, and -8 times the sum of each pixel's
 *
 * bytes: a multiple of 4. 1.6, 2.0, 1.6 and 2.1 cycles a byte on Cortex-M4. expand_swapped reads from an address of words, the
 * others from any.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb
    .section .text.expand_swapped, "ax"
    .global expand_swapped
    .type expand_swapped, %function
    .thumb_func
    .align 2
expand_swapped:
    push {r4-r11, lr}
    subs r2, r2, #16
    blt 2f
1:  ldm r0!, {r3, r5, r7, r9}
    sxtb16 r4, r3, ror #8
    sxtb16 r3, r3
    sxtb16 r6, r5, ror #8
    sxtb16 r5, r5
    sxtb16 r8, r7, ror #8
    sxtb16 r7, r7
    sxtb16 r10, r9, ror #8
    sxtb16 r9, r9
    subs r2, r2, #16
    stm r1!, {r3-r10}
    bge 1b
2:  adds r2, r2, #16
    beq 4f
3:  ldr r3, [r0], #4
    sxtb16 r4, r3, ror #8
    sxtb16 r3, r3
    subs r2, r2, #4
    stm r1!, {r3, r4}
    bne 3b
4:  pop {r4-r11, pc}
    .size expand_swapped, . - expand_swapped

    .section .text.expand_pair, "ax"
    .global expand_pair
    .type expand_pair, %function
    .thumb_func
    .align 2
expand_pair:
    push {r4-r11, lr}
    subs r3, r3, #8
    blt 2f
1:  ldr r4, [r0, #4]
    ldr r8, [r1, #4]
    ldr r5, [r1], #8
    ldr r12, [r0], #8
    sxtb16 r10, r4, ror #8
    sxtb16 r11, r8, ror #8
    sxtb16 r9, r8
    sxtb16 r8, r4
    sxtb16 r6, r12, ror #8
    sxtb16 r7, r5, ror #8
    sxtb16 r4, r12
    sxtb16 r5, r5
    subs r3, r3, #8
    stm r2!, {r4-r11}
    bge 1b
2:  adds r3, r3, #8
    beq 4f
    ldr r4, [r0]
    ldr r5, [r1]
    sxtb16 r6, r4, ror #8
    sxtb16 r7, r5, ror #8
    sxtb16 r4, r4
    sxtb16 r5, r5
    stm r2!, {r4-r7}
4:  pop {r4-r11, pc}
    .size expand_pair, . - expand_pair

    .section .text.expand_pair_sums, "ax"
    .global expand_pair_sums
    .type expand_pair_sums, %function
    .thumb_func
    .align 2
expand_pair_sums:
    push {r4-r11, lr}
    mov r12, #0                 /* the first pixel's sums: of inputs 0 and 1 of four, and of 2 and 3 */
    mov lr, #0
    subs r3, r3, #8
    blt 2f
1:  ldr r8, [r0, #4]
    ldr r9, [r1, #4]
    ldr r4, [r0], #8
    ldr r5, [r1], #8
    sxtab16 r12, r12, r8
    sxtab16 lr, lr, r9
    sxtb16 r10, r8, ror #8
    sxtb16 r11, r9, ror #8
    sxtb16 r8, r8
    sxtb16 r9, r9
    sxtab16 r12, r12, r4
    sxtab16 lr, lr, r5
    sxtb16 r6, r4, ror #8
    sxtb16 r7, r5, ror #8
    sxtb16 r4, r4
    sxtb16 r5, r5
    sadd16 r12, r12, r6
    sadd16 lr, lr, r7
    sadd16 r12, r12, r10
    sadd16 lr, lr, r11
    subs r3, r3, #8
    stm r2!, {r4-r11}
    bge 1b
2:  adds r3, r3, #8
    beq 4f
    ldr r4, [r0]
    ldr r5, [r1]
    sxtb16 r6, r4, ror #8
    sxtb16 r7, r5, ror #8
    sxtb16 r4, r4
    sxtb16 r5, r5
    sadd16 r12, r12, r4
    sadd16 lr, lr, r5
    sadd16 r12, r12, r6
    sadd16 lr, lr, r7
    stm r2!, {r4-r7}
4:  mvn r3, #0x00070007         /* -8, twice */
    ldr r0, [sp, #36]
    smuad r12, r12, r3
    smuad lr, lr, r3
    stm r0, {r12, lr}
    pop {r4-r11, pc}
    .size expand_pair_sums, . - expand_pair_sums

    .section .text.expand_in_order, "ax"
    .global expand_in_order
    .type expand_in_order, %function
    .thumb_func
    .align 2
expand_in_order:
    push {r4-r11, lr}
    subs r2, r2, #16
    blt 2f
1:  ldr r3, [r0]
    ldr r5, [r0, #4]
    ldr r7, [r0, #8]
    ldr r9, [r0, #12]
    add r0, r0, #16
    sxtb16 r4, r3, ror #8
    sxtb16 r12, r3
    pkhbt r3, r12, r4, lsl #16
    pkhtb r4, r4, r12, asr #16
    sxtb16 r6, r5, ror #8
    sxtb16 r12, r5
    pkhbt r5, r12, r6, lsl #16
    pkhtb r6, r6, r12, asr #16
    sxtb16 r8, r7, ror #8
    sxtb16 r12, r7
    pkhbt r7, r12, r8, lsl #16
    pkhtb r8, r8, r12, asr #16
    sxtb16 r10, r9, ror #8
    sxtb16 r12, r9
    pkhbt r9, r12, r10, lsl #16
    pkhtb r10, r10, r12, asr #16
    subs r2, r2, #16
    stm r1!, {r3-r10}
    bge 1b
2:  adds r2, r2, #16
    beq 4f
3:  ldr r3, [r0], #4
    sxtb16 r4, r3, ror #8
    sxtb16 r12, r3
    pkhbt r3, r12, r4, lsl #16
    pkhtb r4, r4, r12, asr #16
    subs r2, r2, #4
    stm r1!, {r3, r4}
    bne 3b
4:  pop {r4-r11, pc}
    .size expand_in_order, . - expand_in_order

    .section .text.copy_words, "ax"
    .global copy_words
    .type copy_words, %function
    .thumb_func
    .align 2
copy_words: /* void copy_words(const uint32_t *from, uint32_t *to, int words) */
    push {r4-r11, lr}
    subs r2, r2, #8
    blt 2f
1:  ldm r0!, {r3-r10}
    subs r2, r2, #8
    stm r1!, {r3-r10}
    bge 1b
2:  adds r2, r2, #8
    beq 4f
3:  ldr r3, [r0], #4
    subs r2, r2, #1
    str r3, [r1], #4
    bne 3b
4:  pop {r4-r11, pc}
    .size copy_words, . - copy_words

    .section .text.copy_patch, "ax"
    .global copy_patch
    .type copy_patch, %function
    .thumb_func
    .align 2
/* void copy_patch(const word *rows, int32_t filter_rows, int32_t words, int32_t at_bytes, word *to) */
copy_patch:
    push {r4-r9, lr}
    ldr r4, [sp, #28]
1:  ldr r5, [r0], #4
    add r5, r5, r3
    subs r6, r2, #4
    blt 3f
2:  ldm r5!, {r7, r8, r9, r12}
    str r7, [r4]
    str r8, [r4, #8]
    str r9, [r4, #16]
    str r12, [r4, #24]
    add r4, r4, #32
    subs r6, r6, #4
    bge 2b
3:  adds r6, r6, #4
    beq 5f
4:  ldr r7, [r5], #4
    subs r6, r6, #1
    str r7, [r4], #8
    bne 4b
5:  subs r1, r1, #1
    bne 1b
    pop {r4-r9, pc}
    .size copy_patch, . - copy_patch
#endif
