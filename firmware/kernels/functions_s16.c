#include "fixedpoint.h"
#include "kernels.h"
#include "sigmoid.h"

static inline int32_t scaled(int32_t value, const scale_factor *factor)
{
    return multiply_by_factor(value, factor->multiplier, factor->left_shift, factor->right_shift);
}

void leaky_relu_s16(const scale_factor *above,
                    const scale_factor *below,
                    const int16_t *input,
                    int16_t *output,
                    int32_t elements)
{
    for (int32_t i = 0; i < elements; i++) {
        const int32_t value = scaled(input[i], input[i] < 0 ? below : above);
        output[i] = (int16_t)clamp(value, INT16_MIN, INT16_MAX);
    }
}

void logistic_s16(const uint16_t table[256],
                  int32_t multiplier,
                  int32_t right_shift,
                  const int16_t *input,
                  int16_t *output,
                  int32_t elements)
{
    for (int32_t i = 0; i < elements; i++) {
        output[i] = (int16_t)logistic_of(table, argument_of(input[i], multiplier, right_shift));
    }
}

void tanh_s16(const uint16_t table[256],
              int32_t multiplier,
              int32_t right_shift,
              const int16_t *input,
              int16_t *output,
              int32_t elements)
{
    for (int32_t i = 0; i < elements; i++) {
        output[i] = (int16_t)tanh_of(table, argument_of(input[i], multiplier, right_shift));
    }
}
