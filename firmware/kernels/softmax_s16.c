#include "softmax.h"

void softmax_s8_s16(const softmax_s8_parameters *parameters,
                    const int8_t *input,
                    int16_t *output,
                    int32_t rows,
                    int32_t columns)
{
    const softmax_s8_parameters p = *parameters;
    for (; rows > 0; rows--, input += columns, output += columns) {
        const int32_t maximum = row_maximum(input, columns);
        const row_reciprocal r = reciprocal_of_row(&p, input, columns, maximum);
        for (int32_t i = 0; i < columns; i++) {
            const int32_t difference = input[i] - maximum;
            int32_t value = 0;
            if (difference >= p.diff_min) {
                value = rounding_shift_right(
                    doubling_high_multiply(r.scale, exp_of_difference(&p, difference)),
                    r.bits_over_unit + 31 - 16);
            }
            output[i] = (int16_t)clamp(value + INT16_MIN, INT16_MIN, INT16_MAX);
        }
    }
}

/* The table at x of int16, linear between two of its entries, which are 128 apart. */
static inline int32_t looked_up(const int16_t table[513], int32_t x)
{
    const int16_t *entry = table + 256 + (x >> 7);
    return entry[0] + (((entry[1] - entry[0]) * (x & 127) + 64) >> 7);
}

void softmax_s16(const softmax_s16_parameters *parameters,
                 const int16_t *input,
                 int16_t *output,
                 int32_t rows,
                 int32_t columns)
{
    const softmax_s16_parameters p = *parameters;
    for (; rows > 0; rows--, input += columns, output += columns) {
        int32_t maximum = INT16_MIN;
        for (int32_t i = 0; i < columns; i++) {
            maximum = input[i] > maximum ? input[i] : maximum;
        }

        /* The output holds the exponentials, Q0.15, until their sum is known. */
        int32_t sum = 0;
        for (int32_t i = 0; i < columns; i++) {
            const int32_t steps = multiply_by_factor(
                input[i] - maximum, p.multiplier, p.left_shift, p.right_shift);
            output[i] = (int16_t)looked_up(p.exponentials,
                                           clamp(steps + INT16_MAX, INT16_MIN, INT16_MAX));
            sum += output[i];
        }

        /* sum = 2^(places - 15) * (1 + fraction); the table's x is a fraction of 16 bits around
         * the middle. */
        const int32_t headroom = __builtin_clz((uint32_t)sum);
        const int32_t places = 31 - headroom;
        const int32_t one_to_two =
            (int32_t)((((uint32_t)sum << (headroom - 1)) + (UINT32_C(1) << 13)) >> 14);
        const int32_t x = clamp(one_to_two - (1 << 16) - (1 << 15), INT16_MIN, INT16_MAX);
        const int32_t scale = looked_up(p.reciprocals, x);

        for (int32_t i = 0; i < columns; i++) {
            const int32_t share = (output[i] * scale + (1 << (places - 1))) >> places;
            output[i] = (int16_t)clamp(share, 0, INT16_MAX);
        }
    }
}
