/* What weights of four bits without a sign add to the sums of windows, for Armv7E-M: conv_rows_s4.c.
 *
 * It is taken from a table. Entry x of its row y is -8 times the sum of all inputs above row y and left of column x, less the
 * zero point, in 32 bits that may overflow.
 *
 *   int32_t *table_row(const table_columns *columns, const int8_t *in, const int32_t *above, int32_t *to);
 *     the entries behind a row of the input, from those before it; returns where they end
 *   void window_sums(const int32_t *above, const int32_t *below, int32_t *sums, const table_windows *windows);
 *     -8 times the sums of a row of windows, from the entries above and below them; if their number is odd, of one more
 *
 * `in` may be at any address. 30 cycles for a column of 16 inputs, 12 for one of 3, 13 for a window and 7 for one of 3
 * columns with stride 1, on Cortex-M4.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define TOTAL r0
#define IN r1
#define ABOVE r2
#define TO r3
#define COLUMNS r4
#define DEPTH r5
#define ZEROS r6    /* 8 times the zero point of the inputs of a column */
#define COUNT r7
#define EIGHTS lr   /* -8, twice */

    .section .text.table_row, "ax"
    .global table_row
    .type table_row, %function
    .thumb_func
    .align 2
table_row:
    push {r0, r4-r11, lr}
    ldm r0, {r4-r7}             /* columns, depth, zeros, entries that are 0 */
    mvn EIGHTS, #0x00070007
    mov TOTAL, #0
    add ABOVE, ABOVE, COUNT, lsl #2
1:  str TOTAL, [TO], #4
    subs COUNT, COUNT, #1
    bne 1b
    cmp DEPTH, #3
    beq 8f

1:  subs COUNT, DEPTH, #16
    add TOTAL, TOTAL, ZEROS
    blt 3f
2:  ldr r8, [IN, #4]
    ldr r9, [IN, #8]
    ldr r10, [IN, #12]
    ldr r11, [IN], #16
    sxtb16 r12, r8
    sxtab16 r12, r12, r8, ror #8
    sxtab16 r12, r12, r9
    sxtab16 r12, r12, r9, ror #8
    sxtab16 r12, r12, r10
    sxtab16 r12, r12, r10, ror #8
    sxtab16 r12, r12, r11
    sxtab16 r12, r12, r11, ror #8
    subs COUNT, COUNT, #16
    smlad TOTAL, r12, EIGHTS, TOTAL
    bge 2b
3:  tst DEPTH, #15
    beq 7f
    lsls r7, DEPTH, #29         /* carry: eight more inputs; negative: four */
    bcc 4f
    ldr r9, [IN, #4]
    ldr r8, [IN], #8
    sxtb16 r12, r9
    sxtab16 r12, r12, r9, ror #8
    sxtab16 r12, r12, r8
    sxtab16 r12, r12, r8, ror #8
    smlad TOTAL, r12, EIGHTS, TOTAL
4:  bpl 5f
    ldr r8, [IN], #4
    sxtb16 r9, r8
    sxtab16 r9, r9, r8, ror #8
    smlad TOTAL, r9, EIGHTS, TOTAL
5:  lsls r7, DEPTH, #31         /* two; one */
    bcc 6f
    ldrsb r9, [IN, #1]
    ldrsb r8, [IN], #2
    add r8, r8, r9
    sub TOTAL, TOTAL, r8, lsl #3
6:  bpl 7f
    ldrsb r8, [IN], #1
    sub TOTAL, TOTAL, r8, lsl #3
7:  ldr r11, [ABOVE], #4
    add r11, r11, TOTAL
    str r11, [TO], #4
    subs COLUMNS, COLUMNS, #1
    bne 1b
    b 9f

    /* The same for columns of three inputs, two at a time. */
8:  tst COLUMNS, #1
    beq 2f
    ldrsb r9, [IN, #1]
    ldrsb r10, [IN, #2]
    ldrsb r8, [IN], #3
    ldr r11, [ABOVE], #4
    add TOTAL, TOTAL, ZEROS
    add r8, r8, r9
    add r8, r8, r10
    sub TOTAL, TOTAL, r8, lsl #3
    add r11, r11, TOTAL
    str r11, [TO], #4
    subs COLUMNS, COLUMNS, #1
    beq 9f
2:  ldrsb r9, [IN, #4]
    ldrsb r10, [IN, #5]
    ldr r8, [IN], #6
    ldr r11, [ABOVE, #4]
    ldr r12, [ABOVE], #8
    add r9, r9, r10
    sxtb16 r10, r8, ror #8      /* input 1 of the first and 0 of the second */
    sxtb16 r8, r8
    add TOTAL, TOTAL, ZEROS
    smlad TOTAL, r8, EIGHTS, TOTAL
    smlabb TOTAL, r10, EIGHTS, TOTAL
    add TO, TO, #8
    add r12, r12, TOTAL
    add TOTAL, TOTAL, ZEROS
    sub TOTAL, TOTAL, r9, lsl #3
    smlatb TOTAL, r10, EIGHTS, TOTAL
    str r12, [TO, #-8]
    add r11, r11, TOTAL
    str r11, [TO, #-4]
    subs COLUMNS, COLUMNS, #2
    bne 2b

9:  ldr r8, [sp]
    ldr COUNT, [r8, #16]
    cbz COUNT, 2f
1:  str r11, [TO], #4           /* columns of padding at the right */
    subs COUNT, COUNT, #1
    bne 1b
2:  add sp, sp, #4
    mov r0, TO
    pop {r4-r11, pc}
    .size table_row, . - table_row

    .section .text.window_sums, "ax"
    .global window_sums
    .type window_sums, %function
    .thumb_func
    .align 2
window_sums:
    push {r4-r11, lr}
    ldm r3, {r3, r4, r5}        /* windows; bytes from one's left edge to its right one, and to the next window's */
    cmp r4, #12
    it eq
    cmpeq r5, #4
    beq 2f
    sub r1, r1, r0              /* from above to below */
    add r6, r1, r4
1:  ldr r7, [r0, r1]
    ldr r8, [r0, r4]
    ldr r9, [r0, r6]
    ldr r10, [r0]
    add r0, r0, r5
    add r7, r7, r8
    sub r9, r9, r7
    add r9, r9, r10
    subs r3, r3, #1
    str r9, [r2], #4
    bne 1b
    pop {r4-r11, pc}

    /* Windows of three columns side by side. r4-r6: of the columns to the left of r0 and r1 the sums between both rows. */
2:  ldm r0!, {r7-r9}
    ldm r1!, {r4-r6}
    sub r4, r4, r7
    sub r5, r5, r8
    sub r6, r6, r9
3:  ldr r10, [r0, #4]
    ldr r11, [r1, #4]
    ldr r8, [r0], #8
    ldr r9, [r1], #8
    subs r3, r3, #2
    sub r7, r9, r8
    sub r8, r7, r4
    sub r4, r11, r10
    sub r9, r4, r5
    str r8, [r2]
    str r9, [r2, #4]
    ble 4f
    ldr r10, [r0, #4]
    ldr r11, [r1, #4]
    ldr r8, [r0], #8
    ldr r9, [r1], #8
    subs r3, r3, #2
    sub r5, r9, r8
    sub r8, r5, r6
    sub r6, r11, r10
    sub r9, r6, r7
    str r8, [r2, #8]
    str r9, [r2, #12]
    add r2, r2, #16
    bgt 3b
4:  pop {r4-r11, pc}
    .size window_sums, . - window_sums
#endif
