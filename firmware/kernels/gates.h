/* Sums of the gates of a recurrence: products of int16 values and int8 weights, added up in int32,
 * which no sum leaves. */
#ifndef HIL_GATES_H
#define HIL_GATES_H

#include <string.h>

#include "fixedpoint.h"
#include "kernels.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#elif defined(__ARM_FEATURE_DSP)
#include <arm_acle.h>
#endif

static inline int32_t saturated(int32_t value)
{
    return clamp(value, INT16_MIN, INT16_MAX);
}

/* Adds to sums[g] the products of `count` values with the weights at rows[g], for each of `gates`
 * rows, a constant. Moves the pointers. */
static inline __attribute__((always_inline)) void
add_products(int32_t *sums, const int8_t *rows[], int32_t gates, const int16_t *values, int32_t count)
{
    const int16_t *end = values + count;
#if defined(__ARM_FEATURE_MVE)
    for (int32_t left = count; left > 0; left -= 8, values += 8) {
        const mve_pred16_t inside = vctp16q((uint32_t)left);
        const int16x8_t v = vldrhq_z_s16(values, inside);
#pragma GCC unroll 4
        for (int32_t g = 0; g < gates; g++) {
            sums[g] = vmladavaq_s16(sums[g], v, vldrbq_z_s16(rows[g], inside));
            rows[g] += 8;
        }
    }
    (void)end;
#else
#if defined(__ARM_FEATURE_DSP)
    for (; values + 4 <= end; values += 4) {
        uint32_t low, high;
        memcpy(&low, values, sizeof low);
        memcpy(&high, values + 2, sizeof high);
        /* Values 0 and 2, 1 and 3: the order in which bytes are extended in pairs. */
        const int16x2_t even = (int16x2_t)((low & 0xFFFFU) | high << 16);
        const int16x2_t odd = (int16x2_t)(low >> 16 | (high & 0xFFFF0000U));
#pragma GCC unroll 4
        for (int32_t g = 0; g < gates; g++) {
            uint32_t weights;
            memcpy(&weights, rows[g], sizeof weights);
            sums[g] = __smlad(even, __sxtb16((int8x4_t)weights), sums[g]);
            sums[g] = __smlad(odd, __sxtb16((int8x4_t)(weights >> 8 | weights << 24)), sums[g]);
            rows[g] += 4;
        }
    }
#endif
    while (values < end) {
        const int32_t value = *values++;
#pragma GCC unroll 4
        for (int32_t g = 0; g < gates; g++)
            sums[g] += value * *rows[g]++;
    }
#endif
}

/* What one side adds to each of `gates` gates of a unit, scaled and clamped. */
static inline __attribute__((always_inline)) void side_of_unit(int32_t scaled[4],
                                                               const gate_sums *sides,
                                                               int32_t gates,
                                                               int32_t unit,
                                                               const int16_t *values,
                                                               int32_t count)
{
    const int8_t *rows[4];
    int32_t sums[4];
#pragma GCC unroll 4
    for (int32_t g = 0; g < gates; g++) {
        rows[g] = sides[g].weights + unit * count;
        sums[g] = sides[g].offsets == NULL ? 0 : sides[g].offsets[unit];
    }
    add_products(sums, rows, gates, values, count);
#pragma GCC unroll 4
    for (int32_t g = 0; g < gates; g++)
        scaled[g] =
            saturated(multiply_by_reduced(sums[g], sides[g].multiplier, sides[g].right_shift));
}

/* A product with a number between -1 and 1 in units of 2^-15: times 2^-15, rounded twice as by the
 * factor 2^30 / 2^31 / 2^14. */
static inline int32_t share(int32_t product)
{
    return rounding_shift_right((product + 1) >> 1, 14);
}

/* The input of a step as int16: itself, or int8 values less their zero point, times 128. */
static inline const int16_t *
wide_input(const recurrence_parameters *p, const void *input, int32_t step, int16_t *room)
{
    if (p->wide)
        return (const int16_t *)input + step * p->inputs;
    const int8_t *values = (const int8_t *)input + step * p->inputs;
    for (int32_t i = 0; i < p->inputs; i++)
        room[i] = (int16_t)((values[i] + p->input_offset) * 128);
    return room;
}

#endif
