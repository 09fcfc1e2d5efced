/* What the LSTM kernels on int8 and on int16 share: one unit's step, from the sums of its gates. */
#ifndef HIL_LSTM_H
#define HIL_LSTM_H

#include "fixedpoint.h"
#include "kernels.h"
#include "sigmoid.h"

enum lstm_gate_index { LSTM_INPUT, LSTM_FORGET, LSTM_CELL, LSTM_OUTPUT };

static inline int32_t saturated_s16(int32_t value)
{
    return clamp(value, INT16_MIN, INT16_MAX);
}

static inline int32_t lstm_product(int32_t a, int32_t b, const product_factor *factor)
{
    return rounding_shift_right(doubling_high_multiply(a * b, factor->multiplier),
                                factor->right_shift);
}

/* The unit's output before it is clamped to its type; updates its cell state. `gates` are sums. */
static inline int32_t lstm_unit(const lstm_parameters *p, const int32_t gates[4], int16_t *cell)
{
    const uint16_t *table = p->table;
    const int32_t input = logistic_of(table, 3 * gates[LSTM_INPUT]);
    const int32_t forget = logistic_of(table, 3 * gates[LSTM_FORGET]);
    const int32_t candidate = tanh_of(table, 3 * gates[LSTM_CELL]);
    const int32_t output = logistic_of(table, 3 * gates[LSTM_OUTPUT]);
    const int32_t kept = saturated_s16(lstm_product(forget, *cell, &p->forget));
    const int32_t added = saturated_s16(lstm_product(input, candidate, &p->update));
    const int32_t value = clamp(saturated_s16(kept + added), -p->clip, p->clip);
    const int32_t argument = argument_of(value, p->cell_multiplier, p->cell_right_shift);
    *cell = (int16_t)value;
    return p->output_offset + lstm_product(tanh_of(table, argument), output, &p->output);
}

#endif
