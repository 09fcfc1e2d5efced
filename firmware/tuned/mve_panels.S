/* Products of pixels with panels of four output channels, for cores with MVE.
 *
 *   void mve_panels_2(mve_panels_job *job);    pairs of pixels
 *   void mve_panels_1(mve_panels_job *job);    one pixel
 *
 * mve_panels_job is in tuned.h. A pixel is a run of inputs, read up to a multiple of 16: what is behind its end has
 * weights of 0. Weights: for each panel and 16 inputs those of its four channels, 64 bytes.
 *
 * VMLADAV adds up 16 products; its sums are in the even registers, all of them with two pixels. Steps are of 16 inputs:
 * 6 loads for 8 VMLADAVs, 14 instructions for 128 MACs; with one pixel 5 for 4.
 */
#if defined(__ARM_FEATURE_MVE)
    .syntax unified
    .thumb

#define X0 r1
#define X1 r3
#define WEIGHTS r5
#define COUNT r7
#define ENTRY r9
#define JOB r11

/* Members of mve_panels_job. */
#define J_X 0           /* the pixel, and bytes to the next */
#define J_PAIRS 8
#define J_OUT 12        /* its outputs, and bytes to the next pixel's */
#define J_STEPS 20
#define J_ONE 24        /* 1, and the zero point of the outputs */
#define J_LIMITS 32     /* lowest and highest result */
#define J_WEIGHTS 40    /* and parameters */
#define J_END 48        /* of the parameters */
#define L_X 52          /* both pixels of the pair */
#define L_COUNT 60      /* pairs of steps after the first, and where they begin */
#define L_OUT 68        /* of both pixels */
#define L_PARAMETERS 76

