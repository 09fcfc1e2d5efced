#include "fixedpoint.h"
#include "kernels.h"

void batch_matmul_s8(const batch_matmul_s8_parameters *parameters,
                     const int8_t *left,
                     const int8_t *right,
                     int8_t *output)
{
    const batch_matmul_s8_parameters p = *parameters;
    for (int32_t batch = 0; batch < p.batches; batch++) {
        for (int32_t row = 0; row < p.rows; row++, left += p.depth) {
            for (int32_t column = 0; column < p.columns; column++) {
                const int8_t *other = right + column * p.across;
                int32_t sum = 0;
                for (int32_t i = 0; i < p.depth; i++, other += p.along) {
                    sum += (left[i] + p.left_offset) * (*other + p.right_offset);
                }
                sum = multiply_by_factor(sum, p.multiplier, p.left_shift, p.right_shift);
                *output++ = (int8_t)clamp(sum + p.output_offset, INT8_MIN, INT8_MAX);
            }
        }
        right += p.depth * p.columns;
    }
}
