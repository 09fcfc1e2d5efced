#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* A row of cells of which row 0 or row 2 of the window is padding: the row beside it is read in its place. */
static void pack_edge(const depthwise_3x3_stride2_layer *layer, depthwise_channel *channel, word *cell,
                      const int8_t *middle, int32_t has_above, int32_t has_below)
{
    channel->down1 = has_above ? channel->row : 0;
    channel->down2 = has_below ? channel->row : 0;
    depthwise_pack_stride2(cell, middle - channel->down1, 1, channel);
    for (int32_t x = 0; x <= layer->out_width; x++, cell += 3) {
        if (!has_above) {
            cell[0] = (cell[0] & 0xffff0000) | (channel->padding & 0xffff);
            cell[1] = (cell[1] & 0xffff0000) | (channel->padding & 0xffff);
        }
        if (!has_below)
            cell[2] = channel->padding;
    }
}

/* Rows of outputs from `y` on: `count` rows of cells. */
static void pack(const depthwise_3x3_stride2_layer *layer, depthwise_channel *channel, word *cell, const int8_t *in,
                 int32_t y, int32_t count)
{
    const int32_t pitch = 3 * (layer->out_width + 1), row = channel->row;
    for (int32_t j = 0; j < count;) {
        const int32_t top = 2 * (y + j) - layer->top, below = layer->height - 3 - top;
        if (top >= 0 && below >= 0) {
            const int32_t whole = below / 2 + 1, rows = count - j < whole ? count - j : whole;
            channel->down1 = channel->down2 = row;
            depthwise_pack_stride2(cell + j * pitch, in + top * row, rows, channel);
            j += rows;
        } else {
            pack_edge(layer, channel, cell + j * pitch, in + (top + 1) * row, top >= 0, below >= 0);
            j++;
        }
    }
}

void depthwise_3x3_stride2(const depthwise_3x3_stride2_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t width = layer->out_width, step = layer->channels;
    word *const cells = scratch + 3;
    depthwise_channel channel;

    channel.padding = (word)(layer->padding & 0xffff) * 0x10001;
    channel.width = width;
    channel.step = step;
    channel.row = layer->width * step;
    channel.pad_left = layer->left;
    channel.pad_right = 2 * width - layer->left >= layer->width;
    for (int32_t c = 0; c < step; c++) {
        depthwise_unpack(layer->records + DEPTHWISE_RECORD_WORDS * c, &channel);
        /* (w1, w2) of each column to w2 of columns 0 and 1, and of column 2. */
        channel.lower[0] = channel.lower[0] >> 16 | (channel.lower[1] & 0xffff0000);
        channel.lower[1] = channel.lower[2] >> 16;
        for (int32_t y = 0; y < layer->out_height; y += layer->rows) {
            const int32_t left = layer->out_height - y, count = left < layer->rows ? left : layer->rows;
            pack(layer, &channel, cells, in + c, y, count);
            depthwise_sums_stride2(cells, count * (width + 1) - 1, &channel);
            layer->store(cells, out + y * width * step + c, count, &channel);
        }
    }
}

#endif
