/* The logistic function and the hyperbolic tangent of int16, interpolated in a table of
 * sigmoid(i / 24) in units of 2^-16: logistic.h and tanh.h of
 * tensorflow/lite/kernels/internal/reference/integer_ops. */
#ifndef HIL_SIGMOID_H
#define HIL_SIGMOID_H

#include <stdint.h>

/* An argument in the table's scale, rounded: value * multiplier / 2^right_shift, of which 12288 are
 * one. */
static inline int32_t argument_of(int32_t value, int32_t multiplier, int32_t right_shift)
{
    return (value * multiplier + (int32_t)((UINT32_C(1) << right_shift) >> 1)) >> right_shift;
}

/* The table at the argument's magnitude: linear between two entries, `saturated` from the last. */
static inline int32_t interpolated(const uint16_t table[256],
                                   int32_t argument,
                                   int32_t fraction_bits,
                                   int32_t saturated)
{
    const int32_t magnitude = argument < 0 ? -argument : argument;
    const int32_t index = magnitude >> fraction_bits;
    if (index >= 255) {
        return saturated;
    }
    const int32_t fraction = magnitude & ((1 << fraction_bits) - 1);
    return (table[index] << fraction_bits) + fraction * (table[index + 1] - table[index]);
}

/* 1 / (1 + exp(-x)) in units of 2^-15. */
static inline int32_t logistic_of(const uint16_t table[256], int32_t argument)
{
    const int32_t value = interpolated(table, argument, 9, 0x7FFF << 10);
    return (argument < 0 ? (1 << 25) - value + 511 : value + 512) >> 10;
}

/* tanh(x) in units of 2^-15. */
static inline int32_t tanh_of(const uint16_t table[256], int32_t argument)
{
    const int32_t value = interpolated(table, argument, 8, 0xFFFF << 8) - (1 << 23);
    return (argument < 0 ? 127 - value : value + 128) >> 8;
}

#endif
