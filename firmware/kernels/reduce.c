#include "fixedpoint.h"
#include "kernels.h"

/* For each element of the output the function's body has `first`, the first input of the reduction;
 * EACH_INPUT visits them all as `*value`. */
#define EACH_OUTPUT(type, s)                                                                       \
    const int32_t inner_step = (s)->elements;                                                      \
    const int32_t between_step = (s)->inner * inner_step;                                          \
    const int32_t outer_step = (s)->between * between_step;                                        \
    for (int32_t b = 0; b < (s)->blocks; b++, input += (s)->outer * outer_step)                    \
        for (int32_t m = 0; m < (s)->between; m++)                                                 \
            for (const type *first = input + m * between_step, *end = first + (s)->elements;       \
                 first < end;                                                                      \
                 first++)
#define EACH_INPUT(type, s)                                                                        \
    for (int32_t i = 0; i < (s)->outer; i++)                                                       \
        for (const type *value = first + i * outer_step, *last = value + between_step;             \
             value < last;                                                                         \
             value += inner_step)

static inline int32_t scaled_sum(int32_t sum, const mean_s8_parameters *p)
{
    sum = multiply_by_factor(sum + p->sum_offset, p->multiplier, p->left_shift, p->right_shift);
    return sum + p->output_offset;
}

void sum_s8(const mean_s8_parameters *p, const reduce_shape *s, const int8_t *input, int8_t *output)
{
    EACH_OUTPUT(int8_t, s)
    {
        int32_t sum = 0;
        EACH_INPUT(int8_t, s)
        {
            sum += *value;
        }
        *output++ = (int8_t)clamp(scaled_sum(sum, p), INT8_MIN, INT8_MAX);
    }
}

void sum_s16(const mean_s8_parameters *p,
             const reduce_shape *s,
             const int16_t *input,
             int16_t *output)
{
    EACH_OUTPUT(int16_t, s)
    {
        int32_t sum = 0;
        EACH_INPUT(int16_t, s)
        {
            sum += *value;
        }
        *output++ = (int16_t)clamp(scaled_sum(sum, p), INT16_MIN, INT16_MAX);
    }
}

#define EXTREME(name, type, order)                                                                 \
    void name(const reduce_shape *s, const type *input, type *output)                              \
    {                                                                                              \
        EACH_OUTPUT(type, s)                                                                       \
        {                                                                                          \
            type extreme = *first;                                                                 \
            EACH_INPUT(type, s)                                                                    \
            {                                                                                      \
                extreme = *value order extreme ? *value : extreme;                                 \
            }                                                                                      \
            *output++ = extreme;                                                                   \
        }                                                                                          \
    }

EXTREME(reduce_max_s8, int8_t, >)
EXTREME(reduce_min_s8, int8_t, <)
EXTREME(reduce_max_s16, int16_t, >)
EXTREME(reduce_min_s16, int16_t, <)
