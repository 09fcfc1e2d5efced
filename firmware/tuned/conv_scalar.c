#include <string.h>

#include "tuned.h"

/* Of both pixels of a pair the values first[i] + 65536 * second[i]. */
static word *pack_run(const int8_t *first, const int8_t *second, word *to, int32_t count)
{
    for (; count >= 4; count -= 4, first += 4, second += 4, to += 4) {
        to[0] = (word)first[0] + ((word)second[0] << 16);
        to[1] = (word)first[1] + ((word)second[1] << 16);
        to[2] = (word)first[2] + ((word)second[2] << 16);
        to[3] = (word)first[3] + ((word)second[3] << 16);
    }
    for (; count > 0; count--)
        *to++ = (word)*first++ + ((word)*second++ << 16);
    return to;
}

/* A pixel of the output: its number, and the row and column of the input where its window starts. */
typedef struct {
    int32_t column, row, at;
} window;

static void next_window(const conv_scalar_layer *layer, window *w)
{
    w->at += layer->stride_columns;
    if (++w->column == layer->out_columns) {
        w->column = 0;
        w->at = -layer->left;
        w->row += layer->stride_rows;
    }
}

/* Where the inputs of one tap are: `border`, which holds zero points, outside of the input. */
static const int8_t *tap(const conv_scalar_layer *layer, const int8_t *in, const int8_t *border, int32_t row,
                         int32_t column)
{
    if ((uint32_t)row >= (uint32_t)layer->rows || (uint32_t)column >= (uint32_t)layer->columns)
        return border;
    return in + (row * layer->columns + column) * layer->depth;
}

static bool inside(const conv_scalar_layer *layer, const window *w)
{
    return w->at >= 0 && w->at + layer->filter_columns <= layer->columns;
}

/* The windows of two pixels, packed, in the order of the weights. */
static void pack_windows(const conv_scalar_layer *layer, const int8_t *in, const int8_t *border,
                         const window *first, const window *second, word *to)
{
    const bool whole_rows = layer->dilation_columns == 1 && inside(layer, first) && inside(layer, second);
    const int32_t steps = whole_rows ? 1 : layer->filter_columns;
    const int32_t run = whole_rows ? layer->filter_columns * layer->depth : layer->depth;

    for (int32_t row = 0; row < layer->filter_rows; row++) {
        const int32_t down = row * layer->dilation_rows;
        for (int32_t step = 0; step < steps; step++) {
            const int32_t right = step * layer->dilation_columns;
            to = pack_run(tap(layer, in, border, first->row + down, first->at + right),
                          tap(layer, in, border, second->row + down, second->at + right), to, run);
        }
    }
}

void conv_scalar(const conv_scalar_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t channels = layer->channels;
    int8_t *const border = (int8_t *)(scratch + 2 * layer->pairs);
    window first = {.column = 0, .row = -layer->top, .at = -layer->left};

    memset(border, layer->zero_point, (size_t)layer->border_bytes);
    scratch[2 * layer->pairs - 1] = 0; /* the tap that makes their number even */
    for (int32_t left = layer->pixels; left > 0; left -= 2) {
        window second = first;
        if (left > 1)
            next_window(layer, &second);
        pack_windows(layer, in, border, &first, &second, scratch);
        conv_scalar_job job = {
            .x = scratch, .weights = layer->weights, .parameters = layer->parameters, .out = out,
            .next_pixel = left > 1 ? channels : 0, .channels = channels & ~1, .pairs = layer->pairs};
        conv_channels(&job);
        if (channels & 1) { /* the last one again with the one before */
            job.weights += channels / 2 * layer->pairs;
            job.parameters += channels / 2 * 8;
            job.out += channels - 2;
            job.channels = 2;
            conv_channels(&job);
        }
        first = second;
        next_window(layer, &first);
        out += 2 * channels;
    }
}
