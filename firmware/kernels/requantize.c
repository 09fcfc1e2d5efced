#include "fixedpoint.h"
#include "kernels.h"

static inline int32_t requantized(int32_t value, const requantize_s8_parameters *p)
{
    value =
        multiply_by_factor(value + p->input_offset, p->multiplier, p->left_shift, p->right_shift);
    return clamp(value + p->output_offset, p->minimum, p->maximum);
}

void requantize_s8(const requantize_s8_parameters *parameters,
                   const int8_t *input,
                   int8_t *output,
                   int32_t elements)
{
    /* A local copy: output may alias *p, and its fields would be reloaded for each element. */
    const requantize_s8_parameters p = *parameters;
    for (int32_t i = 0; i < elements; i++) {
        output[i] = (int8_t)requantized(input[i], &p);
    }
}

void requantize_s8_s16(const requantize_s8_parameters *parameters,
                       const int8_t *input,
                       int16_t *output,
                       int32_t elements)
{
    for (int32_t i = 0; i < elements; i++) {
        output[i] = (int16_t)requantized(input[i], parameters);
    }
}

void requantize_s16_s8(const requantize_s8_parameters *parameters,
                       const int16_t *input,
                       int8_t *output,
                       int32_t elements)
{
    const requantize_s8_parameters p = *parameters;
    for (int32_t i = 0; i < elements; i++) {
        output[i] = (int8_t)requantized(input[i], &p);
    }
}

void requantize_s16(const requantize_s8_parameters *parameters,
                    const int16_t *input,
                    int16_t *output,
                    int32_t elements)
{
    for (int32_t i = 0; i < elements; i++) {
        output[i] = (int16_t)requantized(input[i], parameters);
    }
}
