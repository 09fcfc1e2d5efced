#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

static inline word pair(int32_t lower, int32_t upper)
{
    word result;
    __asm("pkhbt %0, %1, %2, lsl #16" : "=r"(result) : "r"(lower), "r"(upper));
    return result;
}

static inline int32_t scaled(int32_t sum, int32_t factor, int32_t constant, int32_t right_shift)
{
    int32_t result;
    __asm("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(sum), "r"(factor), "r"(constant));
    return __ssat(result >> right_shift, 8);
}

/* The filter's rows 0 and 1 of a column in a word, row 2 of it in a half; likewise the inputs of a column. */
typedef struct {
    word k0, k1, k2;
    int32_t l0, l1, l2;
    int32_t factor, constant, right_shift;
} filter;

/* The outputs of a channel. The last column of three is loaded where `x` is not the last pixel. */
static inline void channel_row(const filter *f, const int8_t *from, int8_t *to, int32_t width, int32_t step, word pads,
                               int32_t bias, int32_t relu)
{
    const word k0 = f->k0, k1 = f->k1, k2 = f->k2;
    const int32_t l0 = f->l0, l1 = f->l1, l2 = f->l2, row = width * step;
    const int32_t factor = f->factor, constant = f->constant, right_shift = f->right_shift, pad = (int16_t)pads;
    word left = pads, middle = pair(from[0], from[row]), right;
    int32_t left2 = pad, middle2 = from[2 * row], right2, sum;

    for (int32_t x = width - 1; x >= 0; x--) {
        sum = __smlad(left, k0, bias);
        sum = __smlabb(left2, l0, sum);
        right = pads;
        right2 = pad;
        if (x > 0) {
            from += step;
            right = pair(from[0], from[row]);
            right2 = from[2 * row];
        }
        sum = __smlad(middle, k1, sum);
        sum = __smlabb(middle2, l1, sum);
        sum = __smlad(right, k2, sum);
        sum = __smlabb(right2, l2, sum);
        left = middle;
        left2 = middle2;
        middle = right;
        middle2 = right2;
        *to = (int8_t)scaled(sum, factor, relu ? constant : constant + (sum >> 31), right_shift);
        to += step;
    }
}

void depthwise_row(const depthwise_row_layer *layer, const int8_t *in, int8_t *out)
{
    const int32_t step = layer->channels;
    const word pads = (word)(layer->padding & 0xffff) * 0x10001;
    const word *record = layer->records;
    depthwise_channel channel;

    for (const int8_t *const end = in + step; in < end; in++, out++, record += DEPTHWISE_RECORD_WORDS) {
        depthwise_unpack(record, &channel);
        const filter f = {
            channel.upper[0], channel.upper[1], channel.upper[2],
            (int32_t)channel.lower[0] >> 16, (int32_t)channel.lower[1] >> 16, (int32_t)channel.lower[2] >> 16,
            channel.factor, channel.constant, channel.right_shift};
        if (layer->relu)
            channel_row(&f, in, out, layer->width, step, pads, channel.bias, 1);
        else
            channel_row(&f, in, out, layer->width, step, pads, channel.bias, 0);
    }
}

#endif
