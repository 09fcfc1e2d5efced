#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* Bytes 0 and 2, or 1 and 3, are added to the halves of a sum. */
static inline word plus_even(word sum, word bytes)
{
    word result;
    __asm("sxtab16 %0, %1, %2" : "=r"(result) : "r"(sum), "r"(bytes));
    return result;
}
static inline word plus_odd(word sum, word bytes)
{
    word result;
    __asm("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sum), "r"(bytes));
    return result;
}

/* The part of a window that lies in the input. */
typedef struct {
    const int8_t *first;
    int32_t rows, columns, row_bytes, channels;
} window;

static int8_t mean_of(const average_pool_s8_layer *layer, const window *at, int32_t sum)
{
    const int32_t count = at->rows * at->columns;
    const int32_t mean = (sum < 0 ? sum - count / 2 : sum + count / 2) / count;

    return (int8_t)(mean < layer->lowest ? layer->lowest : mean > layer->highest ? layer->highest : mean);
}

static void four_means(const average_pool_s8_layer *layer, const window *at, word even, word odd, int8_t *out)
{
    out[0] = mean_of(layer, at, (int16_t)even);
    out[1] = mean_of(layer, at, (int16_t)odd);
    out[2] = mean_of(layer, at, (int32_t)even >> 16);
    out[3] = mean_of(layer, at, (int32_t)odd >> 16);
}

static void eight_channels(const average_pool_s8_layer *layer, const window *at, int32_t channel, int8_t *out)
{
    const int8_t *row = at->first + channel;
    word even[2] = {0, 0}, odd[2] = {0, 0};

    for (int32_t y = 0; y < at->rows; y++, row += at->row_bytes) {
        const int8_t *pixel = row;
        for (int32_t x = at->columns; x > 0; x--, pixel += at->channels) {
            const word low = *(const loose_word *)pixel, high = *(const loose_word *)(pixel + 4);
            even[0] = plus_even(even[0], low);
            odd[0] = plus_odd(odd[0], low);
            even[1] = plus_even(even[1], high);
            odd[1] = plus_odd(odd[1], high);
        }
    }
    four_means(layer, at, even[0], odd[0], out + channel);
    four_means(layer, at, even[1], odd[1], out + channel + 4);
}

static void one_channel(const average_pool_s8_layer *layer, const window *at, int32_t channel, int8_t *out)
{
    const int8_t *row = at->first + channel;
    int32_t sum = 0;

    for (int32_t y = 0; y < at->rows; y++, row += at->row_bytes) {
        const int8_t *pixel = row;
        for (int32_t x = at->columns; x > 0; x--, pixel += at->channels)
            sum += *pixel;
    }
    out[channel] = mean_of(layer, at, sum);
}

static inline int32_t at_least(int32_t value, int32_t least) { return value < least ? least : value; }
static inline int32_t at_most(int32_t value, int32_t most) { return value > most ? most : value; }

void average_pool_s8(const average_pool_s8_layer *layer, const int8_t *in, int8_t *out)
{
    const int32_t channels = layer->channels;
    window at = {.row_bytes = layer->width * channels, .channels = channels};

    for (int32_t y = 0; y < layer->out_height; y++) {
        const int32_t top = y * layer->stride_y - layer->top, first_row = at_least(top, 0);
        at.rows = at_most(top + layer->filter_rows, layer->height) - first_row;
        for (int32_t x = 0; x < layer->out_width; x++, out += channels) {
            const int32_t left = x * layer->stride_x - layer->left, first_column = at_least(left, 0);
            int32_t channel = 0;
            at.columns = at_most(left + layer->filter_columns, layer->width) - first_column;
            at.first = in + first_row * at.row_bytes + first_column * channels;
            for (; channel + 8 <= channels; channel += 8)
                eight_channels(layer, &at, channel, out);
            for (; channel < channels; channel++)
                one_channel(layer, &at, channel, out);
        }
    }
}

#endif
