#include "fixedpoint.h"
#include "kernels.h"

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

/* An argument in the table's scale, rounded. */
static inline int32_t argument_of(int32_t value, int32_t multiplier, int32_t right_shift)
{
    return (value * multiplier + (int32_t)((UINT32_C(1) << right_shift) >> 1)) >> right_shift;
}

/* The table at the argument's magnitude: linear between two entries, `saturated` from the last. */
static inline int32_t interpolated(const uint16_t table[256],
                                   int32_t argument,
                                   int32_t fraction_bits,
                                   int32_t saturated)
{
    const int32_t magnitude = argument < 0 ? -argument : argument;
    const int32_t index = magnitude >> fraction_bits;
    if (index >= 255) {
        return saturated;
    }
    const int32_t fraction = magnitude & ((1 << fraction_bits) - 1);
    return (table[index] << fraction_bits) + fraction * (table[index + 1] - table[index]);
}

void logistic_s16(const uint16_t table[256],
                  int32_t multiplier,
                  int32_t right_shift,
                  const int16_t *input,
                  int16_t *output,
                  int32_t elements)
{
    for (int32_t i = 0; i < elements; i++) {
        const int32_t argument = argument_of(input[i], multiplier, right_shift);
        const int32_t value = interpolated(table, argument, 9, 0x7FFF << 10);
        output[i] = (int16_t)((argument < 0 ? (1 << 25) - value + 511 : value + 512) >> 10);
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
        const int32_t argument = argument_of(input[i], multiplier, right_shift);
        const int32_t value = interpolated(table, argument, 8, 0xFFFF << 8) - (1 << 23);
        output[i] = (int16_t)((argument < 0 ? 127 - value : value + 128) >> 8);
    }
}
