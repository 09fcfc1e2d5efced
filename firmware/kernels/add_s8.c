#include "fixedpoint.h"
#include "kernels.h"

static inline int32_t scaled(int32_t value, const add_s8_term *term)
{
    return rounding_shift_right(doubling_high_multiply(value, term->multiplier), term->right_shift);
}

void add_s8(const add_s8_parameters *parameters,
            const int8_t *left,
            const int8_t *right,
            int8_t *output,
            int32_t repeats,
            int32_t elements)
{
    /* A local copy: output may alias *p, and its fields would be reloaded for each element. */
    const add_s8_parameters p = *parameters;
    for (; repeats > 0; repeats--, left += elements, output += elements) {
        for (int32_t i = 0; i < elements; i++) {
            const int32_t a = shift_left(left[i] + p.left.offset, p.left_shift);
            const int32_t b = shift_left(right[i] + p.right.offset, p.left_shift);
            const int32_t sum = scaled(a, &p.left) + scaled(b, &p.right);
            const int32_t value = scaled(sum, &p.output) + p.output.offset;
            output[i] = (int8_t)clamp(value, p.minimum, p.maximum);
        }
    }
}
