#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

static int8_t scaled(const depthwise_channel *channel, int32_t sum, int32_t relu)
{
    int32_t result, constant = relu ? channel->constant : channel->constant + (sum >> 31);
    __asm("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(sum), "r"(channel->factor), "r"(constant));
    return (int8_t)__ssat(result >> channel->right_shift, 8);
}

/* A column is (row 0, row 1) in a word, and row 2. */
void depthwise_row(const depthwise_row_layer *layer, const int8_t *in, int8_t *out)
{
    const int32_t step = layer->channels, width = layer->width, row = width * step, relu = layer->relu;
    const int32_t pad = layer->padding;
    const word *record = layer->records;
    const word pads = (word)(pad & 0xffff) * 0x10001;
    depthwise_channel channel;

    for (const int8_t *const end = in + step; in < end; in++, out++, record += DEPTHWISE_RECORD_WORDS) {
        const int8_t *from = in;
        int8_t *to = out;
        word left = pads, middle;
        int32_t left2 = pad, middle2;

        depthwise_unpack(record, &channel);
        const word upper0 = channel.upper[0], upper1 = channel.upper[1], upper2 = channel.upper[2];
        const int32_t lower0 = (int32_t)channel.lower[0] >> 16, lower1 = (int32_t)channel.lower[1] >> 16;
        const int32_t lower2 = (int32_t)channel.lower[2] >> 16;
        middle = (word)(uint16_t)from[0] | (word)from[row] << 16;
        middle2 = from[2 * row];
        for (int32_t x = width; x > 0; x--) {
            word right = pads;
            int32_t right2 = pad, sum = channel.bias;
            if (x > 1) {
                from += step;
                right = (word)(uint16_t)from[0] | (word)from[row] << 16;
                right2 = from[2 * row];
            }
            sum = __smlad(left, upper0, sum) + left2 * lower0;
            sum = __smlad(middle, upper1, sum) + middle2 * lower1;
            sum = __smlad(right, upper2, sum) + right2 * lower2;
            *to = scaled(&channel, sum, relu);
            to += step;
            left = middle;
            left2 = middle2;
            middle = right;
            middle2 = right2;
        }
    }
}

#endif
