#include "fixedpoint.h"
#include "kernels.h"

void mul_s16(const mul_s8_parameters *p,
             const int16_t *left,
             const int16_t *right,
             int16_t *output,
             int32_t repeats,
             int32_t elements)
{
    for (; repeats > 0; repeats--, left += elements, output += elements) {
        for (int32_t i = 0; i < elements; i++) {
            const int32_t value =
                multiply_by_factor(left[i] * right[i], p->multiplier, 0, p->right_shift);
            output[i] = (int16_t)clamp(value, p->minimum, p->maximum);
        }
    }
}
