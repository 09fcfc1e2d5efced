/* Rounding fixed-point arithmetic on int32, as gemmlowp's fixedpoint.h defines it. */
#ifndef HIL_FIXEDPOINT_H
#define HIL_FIXEDPOINT_H

#include <stdint.h>

static inline int32_t clamp(int32_t value, int32_t minimum, int32_t maximum)
{
    value = value < minimum ? minimum : value;
    return value > maximum ? maximum : value;
}

/* High word of 2ab, rounded; a tie goes towards plus infinity. a and b are not both INT32_MIN. */
static inline int32_t doubling_high_multiply(int32_t a, int32_t b)
{
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
}

/* value / 2^exponent, rounded; a tie goes away from zero. 0 <= exponent <= 31. */
static inline int32_t rounding_shift_right(int32_t value, int32_t exponent)
{
    const int32_t mask = (int32_t)((UINT32_C(1) << exponent) - 1);
    const int32_t threshold = (mask >> 1) + (value < 0);
    return (value >> exponent) + ((value & mask) > threshold);
}

/* Left shift that wraps, as the reference's does: through uint32_t, to be defined in C. */
static inline int32_t shift_left(int32_t value, int32_t exponent)
{
    return (int32_t)((uint32_t)value << exponent);
}

/* value * multiplier * 2^(left_shift - right_shift - 31), rounded; one of the shifts is 0. */
static inline int32_t multiply_by_factor(int32_t value,
                                         int32_t multiplier,
                                         int32_t left_shift,
                                         int32_t right_shift)
{
    return rounding_shift_right(doubling_high_multiply(shift_left(value, left_shift), multiplier),
                                right_shift);
}

/* floor((sum * reduced + 2^(right - 1)) / 2^right), as TensorFlow Lite scales the sums of int16
 * activations. |sum| < 2^47, 0 <= reduced < 2^15, 8 <= right <= 46. */
static inline int32_t multiply_by_reduced(int64_t sum, int32_t reduced, int32_t right)
{
    /* Equal to adding 2^(right - 1) and shifting by `right`, with fewer instructions. */
    return (int32_t)(((sum * reduced >> (right - 1)) + 1) >> 1);
}

#endif
