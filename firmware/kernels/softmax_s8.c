/* It takes little time: for less code. */
#pragma GCC optimize("Os")

#include "softmax.h"

/* Sums of 2^9 or more: each quotient is below half a unit of the output, and the shift would be of
 * 32 bits or more. */
#define MOST_BITS_OVER_UNIT 8

void softmax_s8(const softmax_s8_parameters *parameters,
                const int8_t *input,
                int8_t *output,
                int32_t rows,
                int32_t columns)
{
    const softmax_s8_parameters p = *parameters;
    for (; rows > 0; rows--, input += columns, output += columns) {
        const int32_t maximum = row_maximum(input, columns);
        const row_reciprocal r = reciprocal_of_row(&p, input, columns, maximum);
        const int32_t diff_min = r.bits_over_unit > MOST_BITS_OVER_UNIT ? 1 : p.diff_min;

        for (int32_t i = 0; i < columns; i++) {
            const int32_t difference = input[i] - maximum;
            int32_t value = 0;
            if (difference >= diff_min) {
                value = rounding_shift_right(
                    doubling_high_multiply(r.scale, exp_of_difference(&p, difference)),
                    r.bits_over_unit + 31 - 8);
            }
            output[i] = (int8_t)clamp(value + INT8_MIN, INT8_MIN, INT8_MAX);
        }
    }
}
