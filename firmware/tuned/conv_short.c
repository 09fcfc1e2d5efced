#include "short.h"

#pragma GCC optimize("Os") /* it is there for least code */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

/* What micro-kernels read of two channels' weights a and b is a + 256 b: of bytes a and b, a negative a takes 1 from b. */
static word shared_halves(word bytes) { return __usub16(bytes, (bytes & 0x00800080) << 1); }

/* A bit for each byte of the panel says whether it is one of `values` or 0. */
const int8_t *fill_panel(const uint8_t *bits, const int8_t *values, word *panel, int32_t words)
{
    for (word *const end = panel + words; panel < end; panel += 2) {
        int8_t *weight = (int8_t *)panel;
        panel[0] = panel[1] = 0;
        for (uint32_t left = (uint32_t)*bits++ << 24; left != 0;) {
            const int32_t zeros = __builtin_clz(left);
            weight += zeros;
            *weight++ = *values++;
            left = left << zeros << 1;
        }
        panel[0] = shared_halves(panel[0]);
        panel[1] = shared_halves(panel[1]);
    }
    return values;
}

/* The inputs of a window whose first row and column, the latter in bytes, may lie outside: two of each four half-words. */
static void copy_window(const conv_short_layer *layer, const int8_t *in, int32_t row, int32_t column, int16_t *to)
{
    const int32_t row_bytes = layer->row_bytes;
    int32_t step = 1;
    for (int32_t left = layer->filter_rows; left > 0; left--, row++) {
        for (int32_t i = column; i < column + layer->run_bytes; i++) {
            int32_t value = layer->padding;
            if ((uint32_t)row < layer->height && (uint32_t)i < (uint32_t)row_bytes)
                value = in[row * row_bytes + i];
            *to = (int16_t)value;
            to += step;
            step ^= 2; /* 1 and 3 in turn */
        }
    }
}

/* All channels of `count` pixels. */
static void run_short(const conv_short_layer *layer, conv_panel_job *job, int32_t count, int8_t *out, word *panel)
{
    const int32_t channels = layer->channels, words = layer->panel_words;
    const uint8_t *weights = layer->weights;
    const int8_t *values = layer->values;
    int32_t parameters[16];

    job->parameters = parameters;
    job->pairs = count > 1 ? count / 2 : 1;
    job->channels = count > 1 ? channels : 0;
    job->odd = count > 1 ? count & 1 : 0;
    for (int32_t channel = 0; channel < channels; channel += 4) {
        /* The last panel ends at the last channel: it may repeat some of the one before. */
        const int32_t first = channel + 4 <= channels ? channel : channels - 4;
        for (int32_t i = 0; i < 4; i++) {
            const short_scale scale = scale_of(layer->scales + 2 * (first + i), layer->odd);
            parameters[i] = scale.bias;
            parameters[4 + 3 * i] = scale.factor;
            parameters[5 + 3 * i] = scale.constant;
            parameters[6 + 3 * i] = scale.right_shift;
        }
        job->weights = (const word *)weights;
        if (layer->fill) {
            values = layer->fill(weights, values, panel, words);
            job->weights = panel;
        }
        weights += layer->panel_bytes;
        job->out = out + first;
        conv_panel_short(job);
    }
}

/* Scratch: a panel, if it is filled; the windows of `group` pixels. On Cortex-M7 a word behind them is read, and not used. */
void conv_short(const conv_short_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t words = layer->panel_words; /* as many as of two windows */
    word *const windows = scratch + (layer->fill ? words : 0);
    int32_t left = layer->out_height * layer->out_width, held = 0, row = -layer->top, column = layer->left;
    conv_panel_job job = {.rows = windows, .run_bytes = 4 * words, .step_bytes = 4 * words, .skipped = words / 2 & 1};

    for (int32_t x = 0; left > 0; left--) {
        copy_window(layer, in, row, column, (int16_t *)(windows + held / 2 * words + (held & 1)));
        held++;
        column += layer->step_bytes;
        if (++x == layer->out_width) {
            x = 0;
            row += layer->stride;
            column = layer->left;
        }
        if (held == layer->group || left == 1) {
            run_short(layer, &job, held, out, scratch);
            out += held * layer->channels;
            held = 0;
        }
    }
}

#endif
