#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

/* Two neighboring columns: halves of a word that need not lie on a word's boundary. */
typedef struct __attribute__((packed)) { uint32_t value; } __attribute__((may_alias)) columns;

static int32_t scale(int32_t sum, const int32_t *record, int32_t relu)
{
    int32_t result, constant = relu ? record[2] : record[2] + (sum >> 31);
    __asm("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(sum), "r"(record[1]), "r"(constant));
    return __ssat(result >> record[3], 8);
}

static void expand(const int8_t *in, int16_t *to, int32_t count, int32_t step)
{
    for (; count >= 4; count -= 4, to += 4) {
        const int16_t a = in[0], b = in[step], c = in[2 * step], d = in[3 * step];
        in += 4 * step;
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
    }
    for (; count > 0; count--, in += step)
        *to++ = *in;
}

/* Four outputs of a row, the first of which begins at column `x` of the expanded rows. */
static void four_sums(const depthwise_rows_layer *layer, int16_t *const *rows, int32_t x, const word *weights, int32_t *sums)
{
    const int32_t stride = layer->stride_x, bias = sums[0];
    int32_t a = bias, b = bias, c = bias, d = bias;
    for (int32_t row = 0; row < layer->filter_rows; row++) {
        const int16_t *from = rows[row] + x;
        const int16_t *const end = from + layer->filter_columns;
        do {
            const uint32_t pair = *weights++;
            a = __smlad(((const columns *)from)->value, pair, a);
            b = __smlad(((const columns *)(from + stride))->value, pair, b);
            c = __smlad(((const columns *)(from + 2 * stride))->value, pair, c);
            d = __smlad(((const columns *)(from + 3 * stride))->value, pair, d);
            from += 2;
        } while (from < end);
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

static void row_of_outputs(const depthwise_rows_layer *layer, int16_t *const *rows, const word *record, int8_t *out)
{
    const int32_t *scales = (const int32_t *)(record + layer->filter_words);
    for (int32_t x = 0; x < layer->out_width; x += 4) {
        const int32_t left = layer->out_width - x, count = left < 4 ? left : 4;
        int32_t sums[4] = {scales[0]};
        four_sums(layer, rows, x * layer->stride_x, record, sums);
        for (int32_t i = 0; i < count; i++, out += layer->out_step)
            *out = (int8_t)scale(sums[i], scales, layer->relu);
    }
}

void depthwise_rows(const depthwise_rows_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t taps = layer->filter_rows, pitch = layer->pitch;
    int16_t **const rows = (int16_t **)scratch;
    int16_t *const ring = (int16_t *)(rows + taps), *const padding = ring + taps * pitch;
    const word *record = layer->records;

    for (int32_t i = 0; i < (taps + 1) * pitch; i++)
        ring[i] = (int16_t)layer->padding;
    for (int32_t c = 0; c < layer->channels; c++, record += layer->filter_words + 4) {
        int32_t next = 0; /* row of the input to expand */
        for (int32_t y = 0; y < layer->out_height; y++) {
            const int32_t top = y * layer->stride_y - layer->top;
            if (next < top)
                next = top;
            for (; next < top + taps && next < layer->height; next++)
                expand(in + next * layer->in_row + c, ring + next % taps * pitch + layer->left, layer->width, layer->in_step);
            for (int32_t i = 0; i < taps; i++)
                rows[i] = top + i < 0 || top + i >= layer->height ? padding : ring + (top + i) % taps * pitch;
            row_of_outputs(layer, rows, record, out + y * layer->out_row + c);
        }
    }
}

#endif
