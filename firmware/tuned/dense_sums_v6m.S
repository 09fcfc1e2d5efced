/* A row of inputs times a panel of four units, for Armv6-M (Cortex-M0, M0+).
 *
 *   void dense_sums(const int8_t *x, const word *weights, int32_t inputs, int32_t sums[4]);    see dense_panels.c
 *
 * 4 MACs: 17 instructions, 19 cycles.
 */
#if __ARM_ARCH_ISA_THUMB == 1
    .syntax unified
    .thumb

#define X r0
#define W r1
#define INPUT r2
#define SUMS r3
#define FOUR r4
#define P r5
#define S0 r8
#define S1 r9
#define S2 r10
#define S3 r11
#define END r12

.macro step i
    ldrb INPUT, [X, #\i]
    ldm W!, {FOUR}
    sxtb INPUT, INPUT
    uxtb P, FOUR
    muls P, INPUT, P
    add S0, P
    lsrs FOUR, FOUR, #8
    uxtb P, FOUR
    muls P, INPUT, P
    add S1, P
    lsrs FOUR, FOUR, #8
    uxtb P, FOUR
    muls P, INPUT, P
    add S2, P
    lsrs FOUR, FOUR, #8
    muls FOUR, INPUT, FOUR
    add S3, FOUR
.endm
#define STEP_BYTES 34
#define STEPS 4

    .section .text.dense_sums, "ax"
    .global dense_sums
    .type dense_sums, %function
    .thumb_func
    .align 2
dense_sums:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    adds r4, X, r2
    mov END, r4
    rsbs r4, r2, #0
    movs r5, #STEPS - 1
    ands r4, r4, r5             /* steps that the first round leaves out */
    subs X, X, r4
    movs r5, #0
    mov S0, r5
    mov S1, r5
    mov S2, r5
    mov S3, r5
    movs r6, #STEP_BYTES
    muls r6, r4, r6
    adr r5, 2f
    adds r5, r5, r6
    adds r5, r5, #1
    bx r5
    .align 2
2:  .set i, 0
    .rept STEPS
    step i
    .set i, i + 1
    .endr
    adds X, X, #STEPS
    cmp X, END
    bne 2b
    mov r4, S0
    mov r5, S1
    mov r6, S2
    mov r7, S3
    stm SUMS!, {r4-r7}
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .size dense_sums, . - dense_sums
#endif
