/* A row of outputs of a depthwise convolution, filter up to 4x4, for cores with MVE.
 *
 *   void mve_depthwise_row_1(mve_depthwise_job *job);    column stride 1
 *   void mve_depthwise_row_2(mve_depthwise_job *job);    2
 *
 * mve_depthwise_job is in tuned.h. A channel's inputs are a plane: columns of four rows, a byte each, so
 * that 16 bytes are a window of 4x4 and one VMLADAV is an output. Rows stay where they are while others
 * move in: instead, `offsets` gathers the weights in the order of the rows. Weights outside of the
 * filter are the 0 behind the channel's weights.
 */
#if defined(__ARM_FEATURE_MVE)
    .syntax unified
    .thumb

#define JOB r12
#define OUT r7             /* a low register, as VSTRB.32 wants */
#define CHANNELS r9
#define ZERO r10
#define ONE r11

#define J_PLANES 0
#define J_WEIGHTS 8
#define J_PARAMETERS 16
#define J_OUT 20
#define J_LEFT 24       /* channels that are left */
#define J_CHANNELS 28
#define J_ONE 32        /* 1, and the zero point of the outputs */
#define J_COLUMNS 40
#define J_OFFSETS 44

/* Four channels at a time, 20 instructions for an output of each. */
.macro row column_bytes
    push {r4-r11, lr}
    vpush {d8-d15}
    mov JOB, r0
1:  ldrd r1, r9, [JOB, #J_PLANES]
    ldrd r0, r2, [JOB, #J_WEIGHTS]
    ldr r4, [JOB, #J_OFFSETS]
    ldrd r6, OUT, [JOB, #J_PARAMETERS]
    vldrb.u8 q7, [r4]
    add r3, r1, r9
    vldrb.u8 q0, [r0, q7]
    add r0, r0, r2
    vldrb.u8 q1, [r0, q7]
    add r0, r0, r2
    vldrb.u8 q2, [r0, q7]
    add r0, r0, r2
    vldrb.u8 q3, [r0, q7]
    add r0, r0, r2
    add r5, r3, r9
    add r8, r5, r9
    add r4, r8, r9
    str r0, [JOB, #J_WEIGHTS]
    str r4, [JOB, #J_PLANES]
    vldrw.32 q4, [r6], #48
    vldrw.32 q5, [r6, #-32]
    vldrw.32 q6, [r6, #-16]
    add r4, OUT, #4
    strd r6, r4, [JOB, #J_PARAMETERS]
    ldrd r0, CHANNELS, [JOB, #J_LEFT]
    vctp.32 r0
    sub r0, r0, #4
    str r0, [JOB, #J_LEFT]
    ldrd ONE, ZERO, [JOB, #J_ONE]
    ldr lr, [JOB, #J_COLUMNS]
    dls lr, lr
2:  vldrw.u32 q7, [r1], #\column_bytes
    vmladav.s8 r0, q7, q0
    vldrw.u32 q7, [r3], #\column_bytes
    vmladav.s8 r2, q7, q1
    vldrw.u32 q7, [r5], #\column_bytes
    vmladav.s8 r4, q7, q2
    vldrw.u32 q7, [r8], #\column_bytes
    vmladav.s8 r6, q7, q3
    vmov q7[2], q7[0], r0, r4
    vmov q7[3], q7[1], r2, r6
    vadd.i32 q7, q7, q4
    vqrdmulh.s32 q7, q7, q5         /* the reference's double rounding: see mve_panels.S */
    vqdmlah.s32 q7, q7, ONE
    vrshl.s32 q7, q7, q6
    vadd.i32 q7, q7, ZERO
    vqmovnb.s32 q7, q7
    vqmovnb.s16 q7, q7
    vpst
    vstrbt.32 q7, [OUT]
    add OUT, OUT, CHANNELS
    le lr, 2b
    ldr r0, [JOB, #J_LEFT]
    cmp r0, #0
    bgt 1b
    vpop {d8-d15}
    pop {r4-r11, pc}
.endm

    .section .text.mve_depthwise_row_1, "ax"
    .global mve_depthwise_row_1
    .type mve_depthwise_row_1, %function
    .thumb_func
    .align 2
mve_depthwise_row_1:
    row 4
    .size mve_depthwise_row_1, . - mve_depthwise_row_1

    .section .text.mve_depthwise_row_2, "ax"
    .global mve_depthwise_row_2
    .type mve_depthwise_row_2, %function
    .thumb_func
    .align 2
mve_depthwise_row_2:
    row 8
    .size mve_depthwise_row_2, . - mve_depthwise_row_2
#endif
