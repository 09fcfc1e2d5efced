#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

/* round(values * multiplier / 2^(31 - shift)), shift <= 0, as the reference rounds: see mve_panels.S. `nudge` is 0
 * without a shift, else 1. */
static inline int32x4_t scaled(int32x4_t values, int32_t multiplier, int32_t nudge, int32x4_t shift)
{
    values = vqrdmulhq_n_s32(values, multiplier);
    values = vqdmlahq_n_s32(values, values, nudge);
    return vrshlq_s32(values, shift);
}

void add_mve(const add_mve_layer *layer, const int8_t *left, const int8_t *right, int8_t *out)
{
    const int8_t *half = layer->swapped ? right : left, *other = layer->swapped ? left : right;
    const int32_t half_offset = layer->half_offset, other_offset = layer->other_offset;
    const int32_t other_multiplier = layer->other_multiplier, multiplier = layer->multiplier;
    const int32_t other_nudge = layer->other_shift != 0, nudge = layer->shift != 0, zero = layer->zero;
    const int32x4_t other_shift = vdupq_n_s32(layer->other_shift), shift = vdupq_n_s32(layer->shift);
    const int32x4_t lowest = vdupq_n_s32(layer->lowest), highest = vdupq_n_s32(layer->highest);

    for (int32_t turns = (layer->elements + 3) / 4; turns > 0; turns--) {
        int32x4_t sum = vshlq_n_s32(vaddq_n_s32(vldrbq_s32(other), other_offset), 20);
        sum = scaled(sum, other_multiplier, other_nudge, other_shift);
        /* The factor 1/2 is exact. */
        sum = vaddq_s32(sum, vshlq_n_s32(vaddq_n_s32(vldrbq_s32(half), half_offset), 19));
        sum = vaddq_n_s32(scaled(sum, multiplier, nudge, shift), zero);
        sum = vminq_s32(vmaxq_s32(sum, lowest), highest);
        if (turns > 1)
            vstrbq_s32(out, sum);
        else
            vstrbq_p_s32(out, sum, vctp32q((uint32_t)(layer->elements - 1) % 4 + 1));
        half += 4;
        other += 4;
        out += 4;
    }
}

#endif
