/* What weights of four bits without a sign add to the sums of conv_panel.S, with FOUR_BITS, for each pixel.
 *
 *   void NAME(const conv_panel_job *job, word *sums);    -8 times the sum of x, for each pixel of each pair
 *
 * Defined before inclusion: NAME, and NEXT, XSTEP and ONE_ROW as for conv_panel.S, whose inputs are read.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb
    .section .text.NAME, "ax"
    .global NAME
    .type NAME, %function
    .thumb_func
    .align 2
NAME:
    push {r4-r11, lr}
    ldm r0, {r2-r6}             /* rows, filter_rows, run_bytes, step_bytes, pairs */
    ldr r7, [r0, #40]           /* odd */
    mvn lr, #0x00070007         /* -8, twice */
    add r6, r6, r7
#if ONE_ROW
1:  mov r7, #0
    mov r8, #0
    mov r9, r2
    add r0, r9, r4              /* end of the run */
    tst r4, #XSTEP
    beq 3f
    ldm r9!, {r10, r11}
    smlad r7, r10, lr, r7
    smlad r8, r11, lr, r8
3:  cmp r9, r0
    beq 5f
    .align 2                    /* an LDM in two words would cost each turn a cycle */
4:  ldm r9!, {r3, r10-r12}
    smlad r7, r3, lr, r7
    smlad r8, r10, lr, r8
    smlad r7, r11, lr, r7
    smlad r8, r12, lr, r8
    cmp r9, r0
    bne 4b
5:  stm r1!, {r7, r8}
    add r2, r2, r5
    subs r6, r6, #1
    bne 1b
    pop {r4-r11, pc}
#else
#define STEP_BYTES 16
    push {r3, r6}               /* filter_rows, pairs */
    ldr r7, [r0, #36]           /* steps that are left out of a turn of eight */
    mov r8, #STEP_BYTES
    adr r0, 4f
    mla r0, r7, r8, r0
    orr r0, r0, #1
    add r4, r4, r7, lsl #2
    mov r12, #0
    sub r12, r12, r7, lsl #2    /* from a row's address to the pair's run */
1:  mov r7, #0
    mov r8, #0
2:  ldr r9, [r2], #4
    add r9, r9, r12
    add r6, r9, r4              /* end of the run */
    bx r0
    .align 2
4:  .set i, 0
    .rept 8
    ldr.w r10, [r9, #XSTEP * i]
    ldr.w r11, [r9, #XSTEP * i + NEXT]
    smlad r7, r10, lr, r7
    smlad r8, r11, lr, r8
    .set i, i + 1
    .endr
    add r9, r9, #XSTEP * 8
    cmp r9, r6
    bne 4b
    subs r3, r3, #1
    bne 2b
    stm r1!, {r7, r8}
    ldrd r3, r6, [sp]
    add r12, r12, r5
    sub r2, r2, r3, lsl #2
    subs r6, r6, #1
    str r6, [sp, #4]
    bne 1b
    add sp, sp, #8
    pop {r4-r11, pc}
#endif
    .size NAME, . - NAME
#endif
