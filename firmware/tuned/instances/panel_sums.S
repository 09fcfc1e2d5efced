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
    add r6, r6, r7
    mov lr, #0x00010001
#if !ONE_ROW
    mov r12, #0                 /* from a row's address to the pair's run */
#endif
1:  mov r7, #0
    mov r8, #0
#if ONE_ROW
    mov r9, r2
#else
    push {r2, r3}
2:  ldr r9, [r2], #4
    add r9, r9, r12
#endif
    add r0, r9, r4              /* end of the run */
    tst r4, #XSTEP
    beq 4f
    ldr r10, [r9]
    ldr r11, [r9, #NEXT]
    add r9, r9, #XSTEP
    smlad r7, r10, lr, r7
    smlad r8, r11, lr, r8
4:  cmp r9, r0
    beq 5f
3:
#if ONE_ROW
    ldm r9!, {r3, r10-r12}
    smlad r7, r3, lr, r7
    smlad r8, r10, lr, r8
    smlad r7, r11, lr, r7
    smlad r8, r12, lr, r8
#else
    ldr r10, [r9]
    ldr r11, [r9, #NEXT]
    smlad r7, r10, lr, r7
    smlad r8, r11, lr, r8
    ldr r10, [r9, #XSTEP]
    ldr r11, [r9, #XSTEP + NEXT]
    add r9, r9, #2 * XSTEP
    smlad r7, r10, lr, r7
    smlad r8, r11, lr, r8
#endif
    cmp r9, r0
    bne 3b
5:
#if !ONE_ROW
    subs r3, r3, #1
    bne 2b
    pop {r2, r3}
#endif
    rsb r7, r7, #0
    rsb r8, r8, #0
    lsl r7, r7, #3
    lsl r8, r8, #3
    stm r1!, {r7, r8}
#if ONE_ROW
    add r2, r2, r5
#else
    add r12, r12, r5
#endif
    subs r6, r6, #1
    bne 1b
    pop {r4-r11, pc}
    .size NAME, . - NAME
#endif
