#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include "mve_bytes.h"

/* Moves a row of inputs, or of padding, to its place in the planes: eight channels at a time. Up to seven bytes behind
 * the last pixel are read; they go to planes that no output is made of. */
static void move_row(const depthwise_mve_layer *layer, const int8_t *in, int32_t row, int32_t channels, int8_t *planes)
{
    const int32_t pixel_bytes = layer->channels, plane_bytes = layer->plane_bytes;
    const uint16x8_t eight = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)plane_bytes);
    int8_t *to = planes + (row & 3) + 4 * layer->left;

    in += row * layer->columns * pixel_bytes;
    for (int32_t channel = 0; channel < channels; channel += 8, to += 8 * plane_bytes) {
        const int8_t *from = in + channel;
        int8_t *cell = to;
        if (row < layer->rows) {
            for (int32_t i = layer->moved_columns; i > 0; i--, from += pixel_bytes, cell += 4)
                vstrbq_scatter_offset_s16(cell, eight, vldrbq_s16(from));
        } else {
            for (int32_t i = layer->moved_columns; i > 0; i--, cell += 4)
                vstrbq_scatter_offset_s16(cell, eight, vdupq_n_s16((int16_t)layer->padding));
        }
    }
}

/* The outputs of `count` channels from `first` on. */
static void run_channels(const depthwise_mve_layer *layer, const int8_t *in, int8_t *out, int8_t *planes, int32_t first,
                         int32_t count)
{
    int32_t next = 0; /* row that is not yet in the planes */

    in += first;
    out += first;
    mve_fill(planes, vdupq_n_s8((int8_t)layer->padding), (count + 7) / 8 * 8 * layer->plane_bytes);
    for (int32_t y = 0, row = -layer->top; y < layer->out_rows; y++, row += layer->row_stride) {
        if (next < row)
            next = row;
        for (; next < row + layer->filter_rows; next++)
            move_row(layer, in, next, count, planes);
        mve_depthwise_job job = {
            .planes = planes, .plane_bytes = layer->plane_bytes,
            .weights = layer->weights + first * layer->weight_bytes, .weight_bytes = layer->weight_bytes,
            .parameters = layer->parameters + 3 * first, .out = out, .left = count, .channels = layer->channels,
            .one = 1, .zero = layer->zero, .columns = layer->out_columns,
            .offsets = layer->offsets + 16 * (row & 3)};
        layer->kernel(&job);
        out += layer->out_columns * layer->channels;
    }
}

void depthwise_mve(const depthwise_mve_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    for (int32_t first = 0; first < layer->channels; first += layer->block) {
        const int32_t left = layer->channels - first;
        run_channels(layer, in, out, (int8_t *)scratch, first, left < layer->block ? left : layer->block);
    }
}

#endif
