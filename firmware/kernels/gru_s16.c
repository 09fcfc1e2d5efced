#include "gates.h"
#include "sigmoid.h"

enum { RESET, UPDATE, NEW, GATES };

/* The new state of a unit from its present one and from what both sides add to its gates. */
static int32_t
unit_step(const recurrence_parameters *p, const int32_t x[GATES], const int32_t h[GATES], int32_t state)
{
    const int32_t m = p->argument_multiplier, shift = p->argument_right_shift;
    const int32_t reset =
        logistic_of(p->table, argument_of(saturated(x[RESET] + h[RESET]), m, shift));
    const int32_t update =
        logistic_of(p->table, argument_of(saturated(x[UPDATE] + h[UPDATE]), m, shift));
    const int32_t sum = saturated(x[NEW] + saturated(share(reset * h[NEW])));
    const int32_t candidate = tanh_of(p->table, argument_of(sum, m, shift));
    /* Half the difference, rounded away from zero. */
    const int32_t difference = state - candidate;
    const int32_t half = saturated((difference + (difference > 0)) >> 1);
    return saturated(candidate + 2 * saturated(share(update * half)));
}

void gru_s16(const recurrence_parameters *p, const void *input, int16_t *output, int16_t *scratch)
{
    int16_t *hidden = scratch, *next = hidden + p->units, *room = next + p->units;
    memset(hidden, 0, (size_t)p->units * sizeof *hidden);
    for (int32_t step = 0; step < p->steps; step++) {
        const int16_t *values = wide_input(p, input, step, room);
        for (int32_t unit = 0; unit < p->units; unit++) {
            int32_t x[4], h[4];
            side_of_unit(x, p->input, GATES, unit, values, p->inputs);
            side_of_unit(h, p->recurrent, GATES, unit, hidden, p->units);
            next[unit] = (int16_t)unit_step(p, x, h, hidden[unit]);
        }
        memcpy(hidden, next, (size_t)p->units * sizeof *hidden);
        memcpy(output, next, (size_t)p->units * sizeof *hidden);
        output += p->last_only ? 0 : p->units;
    }
}
