#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* The same as expand_pair, but reads no byte behind the pixels. */
static inline __attribute__((always_inline)) void
expand_last(const int8_t *first, const int8_t *second, word *to, int32_t inputs)
{
    const int32_t whole = inputs & ~3;
    int8_t rest[2][4] = {{0}};

    expand_pair(first, second, to, whole);
    for (int32_t i = whole; i < inputs; i++) {
        rest[0][i - whole] = first[i];
        rest[1][i - whole] = second[i];
    }
    expand_pair(rest[0], rest[1], to + whole, inputs & 3 ? 4 : 0);
}

/* The words of a pair of pixels of which no bytes behind them may be read, and -8 times the sums of their inputs. */
static __attribute__((noinline)) void
expand_last_sums(const int8_t *first, const int8_t *second, word *to, int32_t inputs, int32_t *sums)
{
    expand_last(first, second, to, inputs);
    sums[0] = sums[1] = 0;
    for (int32_t i = 0; i < inputs; i++) {
        sums[0] -= 8 * first[i];
        sums[1] -= 8 * second[i];
    }
}

/* Of the inputs that are too many, the weights are 0. They are in the sums, as what is added to weights of four bits is added
 * to these, too. */
static inline __attribute__((always_inline)) void
run(const conv_pointwise_layer *layer, const int8_t *in, int8_t *out, word *scratch, const bool has_sums)
{
    const int32_t inputs = layer->inputs, group = layer->group, taps = (inputs + 3) & ~3;
    /* Behind the pixels are words of one more: on Cortex-M7 the first of them is read. */
    word *const ram = scratch + (group + 1) * (taps / 2);
    int32_t *const sums = (int32_t *)ram + (layer->panels.weights_in_ram ? layer->panels.panel_words : 0);
    conv_panel_job job = {
        .rows = scratch, .filter_rows = 1, .run_bytes = 4 * taps, .step_bytes = 4 * taps,
        .skipped = -(taps / 2) & 7};

    for (int32_t left = layer->pixels; left > 0; left -= group) {
        const int32_t count = left < group ? left : group;
        for (int32_t i = 0; i < count; i += 2) {
            const int8_t *const first = in + i * inputs;
            const int8_t *const second = i + 1 < count ? first + inputs : first;
            word *const to = scratch + i * (taps / 2);
            const bool is_last = i + 2 >= left;
            if (!has_sums && !is_last)
                expand_pair(first, second, to, taps);
            else if (!has_sums)
                expand_last(first, second, to, inputs);
            else if (!is_last || inputs == taps)
                expand_pair_sums(first, second, to, taps, sums + i);
            else
                expand_last_sums(first, second, to, inputs, sums + i);
        }
        job.rows = scratch;
        run_panels(&layer->panels, &job, count, 1, 0, out, ram);
        in += group * inputs;
        out += group * layer->panels.channels;
    }
}

void conv_pointwise(const conv_pointwise_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    run(layer, in, out, scratch, false);
}

void conv_pointwise_s4(const conv_pointwise_s4_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    run(layer, in, out, scratch, true);
}

#endif
