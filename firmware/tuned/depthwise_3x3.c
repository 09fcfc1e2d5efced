#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

/* Weights in flash take three bytes a column, so that a word has room for a fourth: see hil/tuned/depthwise_records.py. */
static void unpack(const word *record, depthwise_channel *channel)
{
    for (int32_t column = 0; column < 3; column++) {
        const uint32_t bytes = record[column];
        uint32_t outer = __sxtb16(bytes), inner = __sxtb16(bytes >> 8 | bytes << 24); /* (w0, w2), (w1, ...) */
        outer = __sadd16(outer, outer);
        inner = __sadd16(inner, inner);
        channel->upper[column] = (outer & 0xffff) | inner << 16;
        channel->lower[column] = (inner & 0xffff) | (outer & 0xffff0000);
    }
    const int32_t right = (int32_t)record[0] >> 24, zero_point = (int32_t)record[1] >> 24;
    channel->bias = (int32_t)record[3];
    channel->factor = (int32_t)record[4];
    channel->constant = (2 * zero_point + 1) * (1 << (right - 1));
    channel->right = right;
}

static word pack(int32_t upper, int32_t lower) { return (word)(upper & 0xffff) | (word)lower << 16; }

void depthwise_3x3(const depthwise_3x3_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t height = layer->height, width = layer->width, step = layer->channels;
    const int32_t row = width * step, pitch = 2 * (width + 1), pairs = (height + 1) / 2;
    depthwise_channel channel;

    const word pads = pack(layer->padding, layer->padding);
    channel.padding = pads;
    channel.width = width;
    channel.step = step;
    for (int32_t c = 0; c < step; c++) {
        const int8_t *from = in + c, *const last = from + (height - 1) * row;
        int8_t *to = out + c;
        unpack(layer->records + DEPTHWISE_RECORD_WORDS * c, &channel);
        for (int32_t x = 0; x < width; x++, from += step)
            scratch[2 * x + 2] = pack(layer->padding, *from);
        for (int32_t pair = 0; pair < pairs; pair += layer->pairs) {
            const int32_t left = pairs - pair, count = left < layer->pairs ? left : layer->pairs;
            /* Row 2 * (pair + j) of the input is there for j <= whole, as row 2 * (pair + j) + 1 of the output for j < full. */
            const int32_t whole = left - 1 < count ? left - 1 : count;
            const int32_t full = height / 2 - pair < count ? height / 2 - pair : count;
            channel.row = row;
            if (whole > 0)
                layer->pack(scratch + 3, from, whole, &channel);
            from += 2 * whole * row;
            scratch[0] = scratch[1] = scratch[pitch] = pads;
            if (whole < count) {
                word *cell = scratch + whole * pitch + 3;
                const int8_t *bottom = last;
                for (int32_t x = 0; x < width; x++, cell += 2, bottom += step)
                    *cell = height & 1 ? pads : pack(*bottom, layer->padding);
                *cell = pads;
            }
            depthwise_sums(scratch, count * (width + 1), &channel);
            if (full > 0)
                layer->store(scratch + 2, to, full, &channel);
            to += 2 * full * row;
            if (full < count) {
                channel.row = 0; /* no lower row */
                layer->store(scratch + full * pitch + 2, to, 1, &channel);
            }
            if (count < left)
                for (int32_t x = 0; x < width; x++)
                    scratch[2 * x + 2] = scratch[count * pitch + 2 * x + 2];
        }
    }
}

#endif
