/* The exponential and the division of softmax, as gemmlowp computes them.
 *
 * Qm.n below: a fixed-point int32 with m integer and n = 31 - m fractional bits. The product of Qa
 * and Qb is Q(a+b). Constants and order of operations are gemmlowp's, or the last bit differs. */
#ifndef HIL_SOFTMAX_H
#define HIL_SOFTMAX_H

#include "fixedpoint.h"
#include "kernels.h"

#define ACCUMULATOR_INTEGER_BITS 12

/* value * 2^exponent, saturated. */
static inline int32_t saturating_shift_left(int32_t value, int32_t exponent)
{
    const int32_t limit = INT32_MAX >> exponent;
    if (value > limit) {
        return INT32_MAX;
    }
    return value < -limit - 1 ? INT32_MIN : shift_left(value, exponent);
}

/* exp(x) in Q0 for x in [-1/4, 0), Q0: the Taylor series to the fourth power around -1/8. */
static inline int32_t exp_small(int32_t x)
{
    const int32_t exp_of_minus_eighth = 1895147668;
    const int32_t one_third = 715827883;
    const int32_t y = x + (1 << 28);
    const int32_t y2 = doubling_high_multiply(y, y);
    const int32_t y3 = doubling_high_multiply(y2, y);
    const int32_t y4 = doubling_high_multiply(y2, y2);
    const int32_t y4_over_4 = rounding_shift_right(y4, 2);
    const int32_t high_terms = rounding_shift_right(
        doubling_high_multiply(y4_over_4 + y3, one_third) + y2, 1);
    return exp_of_minus_eighth + doubling_high_multiply(exp_of_minus_eighth, y + high_terms);
}

/* exp(x) in Q0 for x <= 0 in Q5.26: exp_small of the remainder, times exp(-2^k) by bits of x. */
static int32_t exp_of_nonpositive(int32_t x)
{
    static const int32_t exp_of_minus_power[] = {
        1672461947, /* 2^-2 */
        1302514674, /* 2^-1 */
        790015084,  /* 1 */
        290630308,  /* 2 */
        39332535,   /* 4 */
        720401,     /* 8 */
        242,        /* 16 */
    };
    const int32_t quarter = 1 << 24;
    if (x == 0) {
        return INT32_MAX;
    }
    const int32_t remainder = (x & (quarter - 1)) - quarter;
    const int32_t quarters = (remainder - x) >> 24;
    int32_t result = exp_small(shift_left(remainder, 5));
    for (int32_t k = 0; k < 7; k++) {
        if ((quarters >> k) & 1) {
            result = doubling_high_multiply(result, exp_of_minus_power[k]);
        }
    }
    return result;
}

/* 1 / (1 + x) in Q0 for x in [0, 1), Q0: three Newton-Raphson steps in Q2. */
static inline int32_t reciprocal_of_one_plus(int32_t x)
{
    const int32_t q2_48_over_17 = 1515870810;
    const int32_t q2_minus_32_over_17 = -1010580540;
    const int32_t q2_one = 1 << 29;
    const int32_t half_denominator = (int32_t)(((int64_t)x + INT32_MAX + 1) / 2);
    int32_t y = q2_48_over_17 + doubling_high_multiply(half_denominator, q2_minus_32_over_17);
    for (int32_t step = 0; step < 3; step++) {
        const int32_t error = q2_one - doubling_high_multiply(half_denominator, y);
        y += saturating_shift_left(doubling_high_multiply(y, error), 2);
    }
    /* y / 2 in Q2 is y in Q1. */
    return saturating_shift_left(y, 1);
}

/* 1 / sum of a row's exponentials: scale * 2^-bits_over_unit. */
typedef struct {
    int32_t scale;
    int32_t bits_over_unit;
} row_reciprocal;

/* exp of a difference to the row's maximum, which is at least diff_min; Q0. */
static inline int32_t exp_of_difference(const softmax_s8_parameters *p, int32_t difference)
{
    return exp_of_nonpositive(
        doubling_high_multiply(shift_left(difference, p->left_shift), p->multiplier));
}

static inline int32_t row_maximum(const int8_t *input, int32_t columns)
{
    int32_t maximum = INT8_MIN;
    for (int32_t i = 0; i < columns; i++) {
        maximum = input[i] > maximum ? input[i] : maximum;
    }
    return maximum;
}

static inline row_reciprocal reciprocal_of_row(const softmax_s8_parameters *p,
                                               const int8_t *input,
                                               int32_t columns,
                                               int32_t maximum)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < columns; i++) {
        const int32_t difference = input[i] - maximum;
        if (difference >= p->diff_min) {
            sum += rounding_shift_right(exp_of_difference(p, difference), ACCUMULATOR_INTEGER_BITS);
        }
    }
    /* sum = 2^bits_over_unit * (1 + fraction) */
    const int32_t headroom = __builtin_clz((uint32_t)sum);
    const int32_t fraction = (int32_t)(((uint32_t)sum << headroom) - (UINT32_C(1) << 31));
    return (row_reciprocal){.scale = reciprocal_of_one_plus(fraction),
                            .bits_over_unit = ACCUMULATOR_INTEGER_BITS - headroom};
}

#endif
