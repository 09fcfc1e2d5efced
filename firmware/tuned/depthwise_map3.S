/* Depthwise 3x3, stride 1, padding 1, of maps of 3x3, for Armv7E-M; see hil/tuned_depthwise/map3.py.
 *
 *   void depthwise_map3_any(const depthwise_map3_layer *layer, const int8_t *in, int8_t *out);
 *   void depthwise_map3_relu(...);                         as depthwise_store_relu
 *
 * All nine inputs of a channel, less the zero point so that padding is 0 and needs no products, as P = (row 0, row 1) and
 * Q = (row 1, row 2) of each column; with K = (w0, w1) and L = (w1, w2) of the filter's columns:
 *   row 0 = P . L,   row 1 = P . K + Q.upper L.upper,   row 2 = Q . K
 * The record is that of depthwise_unpack(), but for a bias without the zero point.
 */
#if defined(__ARM_FEATURE_DSP)
    .syntax unified
    .thumb

#define S_K 0               /* on the stack */
#define S_L 12
#define S_Q 24
#define S_RECORD 36
#define S_COUNT 40
#define S_STEP 44
#define S_ZERO 48           /* in both halves */
#define S_IN 52
#define S_OUT 56
#define S_BYTES 64

#define CONSTANT r0
#define RIGHT r1
#define D0 r2               /* P or Q */
#define D1 r3
#define D2 r4
#define W0 r5               /* K or L */
#define W1 r6
#define W2 r7
#define A0 r8               /* sums of a row */
#define A1 r9
#define A2 r10
#define BIAS r11
#define FACTOR r12
#define OUT lr

/* The columns of the map times those of the filter, but for those that meet padding. */
.macro row_of_products multiply, a0, a1, a2
    \multiply A0, D0, W1, \a0
    \multiply A1, D0, W0, \a1
    \multiply A2, D1, W0, \a2
    \multiply A0, D1, W2, A0
    \multiply A1, D1, W1, A1
    \multiply A2, D2, W1, A2
    \multiply A1, D2, W2, A1
.endm
.macro load_three a, b, c, at
    ldr \a, [sp, #\at]
    ldr \b, [sp, #\at + 4]
    ldr \c, [sp, #\at + 8]
.endm
.macro store_three a, b, c, at
    str \a, [sp, #\at]
    str \b, [sp, #\at + 4]
    str \c, [sp, #\at + 8]
.endm
.macro results relu
    .irp v, A0, A1, A2
    .if \relu
    smmlar \v, \v, FACTOR, CONSTANT
    .else
    add W2, CONSTANT, \v, asr #31
    smmlar \v, \v, FACTOR, W2
    .endif
    asr \v, \v, RIGHT
    ssat \v, #8, \v
    .endr
    ldr W0, [sp, #S_STEP]
    strb A0, [OUT]
    add OUT, OUT, W0
    strb A1, [OUT]
    add OUT, OUT, W0
    strb A2, [OUT]
    add OUT, OUT, W0
.endm
/* Twice the weights of a column: K goes to the stack, L to \l, which may be the word itself. */
.macro unpack bytes, l, at
    sxtb16 lr, \bytes
    sxtb16 \bytes, \bytes, ror #8
    sadd16 lr, lr, lr
    sadd16 \bytes, \bytes, \bytes
    pkhbt r5, lr, \bytes, lsl #16
    pkhbt \l, \bytes, lr
    str r5, [sp, #S_K + \at]
.endm

.macro map3 name, relu
    .section .text.\name, "ax"
    .global \name
    .type \name, %function
    .thumb_func
    .align 2
\name:
    push {r4-r11, lr}
    sub sp, sp, #S_BYTES
    ldm r0, {r3-r6}             /* kernel, records, channels, padding */
    pkhbt r6, r6, r6, lsl #16
    strd r4, r5, [sp, #S_RECORD]
    strd r5, r6, [sp, #S_STEP]
    strd r1, r2, [sp, #S_IN]
1:  ldr r0, [sp, #S_IN]
    ldr r12, [sp, #S_STEP]
    add lr, r12, r12, lsl #1    /* a row */
    ldrsb r2, [r0]
    ldrsb r3, [r0, r12]
    ldrsb r4, [r0, r12, lsl #1]
    add r1, r0, lr
    add r11, r1, lr
    ldrsb r5, [r1]
    ldrsb r6, [r1, r12]
    ldrsb r7, [r1, r12, lsl #1]
    ldrsb r8, [r11]
    ldrsb r9, [r11, r12]
    ldrsb r10, [r11, r12, lsl #1]
    ldr r1, [sp, #S_ZERO]
    add r0, r0, #1
    str r0, [sp, #S_IN]
    pkhbt D0, r2, r5, lsl #16
    pkhbt D1, r3, r6, lsl #16
    pkhbt D2, r4, r7, lsl #16
    pkhbt r5, r5, r8, lsl #16
    pkhbt r6, r6, r9, lsl #16
    pkhbt r7, r7, r10, lsl #16
    ssub16 D0, D0, r1
    ssub16 D1, D1, r1
    ssub16 D2, D2, r1
    ssub16 r5, r5, r1
    ssub16 r6, r6, r1
    ssub16 r7, r7, r1
    ldr r0, [sp, #S_RECORD]
    store_three r5, r6, r7, S_Q
    ldm r0!, {r8-r12}           /* three columns, bias, mantissa */
    str r0, [sp, #S_RECORD]
    asr RIGHT, r8, #24
    asr r0, r9, #24
    lsl r0, r0, #1
    add r0, r0, #1
    sub r7, RIGHT, #1
    lsl CONSTANT, r0, r7
    unpack r10, W2, 8
    unpack r9, W1, 4
    unpack r8, r8, 0
    mov W0, r8
    ldr OUT, [sp, #S_OUT]
    store_three W0, W1, W2, S_L
    row_of_products smlad, BIAS, BIAS, BIAS
    add r5, OUT, #1
    str r5, [sp, #S_OUT]
    results \relu
    load_three W0, W1, W2, S_K
    row_of_products smlad, BIAS, BIAS, BIAS
    load_three D0, D1, D2, S_Q
    load_three W0, W1, W2, S_L
    row_of_products smlatt, A0, A1, A2
    results \relu
    load_three W0, W1, W2, S_K
    row_of_products smlad, BIAS, BIAS, BIAS
    results \relu
    ldr r5, [sp, #S_COUNT]
    subs r5, r5, #1
    str r5, [sp, #S_COUNT]
    bne 1b
    add sp, sp, #S_BYTES
    pop {r4-r11, pc}
    .size \name, . - \name
.endm
    map3 depthwise_map3_any, 0
    map3 depthwise_map3_relu, 1
#endif
