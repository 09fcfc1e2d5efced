#include "fixedpoint.h"
#include "kernels.h"
#include "window.h"

/* The most products of an int16 and an int8 whose sum certainly fits into int32. */
enum { MOST_PRODUCTS = 511 };

/* The part of a window inside the input: rows of runs of consecutive values. The weights of a row
 * are contiguous. */
typedef struct {
    const int16_t *values;
    int32_t weights; /* offset in a filter */
    int32_t rows;
    int32_t row_step;
    int32_t weight_row_step;
    int32_t runs;
    int32_t run_step;
    int32_t run;
} window;

static inline int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* Four filters, `filter_size` weights apart, at once: each value is loaded only once. */
static void add_run_to_four(int64_t sums[4],
                            const int16_t *value,
                            const int8_t *weights,
                            int32_t run,
                            int32_t filter_size)
{
    const int8_t *second = weights + filter_size;
    const int8_t *third = second + filter_size;
    const int8_t *fourth = third + filter_size;
    for (int32_t left = run; left > 0; left -= MOST_PRODUCTS) {
        const int16_t *end = value + smaller(left, MOST_PRODUCTS);
        int32_t a = 0, b = 0, c = 0, d = 0;
#pragma GCC unroll 2
        while (value < end) {
            const int32_t v = *value++;
            a += v * *weights++;
            b += v * *second++;
            c += v * *third++;
            d += v * *fourth++;
        }
        sums[0] += a;
        sums[1] += b;
        sums[2] += c;
        sums[3] += d;
    }
}

static void add_run(int64_t *sum, const int16_t *value, const int8_t *weights, int32_t run)
{
    for (int32_t left = run; left > 0; left -= MOST_PRODUCTS) {
        const int16_t *end = value + smaller(left, MOST_PRODUCTS);
        int32_t part = 0;
        while (value < end) {
            part += *value++ * *weights++;
        }
        *sum += part;
    }
}

static inline void add_window(int64_t *sums,
                              const window *w,
                              const int8_t *filter,
                              int32_t filter_size,
                              int32_t filters)
{
    for (int32_t i = 0; i < w->rows; i++) {
        const int16_t *values = w->values + i * w->row_step;
        const int8_t *weights = filter + w->weights + i * w->weight_row_step;
        for (int32_t j = 0; j < w->runs; j++, values += w->run_step, weights += w->run) {
            if (filters == 4) {
                add_run_to_four(sums, values, weights, w->run, filter_size);
            } else {
                add_run(sums, values, weights, w->run);
            }
        }
    }
}

void convolve_s16(const cmsis_nn_context *scratch,
                  const cmsis_nn_conv_params *p,
                  const cmsis_nn_per_channel_quant_params *scale,
                  const cmsis_nn_dims *input_dims,
                  const int16_t *input,
                  const cmsis_nn_dims *filter_dims,
                  const int8_t *filter,
                  const cmsis_nn_dims *bias_dims,
                  const int32_t *bias,
                  const cmsis_nn_dims *output_dims,
                  int16_t *output)
{
    (void)scratch;
    (void)bias_dims;
    const int32_t channels = input_dims->c;
    const int32_t depth = filter_dims->c;
    const int32_t outputs_in_group = output_dims->c / (channels / depth);
    const int32_t row_size = input_dims->w * channels;
    const int32_t filter_row_size = filter_dims->w * depth;
    const int32_t filter_size = filter_dims->h * filter_row_size;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows = taps_inside(
            y * p->stride.h - p->padding.h, p->dilation.h, input_dims->h, filter_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++) {
            const taps columns = taps_inside(
                x * p->stride.w - p->padding.w, p->dilation.w, input_dims->w, filter_dims->w);
            const int32_t inside = columns.end - columns.first;
            const int32_t joined = p->dilation.w == 1 && depth == channels;
            window w = {
                .values = input + rows.position * row_size + columns.position * channels,
                .weights = rows.first * filter_row_size + columns.first * depth,
                .rows = rows.end - rows.first,
                .row_step = p->dilation.h * row_size,
                .weight_row_step = filter_row_size,
                .runs = joined ? 1 : inside,
                .run_step = p->dilation.w * channels,
                .run = joined ? inside * depth : depth,
            };
            int32_t left_in_group = outputs_in_group;
            for (int32_t channel = 0; channel < output_dims->c;) {
                const int32_t filters = left_in_group >= 4 ? 4 : 1;
                int64_t sums[4];
                for (int32_t i = 0; i < filters; i++) {
                    sums[i] = bias[channel + i];
                }
                add_window(sums, &w, filter + channel * filter_size, filter_size, filters);
                for (int32_t i = 0; i < filters; i++, channel++) {
                    const int32_t value = multiply_by_reduced(
                        sums[i], scale->multiplier[channel], scale->shift[channel]);
                    *output++ = (int16_t)clamp(value, p->activation.min, p->activation.max);
                }
                left_in_group -= filters;
                if (left_in_group == 0) {
                    left_in_group = outputs_in_group;
                    w.values += depth;
                }
            }
        }
    }
}
