#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include "mve_bytes.h"
#include "mve_pixels.h"

/* Where eight inputs of less than eight channels go, from their first pixel's column on. */
static uint16x8_t places_of(const convolve_mve_layer *layer)
{
    uint16_t places[8] = {0};
    const int32_t depth = layer->depth, column_bytes = layer->filter_rows * depth;
    for (int32_t i = 0, column = 0, channel = 0; i < 8; i++) {
        places[i] = (uint16_t)(column + channel);
        if (++channel == depth) {
            channel = 0;
            column += column_bytes;
        }
    }
    return vldrhq_u16(places);
}

/* Moves a row of pixels of less than eight channels to columns: as many whole ones as are in eight bytes at a time. Up
 * to seven bytes behind the row are read. */
static void spread_few(const convolve_mve_layer *layer, int8_t *to, const int8_t *from, int32_t pixels, uint16x8_t places)
{
    const int32_t turn = layer->turn_pixels, turn_bytes = turn * layer->depth;
    const int32_t step = turn * layer->filter_rows * layer->depth;
    int32_t left = pixels * layer->depth;
    for (; left >= 8; left -= turn_bytes, from += turn_bytes, to += step)
        vstrbq_scatter_offset_s16(to, places, vldrbq_s16(from));
    for (; left > 0; left -= turn_bytes, from += turn_bytes, to += step)
        vstrbq_scatter_offset_p_s16(to, places, vldrbq_s16(from), vctp16q((uint32_t)left));
}

/* The same for more channels. */
static void spread_many(const convolve_mve_layer *layer, int8_t *to, const int8_t *from, int32_t pixels)
{
    const int32_t depth = layer->depth, column_bytes = layer->filter_rows * depth;
    if (depth % 16 || depth > 32) {
        for (; pixels > 0; pixels--, to += column_bytes, from += depth)
            mve_copy(to, from, depth);
        return;
    }
    for (int32_t channel = 0; channel < depth; channel += 16) {
        const int8_t *source = from + channel;
        int8_t *place = to + channel;
        for (int32_t i = pixels; i > 0; i--, place += column_bytes, source += depth)
            vstrbq_s8(place, vldrbq_s8(source));
    }
}

/* Copies the input's columns from `column` on to `windows`, each with the rows that a filter covers from `row` on, and
 * padding where they are outside. */
static void copy_columns(const convolve_mve_layer *layer, const int8_t *in, int32_t row, int32_t column, int32_t columns,
                         int8_t *windows, uint16x8_t places)
{
    const int32_t depth = layer->depth, column_bytes = layer->filter_rows * depth;
    const int32_t below = row + layer->filter_rows, behind = column + columns;
    const int32_t first_row = row < 0 ? 0 : row, end_row = below < layer->rows ? below : layer->rows;
    const int32_t first = column < 0 ? 0 : column, end = behind < layer->columns ? behind : layer->columns;

    if (end_row - first_row < layer->filter_rows || end - first < columns)
        mve_fill(windows, vdupq_n_s8((int8_t)layer->padding), columns * column_bytes);
    if (end <= first)
        return;
    windows += (first - column) * column_bytes + (first_row - row) * depth;
    in += (first_row * layer->columns + first) * depth;
    for (int32_t i = first_row; i < end_row; i++, windows += depth, in += layer->columns * depth) {
        if (layer->filter_rows == 1)
            mve_copy(windows, in, (end - first) * depth);
        else if (depth < 8)
            spread_few(layer, windows, in, end - first, places);
        else
            spread_many(layer, windows, in, end - first);
    }
}

void convolve_mve(const convolve_mve_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    int8_t *const windows = (int8_t *)scratch;
    const uint16x8_t places = places_of(layer);
    mve_panels_job job = {
        .x_bytes = layer->column_stride * layer->filter_rows * layer->depth,
        .channels = layer->channels, .steps = layer->steps,
        .one = 1, .zero = layer->zero, .lowest = layer->lowest, .highest = layer->highest};

    for (int32_t y = 0; y < layer->out_rows; y++) {
        const int32_t row = y * layer->row_stride - layer->top;
        for (int32_t x = 0; x < layer->out_columns; x += layer->segment) {
            const int32_t left = layer->out_columns - x;
            const int32_t pixels = left < layer->segment ? left : layer->segment;
            copy_columns(layer, in, row, x * layer->column_stride - layer->left,
                         (pixels - 1) * layer->column_stride + layer->filter_columns, windows, places);
            run_pixels(&job, layer->weights, layer->parameters, windows, out, pixels);
            out += pixels * layer->channels;
        }
    }
}

#endif
