#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

/* Rows of the layer: the right operand, which may repeat, is as long as one of them. */
#define EACH_ROW(layer, left, right, out, ROW) \
    for (int32_t block = 0; block < (layer)->blocks; block++, (right) += (layer)->elements) \
        for (int32_t i = 0; i < (layer)->repeats; i++, (left) += (layer)->elements, (out) += (layer)->elements) \
            ROW

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

void add_affine_dsp_s8(const add_affine_dsp_s8_layer *layer, const int8_t *left, const int8_t *right, int8_t *out)
{
    EACH_ROW(layer, left, right, out, add_affine(&layer->factors, left, right, out, layer->elements);)
}

#endif

#if defined(__ARM_FEATURE_MVE)

#include <arm_mve.h>

static void add_row(const add_factors *factors, int32_t shift, const int8_t *left, const int8_t *right, int8_t *out,
                    int32_t count)
{
    const int32_t by_left = factors->left, by_right = factors->right;
    const int32x4_t constant = vdupq_n_s32(factors->constant);

    for (int32_t quads = count / 4; quads > 0; quads--, left += 4, right += 4, out += 4) {
        int32x4_t sum = vmlaq_n_s32(constant, vldrbq_s32(left), by_left);
        sum = vmlaq_n_s32(sum, vldrbq_s32(right), by_right);
        /* Saturated to 8 bits where they are the highest of a word. */
        vstrbq_s32(out, vshrq_n_s32(vqshlq_r_s32(sum, 24 - shift), 24));
    }
    if (count & 3) {
        const mve_pred16_t there = vctp32q((uint32_t)count & 3);
        int32x4_t sum = vmlaq_n_s32(constant, vldrbq_z_s32(left, there), by_left);
        sum = vmlaq_n_s32(sum, vldrbq_z_s32(right, there), by_right);
        vstrbq_p_s32(out, vshrq_n_s32(vqshlq_r_s32(sum, 24 - shift), 24), there);
    }
}

#else

static inline int8_t saturated(int32_t value)
{
#if defined(__ARM_FEATURE_SAT)
    int32_t result;
    __asm("ssat %0, #8, %1" : "=r"(result) : "r"(value));
    return (int8_t)result;
#else
    return (int8_t)(value == (int8_t)value ? value : value >> 31 ^ INT8_MAX);
#endif
}

static void add_row(const add_factors *factors, int32_t shift, const int8_t *left, const int8_t *right, int8_t *out,
                    int32_t count)
{
    /* Local copies: the compiler takes `out` for something that may point to the factors. */
    const int32_t by_left = factors->left, by_right = factors->right, constant = factors->constant;
    const int8_t *const end = out + count;

    while (out != end)
        *out++ = saturated((by_left * *left++ + by_right * *right++ + constant) >> shift);
}

#endif

void add_affine_s8(const add_affine_s8_layer *layer, const int8_t *left, const int8_t *right, int8_t *out)
{
    EACH_ROW(layer, left, right, out, add_row(&layer->factors, layer->shift, left, right, out, layer->elements);)
}
