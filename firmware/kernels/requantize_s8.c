#include "fixedpoint.h"
#include "kernels.h"

void requantize_s8(const requantize_s8_parameters *parameters,
                   const int8_t *input,
                   int8_t *output,
                   int32_t elements)
{
    /* A copy, because output may alias anything: fields would be read again for each element. */
    const requantize_s8_parameters p = *parameters;
    for (int32_t i = 0; i < elements; i++) {
        const int32_t value = multiply_by_factor(
            input[i] + p.input_offset, p.multiplier, p.left_shift, p.right_shift);
        output[i] = (int8_t)clamp(value + p.output_offset, p.minimum, p.maximum);
    }
}
