#include "kernels.h"

void minimum_s16(const int16_t *left,
                 const int16_t *right,
                 int16_t *output,
                 int32_t repeats,
                 int32_t elements)
{
    for (; repeats > 0; repeats--, left += elements, output += elements) {
        for (int32_t i = 0; i < elements; i++) {
            output[i] = left[i] < right[i] ? left[i] : right[i];
        }
    }
}

void maximum_s16(const int16_t *left,
                 const int16_t *right,
                 int16_t *output,
                 int32_t repeats,
                 int32_t elements)
{
    for (; repeats > 0; repeats--, left += elements, output += elements) {
        for (int32_t i = 0; i < elements; i++) {
            output[i] = left[i] > right[i] ? left[i] : right[i];
        }
    }
}
