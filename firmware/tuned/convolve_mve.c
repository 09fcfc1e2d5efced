#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include "mve_bytes.h"
#include "mve_pixels.h"

/* Moves a run of pixels of few channels to columns `column_bytes` apart: as many whole ones as are in eight bytes at a
 * time. Up to seven bytes behind them are read. */
static void spread_few(int8_t *to, int32_t column_bytes, const int8_t *from, int32_t depth, int32_t pixels)
{
    const int32_t turn = 8 / depth;
    uint16_t places[8];
    for (int32_t i = 0; i < 8; i++)
        places[i] = (uint16_t)(i / depth * column_bytes + i % depth);
    const uint16x8_t offsets = vldrhq_u16(places);
    for (int32_t left = pixels * depth; left > 0; left -= turn * depth) {
        vstrbq_scatter_offset_p_s16(to, offsets, vldrbq_s16(from), vctp16q((uint32_t)left));
        from += turn * depth;
        to += turn * column_bytes;
    }
}

static void spread(int8_t *to, int32_t column_bytes, const int8_t *from, int32_t depth, int32_t pixels)
{
    for (; pixels > 0; pixels--, to += column_bytes, from += depth)
        mve_copy(to, from, depth);
}

/* Copies the input's columns from `column` on to `windows`, each with the rows that a filter covers from `row` on, and
 * padding where they are outside. */
static void copy_columns(const convolve_mve_layer *layer, const int8_t *in, int32_t row, int32_t column, int32_t columns,
                         int8_t *windows)
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
            spread_few(windows, column_bytes, in, depth, end - first);
        else
            spread(windows, column_bytes, in, depth, end - first);
    }
}

void convolve_mve(const convolve_mve_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    int8_t *const windows = (int8_t *)scratch;
    const int32_t x_bytes = layer->column_stride * layer->filter_rows * layer->depth;

    for (int32_t y = 0; y < layer->out_rows; y++) {
        const int32_t row = y * layer->row_stride - layer->top;
        for (int32_t x = 0; x < layer->out_columns; x += layer->segment) {
            const int32_t left = layer->out_columns - x;
            const int32_t pixels = left < layer->segment ? left : layer->segment;
            copy_columns(layer, in, row, x * layer->column_stride - layer->left,
                         (pixels - 1) * layer->column_stride + layer->filter_columns, windows);
            mve_panels_job job = {
                .x = windows, .x_bytes = x_bytes, .out = out, .channels = layer->channels, .steps = layer->steps,
                .one = 1, .zero = layer->zero, .lowest = layer->lowest, .highest = layer->highest,
                .weights = layer->weights, .parameters = layer->parameters};
            run_pixels(&job, pixels);
            out += pixels * layer->channels;
        }
    }
}

#endif
