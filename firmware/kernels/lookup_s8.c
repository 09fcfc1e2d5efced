#include "kernels.h"

void lookup_s8(const int8_t table[256], const int8_t *input, int8_t *output, int32_t elements)
{
#pragma GCC unroll 4
    for (int32_t i = 0; i < elements; i++) {
        output[i] = table[(uint8_t)input[i]];
    }
}
