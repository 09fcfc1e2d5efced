#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include "mve_bytes.h"

/* Moves a row of inputs, or of padding, to its place in the planes: eight channels at a time. Up to seven bytes behind
 * the last pixel are read; they go to planes that no output is made of. */
static void move_row(const depthwise_mve_layer *layer, const int8_t *in, int32_t row, int8_t *planes)
{
    const int32_t channels = layer->channels, plane_bytes = layer->plane_bytes;
    const uint16x8_t eight = vmulq_n_u16(vidupq_n_u16(0, 1), (uint16_t)plane_bytes);
    int8_t *to = planes + (row & 3) + 4 * layer->left;

    in += row * layer->columns * channels;
    for (int32_t channel = 0; channel < channels; channel += 8, to += 8 * plane_bytes) {
        const int8_t *from = in + channel;
        int8_t *cell = to;
        if (row < layer->rows) {
            for (int32_t i = layer->moved_columns; i > 0; i--, from += channels, cell += 4)
                vstrbq_scatter_offset_s16(cell, eight, vldrbq_s16(from));
        } else {
            for (int32_t i = layer->moved_columns; i > 0; i--, cell += 4)
                vstrbq_scatter_offset_s16(cell, eight, vdupq_n_s16((int16_t)layer->padding));
        }
    }
}

void depthwise_mve(const depthwise_mve_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    int8_t *const planes = (int8_t *)scratch;
    const int32_t channels = layer->channels;
    int32_t next = 0; /* row that is not yet in the planes */

    mve_fill(planes, vdupq_n_s8((int8_t)layer->padding), (channels + 7) / 8 * 8 * layer->plane_bytes);
    for (int32_t y = 0, row = -layer->top; y < layer->out_rows; y++, row += layer->row_stride) {
        if (next < row)
            next = row;
        for (; next < row + layer->filter_rows; next++)
            move_row(layer, in, next, planes);
        mve_depthwise_job job = {
            .planes = planes, .plane_bytes = layer->plane_bytes,
            .weights = layer->weights, .weight_bytes = layer->weight_bytes,
            .parameters = layer->parameters, .out = out, .left = channels, .channels = channels,
            .one = 1, .zero = layer->zero, .columns = layer->out_columns,
            .offsets = layer->offsets + 16 * (row & 3)};
        layer->kernel(&job);
        out += layer->out_columns * channels;
    }
}

#endif
