#include "short.h"

#pragma GCC optimize("Os") /* it is there for least code */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

static word pair_of(int32_t low, int32_t high) { return (low & 0xffff) | (word)high << 16; }

static short_row row_of(const depthwise_short_layer *layer, const int8_t *weights, short_scale scale)
{
    return (short_row){
        .pitch_bytes = 2 * layer->pitch,
        .weights = {pair_of(weights[0], weights[1]), pair_of(weights[3], weights[4]), pair_of(weights[6], weights[7])},
        .third = pair_of(weights[2], weights[5]),
        .last_third_and_shift = pair_of(scale.right_shift, weights[8]),
        .factor = scale.factor,
        .constant = scale.constant,
        .out_step = layer->channels,
        .bias = scale.bias,
        .stride_bytes = 2 * layer->stride_x,
        .out_bytes = layer->out_width * layer->channels,
    };
}

static void expand_channel(const depthwise_short_layer *layer, const int8_t *in, int16_t *row)
{
    const int32_t channels = layer->channels, pitch = layer->pitch;
    for (int32_t y = layer->height; y > 0; y--, row += pitch) {
        int16_t *to = row;
        int16_t *const end = to + layer->width;
        do {
            *to++ = *in;
            in += channels;
        } while (to != end);
    }
}

void depthwise_short(const depthwise_short_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    int16_t *const map = (int16_t *)scratch;

    for (int32_t i = 0; i < layer->map; i++)
        map[i] = layer->padding;
    for (int32_t c = 0; c < layer->channels; c++) {
        const short_scale scale = scale_of(layer->scales + 2 * c, layer->odd);
        const short_row row = row_of(layer, layer->weights + 9 * c, scale);
        const int16_t *upper = map;
        int8_t *to = out + c;

        expand_channel(layer, in + c, map + layer->first);
        for (int32_t y = layer->out_height; y > 0; y--, to += row.out_bytes) {
            depthwise_short_row(upper, to, &row);
            upper += layer->stride_y * layer->pitch;
        }
    }
}

#endif
