/* Arithmetic of the kernels for cores without DSP instructions. */
#ifndef SCALAR_H
#define SCALAR_H

#include "tuned.h"

/* The rounded upper half of sum * factor, |sum| < 2^29. Cortex-M0 multiplies 32 by 32 to 32 bits only: there it
 * is made of four products of signed halves, none of whose sums leaves int32. */
static inline int32_t high_rounded(int32_t sum, int32_t factor)
{
#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
    const int32_t low = (int16_t)sum, high = (sum - low) >> 16;
    const int32_t factor_low = (uint16_t)factor, factor_high = factor >> 16;
    const int32_t middle = low * factor_high + high * factor_low + ((low * factor_low) >> 16);
    return high * factor_high + ((middle + 0x8000) >> 16);
#else
    const int64_t product = (int64_t)sum * factor;
    return (int32_t)(product >> 32) + (int32_t)((uint32_t)product >> 31);
#endif
}

/* A sum as int8: `scale` are factor, constant and right shift, see hil/tuned/requantize.py. */
static inline int8_t requantized(int32_t sum, const int32_t *scale)
{
    const int32_t value = (sum + high_rounded(sum, scale[0]) + (sum >> 31) + scale[1]) >> scale[2];
    return (int8_t)(value < INT8_MIN ? INT8_MIN : value > INT8_MAX ? INT8_MAX : value);
}

#endif
