#include "fixedpoint.h"
#include "kernels.h"

void mul_s8(const mul_s8_parameters *parameters,
            const int8_t *left,
            const int8_t *right,
            int8_t *output,
            int32_t repeats,
            int32_t elements)
{
    /* A local copy: output may alias *p, and its fields would be reloaded for each element. */
    const mul_s8_parameters p = *parameters;
    for (; repeats > 0; repeats--, left += elements, output += elements) {
        for (int32_t i = 0; i < elements; i++) {
            const int32_t product = (left[i] + p.left_offset) * (right[i] + p.right_offset);
            const int32_t value =
                multiply_by_factor(product, p.multiplier, p.left_shift, p.right_shift);
            output[i] = (int8_t)clamp(value + p.output_offset, p.minimum, p.maximum);
        }
    }
}
