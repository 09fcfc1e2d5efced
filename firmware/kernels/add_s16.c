#include "fixedpoint.h"
#include "kernels.h"

static inline int32_t scaled(int32_t value, const add_s8_term *term)
{
    return rounding_shift_right(doubling_high_multiply(value, term->multiplier), term->right_shift);
}

void add_s16(const add_s8_parameters *p,
             const int16_t *left,
             const int16_t *right,
             int16_t *output,
             int32_t repeats,
             int32_t elements)
{
    for (; repeats > 0; repeats--, left += elements, output += elements) {
        for (int32_t i = 0; i < elements; i++) {
            const int32_t a = shift_left(left[i], p->left_shift);
            const int32_t b = shift_left(right[i], p->left_shift);
            const int32_t value = scaled(scaled(a, &p->left) + scaled(b, &p->right), &p->output);
            output[i] = (int16_t)clamp(value, p->minimum, p->maximum);
        }
    }
}
