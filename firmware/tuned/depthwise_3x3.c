#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* The edges of the map: P[0] = (padding, row 0), and below an even number of rows (last row, padding). */
static void pack_top(word *cell, const int8_t *row, int32_t count, int32_t step, word padding)
{
    do {
        *cell = padding | (word)*row << 16;
        cell += 2;
        row += step;
    } while (--count);
}

static void pack_bottom(word *cell, const int8_t *row, int32_t count, int32_t step, word padding)
{
    do {
        *cell = padding << 16 | (*row & 0xffff);
        cell += 2;
        row += step;
    } while (--count);
}

static void copy(word *to, const word *from, int32_t count)
{
    do {
        *to = *from;
        to += 2;
        from += 2;
    } while (--count);
}

void depthwise_3x3(const depthwise_3x3_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t height = layer->height, width = layer->width, step = layer->channels;
    const int32_t row = width * step, pitch = 2 * (width + 1), pairs = (height + 1) / 2, block = layer->pairs;
    const word padding = layer->padding & 0xffff, pads = padding << 16 | padding;
    const word *record = layer->records;
    depthwise_channel channel;

    channel.padding = pads;
    channel.width = width;
    channel.step = step;
    for (const int8_t *const end = in + step; in < end; in++, out++, record += DEPTHWISE_RECORD_WORDS) {
        const int8_t *from = in + row;
        int8_t *to = out;
        depthwise_unpack(record, &channel);
        pack_top(scratch + 2, in, width, step, padding);
        for (int32_t left = pairs, rows = height / 2; left > 0; left -= block, rows -= block) {
            const int32_t count = left < block ? left : block;
            /* The last pair's lower row has no row below it; in the last of an odd number of rows it is not there. */
            const int32_t whole = left - 1 < count ? left - 1 : count, full = rows < count ? rows : count;
            scratch[0] = scratch[1] = scratch[pitch] = pads;
            if (whole > 0) {
                channel.row = row;
                depthwise_pack(scratch + 3, from, whole, &channel);
                from += 2 * whole * row;
            }
            if (whole < count) {
                word *const cell = scratch + whole * pitch + 3;
                if (height & 1)
                    for (int32_t x = 0; x < width; x++)
                        cell[2 * x] = pads;
                else
                    pack_bottom(cell, from, width, step, padding);
                cell[2 * width] = pads;
            }
            depthwise_sums(scratch, count * (width + 1), &channel);
            if (full > 0) {
                channel.row = row;
                layer->store(scratch + 2, to, full, &channel);
                to += 2 * full * row;
            }
            if (full < count) {
                channel.row = 0; /* both rows go to the same place, the upper last */
                layer->store(scratch + full * pitch + 2, to, 1, &channel);
            }
            if (count < left)
                copy(scratch + 2, scratch + count * pitch + 2, width);
        }
    }
}

#endif
