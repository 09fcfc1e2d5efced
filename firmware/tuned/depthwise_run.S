/* Results of sums of one channel that lie one after another, for Armv7E-M.
 *
 *   void depthwise_run(const uint32_t *sums, int8_t *out, int32_t count, const depthwise_channel *channel);
 *   void depthwise_run_relu(...);                           see depthwise_macros.h
 */
#if defined(__ARM_FEATURE_DSP)
#include "depthwise_macros.h"

#define C_FACTOR 28             /* offset in depthwise_channel: factor, constant, right shift, padding, width, step */
#define SUMS r0
#define OUT r1
#define STEP r8                 /* bytes from a pixel to the next */
#define COUNT lr

.macro run name, relu
    function \name
    push {r4-r11, lr}
    mov COUNT, r2
    add r3, r3, #C_FACTOR
    ldm r3, {r4-r9}
    mov STEP, r9
    ands r3, COUNT, #3
    beq 2f
1:  ldr r9, [SUMS], #4
    scale \relu, r9
    strb r9, [OUT]
    add OUT, OUT, STEP
    subs r3, r3, #1
    bne 1b
2:  add OUT1, OUT, STEP
    lsrs COUNT, COUNT, #2
    beq 4f
3:  ldm SUMS!, {r9-r12}
    scale \relu, r9, r10, r11, r12
    strb r9, [OUT]
    strb r10, [OUT1]
    add OUT, OUT, STEP, lsl #1
    add OUT1, OUT1, STEP, lsl #1
    subs COUNT, COUNT, #1
    strb r11, [OUT]
    strb r12, [OUT1]
    add OUT, OUT, STEP, lsl #1
    add OUT1, OUT1, STEP, lsl #1
    bne 3b
4:  pop {r4-r11, pc}
    .size \name, . - \name
.endm
    run depthwise_run, 0
    run depthwise_run_relu, 1
#endif
