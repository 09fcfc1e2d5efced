#include <string.h>

#include "fixedpoint.h"
#include "kernels.h"

static inline int32_t scaled(int32_t sum, const scale_factor *factor)
{
    return multiply_by_factor(sum, factor->multiplier, factor->left_shift, factor->right_shift);
}

/* The newest value of a filter's state. */
static inline int16_t feature(const svdf_parameters *p,
                              const int8_t *input,
                              const int8_t *weights,
                              int32_t offset)
{
    int32_t sum = offset;
#pragma GCC unroll 4
    for (int32_t i = 0; i < p->inputs; i++)
        sum += input[i] * weights[i];
    /* Not clamped again, as in the reference: it wraps. */
    return (int16_t)(clamp(scaled(sum, &p->feature), INT16_MIN, INT16_MAX) + p->state_offset);
}

void svdf_s16(const svdf_parameters *parameters,
              const int8_t *input,
              const int16_t *state,
              const int8_t *feature_weights,
              const int32_t *feature_offsets,
              const int16_t *time_weights,
              const int32_t *output_offsets,
              int8_t *output,
              int16_t *next_state)
{
    const svdf_parameters p = *parameters;
    const int32_t values = p.units * p.rank * p.memory;
    memmove(next_state, state + 1, (size_t)(values - 1) * sizeof *state);
    for (int32_t unit = 0; unit < p.units; unit++) {
        uint32_t sum = (uint32_t)output_offsets[unit]; /* wraps */
        for (int32_t i = 0; i < p.rank; i++) {
            next_state[p.memory - 1] = feature(&p, input, feature_weights, *feature_offsets);
            for (int32_t j = 0; j < p.memory; j++)
                sum += (uint32_t)(next_state[j] * time_weights[j]);
            next_state += p.memory;
            time_weights += p.memory;
            feature_weights += p.inputs;
            feature_offsets++;
        }
        const int32_t value = scaled((int32_t)sum, &p.output) + p.output_offset;
        output[unit] = (int8_t)clamp(value, INT8_MIN, INT8_MAX);
    }
}
