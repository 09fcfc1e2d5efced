#include "fixedpoint.h"
#include "kernels.h"

static inline int8_t mean_of(int32_t sum, const mean_s8_parameters *p)
{
    const int32_t value =
        multiply_by_factor(sum + p->sum_offset, p->multiplier, p->left_shift, p->right_shift);
    return (int8_t)clamp(value + p->output_offset, INT8_MIN, INT8_MAX);
}

void mean_s8(const mean_s8_parameters *parameters,
             const int8_t *input,
             int8_t *output,
             int32_t blocks,
             int32_t count,
             int32_t elements)
{
    for (; blocks > 0; blocks--, input += count * elements, output += elements) {
        int32_t i = 0;
        /* Four columns at a time: fewer additions to the pointer. */
        for (; i + 4 <= elements; i += 4) {
            const int8_t *column = input + i;
            int32_t a = 0, b = 0, c = 0, d = 0;
            for (int32_t row = 0; row < count; row++, column += elements) {
                a += column[0];
                b += column[1];
                c += column[2];
                d += column[3];
            }
            output[i] = mean_of(a, parameters);
            output[i + 1] = mean_of(b, parameters);
            output[i + 2] = mean_of(c, parameters);
            output[i + 3] = mean_of(d, parameters);
        }
        for (; i < elements; i++) {
            const int8_t *column = input + i;
            int32_t sum = 0;
            for (int32_t row = 0; row < count; row++, column += elements) {
                sum += *column;
            }
            output[i] = mean_of(sum, parameters);
        }
    }
}
