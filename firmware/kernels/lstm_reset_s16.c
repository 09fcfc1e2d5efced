#include "gates.h"
#include "sigmoid.h"

enum { INPUT, FORGET, CELL, OUTPUT, GATES };

/* The new hidden state of a unit; updates its cell state. */
static int32_t unit_step(const recurrence_parameters *p,
                         const int32_t x[GATES],
                         const int32_t h[GATES],
                         int16_t *cell)
{
    int32_t arguments[GATES];
    for (int32_t g = 0; g < GATES; g++)
        arguments[g] = argument_of(
            saturated(x[g] + h[g]), p->argument_multiplier, p->argument_right_shift);
    const int32_t added =
        logistic_of(p->table, arguments[INPUT]) * tanh_of(p->table, arguments[CELL]);
    const int32_t scaled = saturated(rounding_shift_right(
        doubling_high_multiply(added, p->update.multiplier), p->update.right_shift));
    const int32_t kept = saturated(share(logistic_of(p->table, arguments[FORGET]) * *cell));
    const int32_t state = saturated(kept + scaled);
    *cell = (int16_t)state;
    const int32_t argument = argument_of(state, p->cell_multiplier, p->cell_right_shift);
    const int32_t gate = logistic_of(p->table, arguments[OUTPUT]);
    return saturated(share(gate * tanh_of(p->table, argument)));
}

void lstm_reset_s16(const recurrence_parameters *p,
                    const void *input,
                    int16_t *output,
                    int16_t *scratch)
{
    int16_t *hidden = scratch, *next = hidden + p->units, *cell = next + p->units;
    int16_t *room = cell + p->units;
    memset(hidden, 0, (size_t)p->units * sizeof *hidden);
    memset(cell, 0, (size_t)p->units * sizeof *cell);
    for (int32_t step = 0; step < p->steps; step++) {
        const int16_t *values = wide_input(p, input, step, room);
        for (int32_t unit = 0; unit < p->units; unit++) {
            int32_t x[4], h[4];
            side_of_unit(x, p->input, GATES, unit, values, p->inputs);
            side_of_unit(h, p->recurrent, GATES, unit, hidden, p->units);
            next[unit] = (int16_t)unit_step(p, x, h, &cell[unit]);
        }
        memcpy(hidden, next, (size_t)p->units * sizeof *hidden);
        memcpy(output, next, (size_t)p->units * sizeof *hidden);
        output += p->last_only ? 0 : p->units;
    }
}
