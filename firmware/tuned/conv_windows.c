#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* Where the row of a filter begins in the input, in columns and rows; both may lie outside. */
typedef struct {
    int32_t row, column;
} place;

/* The window of an output, `pixel` in the order of the outputs. */
static place window_of(const conv_windows_layer *layer, int32_t pixel)
{
    const int32_t y = pixel / layer->out_width, x = pixel - y * layer->out_width;
    return (place){y * layer->stride_y - layer->top, x * layer->stride_x - layer->left};
}

/* The address of a filter row's inputs; NULL if some are padding, or if a byte behind the input would be read. */
static const int8_t *inputs_at(const conv_windows_layer *layer, const int8_t *in, place at, int32_t run)
{
    const int32_t first = (at.row * layer->width + at.column) * layer->depth;
    const bool is_inside = at.row >= 0 && at.row < layer->height && at.column >= 0 &&
                           at.column + layer->filter_columns <= layer->width &&
                           first + run <= layer->height * layer->width * layer->depth;
    return is_inside ? in + first : 0;
}

/* One of two pixels, an input at a time: of a quad the words (0, 2) and (1, 3), of each pixel in turn. */
static void expand_edge(const conv_windows_layer *layer, const int8_t *in, place at, int32_t run, int16_t *to)
{
    const int32_t depth = layer->depth;
    int32_t first = -at.column * depth, end = (layer->width - at.column) * depth;
    const int8_t *const row = in + (at.row * layer->width + at.column) * depth;

    if (at.row < 0 || at.row >= layer->height)
        end = first;
    if (end > layer->filter_columns * depth)
        end = layer->filter_columns * depth;
    for (int32_t i = 0; i < run; i++) {
        const int16_t value = (int16_t)(i >= first && i < end ? row[i] : layer->padding);
        to[(i & ~3) * 2 + (i & 1) * 4 + ((i >> 1) & 1)] = value;
    }
}

/* Scratch: the windows of `group` pixels, what panels need. On Cortex-M7 a word behind the windows is read, and not used. */
void conv_windows(const conv_windows_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t group = layer->group, run = (layer->filter_columns * layer->depth + 3) & ~3;
    const int32_t words = layer->filter_rows * run / 2; /* of a window */
    const int32_t pixels = layer->out_height * layer->out_width;
    word *const ram = scratch + group * words;
    conv_panel_job job = {
        .filter_rows = 1, .run_bytes = 8 * words, .step_bytes = 8 * words, .skipped = -words & 7};

    for (int32_t pixel = 0; pixel < pixels; pixel += group) {
        const int32_t left = pixels - pixel, count = left < group ? left : group;
        word *to = scratch;
        for (int32_t i = 0; i < count; i += 2) {
            place first = window_of(layer, pixel + i);
            place second = i + 1 < count ? window_of(layer, pixel + i + 1) : first;
            for (int32_t row = layer->filter_rows; row > 0; row--, first.row++, second.row++, to += run) {
                const int8_t *const a = inputs_at(layer, in, first, run), *const b = inputs_at(layer, in, second, run);
                if (a && b) {
                    expand_pair(a, b, to, run);
                } else {
                    expand_edge(layer, in, first, run, (int16_t *)to);
                    expand_edge(layer, in, second, run, (int16_t *)to + 2);
                }
            }
        }
        job.rows = scratch;
        run_panels(&layer->panels, &job, count, 1, 0, out, ram);
        out += count * layer->panels.channels;
    }
}

#endif
