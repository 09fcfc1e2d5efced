#include "fixedpoint.h"
#include "kernels.h"

static inline int32_t scaled(int32_t value, const scale_factor *factor)
{
    return multiply_by_factor(value, factor->multiplier, factor->left_shift, factor->right_shift);
}

void prelu_s8(const prelu_s8_parameters *parameters,
              const int8_t *input,
              const int8_t *alpha,
              int8_t *output,
              int32_t repeats,
              int32_t elements)
{
    /* A local copy: output may alias *p, and its fields would be reloaded for each element. */
    const prelu_s8_parameters p = *parameters;
    for (; repeats > 0; repeats--, input += elements, output += elements) {
        for (int32_t i = 0; i < elements; i++) {
            const int32_t x = input[i] + p.input_offset;
            const int32_t value = x < 0 ? scaled(x * (alpha[i] + p.alpha_offset), &p.below)
                                        : scaled(x, &p.above);
            output[i] = (int8_t)clamp(value + p.output_offset, INT8_MIN, INT8_MAX);
        }
    }
}