.macro enter
    push {r4-r11, lr}
    vpush {d8-d15}
    mov JOB, r0
    ldrd r0, r1, [JOB, #J_LIMITS]
    vdup.32 q6, r0
    vdup.32 q7, r1
    ldr COUNT, [JOB, #J_STEPS]
    subs COUNT, COUNT, #1
.endm

.macro leave
    vpop {d8-d15}
    pop {r4-r11, pc}
.endm

/* Loads biases, multipliers and negative right shifts; 1 and the zero point. */
.macro load_parameters
    ldr r9, [JOB, #L_PARAMETERS]
    ldrd r0, r2, [JOB, #J_ONE]
    vldrw.32 q2, [r9], #48
    vldrw.32 q3, [r9, #-32]
    vldrw.32 q4, [r9, #-16]
    str r9, [JOB, #L_PARAMETERS]
.endm

/* The reference's double rounding. VQRDMULH is its first, as no product is of -2^31 twice. The second rounds ties
 * away from zero: VRSHL rounds them up, so 1 is subtracted from what is negative, which VQDMLAH does, adding
 * (2 * sum * 1) >> 32. */
.macro requantize sums
    vadd.i32 \sums, \sums, q2
    vqrdmulh.s32 \sums, \sums, q3
    vqdmlah.s32 \sums, \sums, r0
    vrshl.s32 \sums, \sums, q4
    vadd.i32 \sums, \sums, r2
    vmax.s32 \sums, \sums, q6
    vmin.s32 \sums, \sums, q7
.endm

/* Both pixels' requantizations, each instruction beside the other pixel's. */
.macro requantize_pair
    vadd.i32 q0, q0, q2
    vadd.i32 q1, q1, q2
    vqrdmulh.s32 q0, q0, q3
    vqrdmulh.s32 q1, q1, q3
    vqdmlah.s32 q0, q0, r0
    vqdmlah.s32 q1, q1, r0
    vrshl.s32 q0, q0, q4
    vrshl.s32 q1, q1, q4
    vadd.i32 q0, q0, r2
    vadd.i32 q1, q1, r2
    vmax.s32 q0, q0, q6
    vmax.s32 q1, q1, q6
    vmin.s32 q0, q0, q7
    vmin.s32 q1, q1, q7
.endm

.macro step_2 add
    vldrb.u8 q0, [X0], #16
    vldrb.u8 q2, [WEIGHTS], #64
    vldrb.u8 q1, [X1], #16
    vmladav\add\().s8 r0, q0, q2
    vldrb.u8 q3, [WEIGHTS, #-48]
    vmladav\add\().s8 r8, q1, q2
    vmladav\add\().s8 r2, q0, q3
    vldrb.u8 q2, [WEIGHTS, #-32]
    vmladav\add\().s8 r10, q1, q3
    vmladav\add\().s8 r4, q0, q2
    vldrb.u8 q3, [WEIGHTS, #-16]
    vmladav\add\().s8 r12, q1, q2
    vmladav\add\().s8 r6, q0, q3
    vmladav\add\().s8 lr, q1, q3
.endm

    .section .text.mve_panels_2, "ax"
    .global mve_panels_2
    .type mve_panels_2, %function
    .thumb_func
    .align 2
mve_panels_2:
    enter
    /* The steps after the first are taken in pairs: one of an odd number begins in the middle. */
    adr ENTRY, 4f
    beq 5f
    adr ENTRY, 2f
    lsrs COUNT, COUNT, #1
    itt cs
    addcs ENTRY, ENTRY, #(3f - 2f)
    addcs COUNT, COUNT, #1
5:  orr ENTRY, ENTRY, #1
    strd COUNT, ENTRY, [JOB, #L_COUNT]
6:  ldrd X0, r0, [JOB, #J_X]
    ldrd r2, r4, [JOB, #J_OUT]
    ldrd WEIGHTS, r9, [JOB, #J_WEIGHTS]
    add X1, X0, r0
    strd X0, X1, [JOB, #L_X]
    add r0, X1, r0
    str r0, [JOB, #J_X]
    add r6, r2, r4
    strd r2, r6, [JOB, #L_OUT]
    add r6, r6, r4
    str r6, [JOB, #J_OUT]
    str r9, [JOB, #L_PARAMETERS]
1:  ldrd X0, X1, [JOB, #L_X]
    ldrd COUNT, ENTRY, [JOB, #L_COUNT]
    step_2
    bx ENTRY
    .align 2
2:  step_2 a
3:  step_2 a
    subs COUNT, COUNT, #1
    bne 2b
    .align 2
4:  vmov q0[2], q0[0], r0, r4
    vmov q0[3], q0[1], r2, r6
    vmov q1[2], q1[0], r8, r12
    vmov q1[3], q1[1], r10, lr
    load_parameters
    requantize_pair
    ldrd r4, r6, [JOB, #L_OUT]
    ldr r8, [JOB, #J_END]
    vstrb.32 q0, [r4], #4
    vstrb.32 q1, [r6], #4
    strd r4, r6, [JOB, #L_OUT]
    cmp r9, r8
    bne 1b
    ldr r0, [JOB, #J_PAIRS]
    subs r0, r0, #1
    str r0, [JOB, #J_PAIRS]
    bne 6b
    leave
    .size mve_panels_2, . - mve_panels_2

.macro step_1 add
    vldrb.u8 q0, [X0], #16
    vldrb.u8 q2, [WEIGHTS], #64
    vldrb.u8 q3, [WEIGHTS, #-48]
    vmladav\add\().s8 r0, q0, q2
    vldrb.u8 q2, [WEIGHTS, #-32]
    vmladav\add\().s8 r2, q0, q3
    vldrb.u8 q3, [WEIGHTS, #-16]
    vmladav\add\().s8 r4, q0, q2
    vmladav\add\().s8 r6, q0, q3
.endm

    .section .text.mve_panels_1, "ax"
    .global mve_panels_1
    .type mve_panels_1, %function
    .thumb_func
    .align 2
mve_panels_1:
    enter
    ldrd WEIGHTS, r9, [JOB, #J_WEIGHTS]
    str r9, [JOB, #L_PARAMETERS]
1:  ldr X0, [JOB, #J_X]
    step_1
    wls lr, COUNT, 3f
2:  step_1 a
    le lr, 2b
3:  vmov q0[2], q0[0], r0, r4
    vmov q0[3], q0[1], r2, r6
    load_parameters
    requantize q0
    ldr r4, [JOB, #J_OUT]
    ldr r8, [JOB, #J_END]
    vstrb.32 q0, [r4], #4
    str r4, [JOB, #J_OUT]
    cmp r9, r8
    bne 1b
    leave
    .size mve_panels_1, . - mve_panels_1
#endif
