#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* Four channels of a row of tiles: up to two rows of outputs. */
static void write_tiles(const conv_winograd_layer *layer, const word *m, const int32_t *parameters, int32_t rows, int8_t *out)
{
    const int32_t columns = layer->out_columns, channels = layer->channels;

    for (int32_t channel = 0; channel < 4; channel++) {
        const int32_t *const scale = parameters + 4 + 3 * channel;
        winograd_out_job job = {
            .m = m + channel, .out = out + channel, .row_bytes = rows > 1 ? columns * channels : 0,
            .pixel_bytes = channels, .tiles = columns / 2, .bias = 4 * parameters[channel],
            .factor = scale[0], .constant = scale[1], .right_shift = scale[2]};
        if (job.tiles)
            winograd_outputs(&job);
        if (columns & 1) {
            job.m += columns / 2 * 64;
            job.out += (columns - 1) * channels;
            job.pixel_bytes = 0; /* one pixel only */
            job.tiles = 1;
            winograd_outputs(&job);
        }
    }
}

/* Scratch: the ring, the transformed inputs of a row of tiles, the sums of a panel, addresses of rows.
 * On Cortex-M7 a word behind the transformed inputs is read, and one behind the weights. */
void conv_winograd(const conv_winograd_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const row_ring *const ring = &layer->ring;
    const int32_t tiles = layer->tiles, inputs = layer->inputs, channels = layer->channels;
    word *const v = scratch + ring->slots * ring->slot_words;
    word *const m = v + tiles * 8 * inputs;
    word *const rows = m + tiles * 64;
    int32_t filled = 0;

    clear_ring(ring, scratch);
    for (int32_t y = 0; y < layer->out_rows; y += 2) {
        fill_ring(ring, scratch, in, filled, y + 4);
        filled = y + 4;
        ring_rows(ring, scratch, y, 4, 0, rows);
        winograd_inputs(rows, v, tiles, 2 * inputs);
        winograd_job job = {.v = v, .u = layer->weights, .m = m, .tiles = tiles, .inputs = inputs};
        const int32_t *parameters = layer->parameters;
        for (int32_t channel = 0; channel < channels; channel += 4) {
            winograd_products(&job);
            /* The last panel ends at the last channel: it may repeat some of the one before. */
            write_tiles(layer, m, parameters, layer->out_rows - y,
                        out + (channel + 4 <= channels ? channel : channels - 4));
            job.u += 32 * inputs;
            parameters += 16;
        }
        out += 2 * layer->out_columns * channels;
    }
}

#endif
