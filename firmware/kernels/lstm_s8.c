#include <string.h>

#include "lstm.h"

/* offset + the sum of products of values and weights. */
static inline int32_t dot(const int8_t *values,
                          const int8_t *weights,
                          int32_t count,
                          int32_t offset)
{
    int32_t sum = offset;
#pragma GCC unroll 4
    for (int32_t i = 0; i < count; i++)
        sum += values[i] * weights[i];
    return sum;
}

/* The sum scaled to units of 2^-12. */
static inline int32_t scaled(int32_t sum, const scale_factor *factor)
{
    return saturated_s16(
        multiply_by_factor(sum, factor->multiplier, factor->left_shift, factor->right_shift));
}

static void step(const lstm_parameters *p,
                 const int8_t *input,
                 const int8_t *hidden,
                 int16_t *cell,
                 int8_t *output)
{
    for (int32_t unit = 0; unit < p->units; unit++) {
        int32_t sums[4];
        for (int32_t gate = 0; gate < 4; gate++) {
            const lstm_gate *g = &p->gates[gate];
            const int32_t own = dot(input, g->input_weights + unit * p->inputs, p->inputs,
                                    g->input_offsets[unit]);
            const int32_t recurrent = dot(hidden, g->recurrent_weights + unit * p->units, p->units,
                                          g->recurrent_offsets[unit]);
            sums[gate] = saturated_s16(scaled(own, &g->input) + scaled(recurrent, &g->recurrent));
        }
        output[unit] = (int8_t)clamp(lstm_unit(p, sums, &cell[unit]), INT8_MIN, INT8_MAX);
    }
}

void lstm_s8(const lstm_parameters *parameters,
             const int8_t *input,
             const int8_t *hidden,
             const int16_t *cell,
             int8_t *output,
             int8_t *next_hidden,
             int16_t *next_cell)
{
    const lstm_parameters *p = parameters;
    memmove(next_cell, cell, (size_t)p->units * sizeof *cell);
    for (int32_t i = 0; i < p->steps; i++) {
        step(p, input, hidden, next_cell, output);
        hidden = output;
        input += p->inputs;
        output += p->units;
    }
    memcpy(next_hidden, hidden, (size_t)p->units * sizeof *hidden);
}
