#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

void clamp_s8(int8_t *values, int32_t count, int32_t lowest, int32_t highest)
{
    const int8x16_t low = vdupq_n_s8((int8_t)lowest), high = vdupq_n_s8((int8_t)highest);
    for (; count > 0; count -= 16, values += 16) {
        const mve_pred16_t there = vctp8q((uint32_t)count);
        const int8x16_t limited = vminq_s8(vmaxq_s8(vldrbq_z_s8(values, there), low), high);
        vstrbq_p_s8(values, limited, there);
    }
}

#else

void clamp_s8(int8_t *values, int32_t count, int32_t lowest, int32_t highest)
{
    for (int32_t i = 0; i < count; i++) {
        if (values[i] < lowest)
            values[i] = (int8_t)lowest;
        else if (values[i] > highest)
            values[i] = (int8_t)highest;
    }
}

#endif
