#include "tuned.h"

void clamp_s8(int8_t *values, int32_t count, int32_t lowest, int32_t highest)
{
    for (int32_t i = 0; i < count; i++) {
        if (values[i] < lowest)
            values[i] = (int8_t)lowest;
        else if (values[i] > highest)
            values[i] = (int8_t)highest;
    }
}
