/* Convolutions whose weights have a zero point: those of networks in uint8 quantization. */
#include "fixedpoint.h"
#include "kernels.h"
#include "window.h"

static inline int8_t output_of(int32_t sum,
                               int32_t channel,
                               const cmsis_nn_per_channel_quant_params *scale,
                               int32_t output_offset,
                               const cmsis_nn_activation *range)
{
    const int32_t shift = scale->shift[channel];
    const int32_t value = multiply_by_factor(sum,
                                             scale->multiplier[channel],
                                             shift > 0 ? shift : 0,
                                             shift > 0 ? 0 : -shift);
    return (int8_t)clamp(value + output_offset, range->min, range->max);
}

/* The part of a window inside the input, and how it is passed through. */
typedef struct {
    const int8_t *input;
    int32_t rows;
    int32_t columns;
    int32_t depth;
    int32_t step;            /* from one column of the window to the next, in the input */
    int32_t row_step;
    int32_t filter_row_size;
    int32_t filter_size;
    int32_t offset;          /* added to each input */
} window_part;

static inline int32_t sum_of(const window_part *w)
{
    int32_t sum = 0;
    int32_t count = 0;
    const int8_t *row = w->input;
    for (int32_t i = 0; i < w->rows; i++, row += w->row_step) {
        const int8_t *tap = row;
        for (int32_t j = 0; j < w->columns; j++, tap += w->step) {
            count++;
            for (int32_t k = 0; k < w->depth; k++) {
                sum += tap[k];
            }
        }
    }
    return sum + count * w->depth * w->offset;
}

/* Adds the products with one filter to its sum. */
static inline void add_products(const window_part *w, const int8_t *filter, int32_t *sums)
{
    int32_t sum = sums[0];
    const int8_t *row = w->input;
    for (int32_t i = 0; i < w->rows; i++, row += w->row_step, filter += w->filter_row_size) {
        const int8_t *tap = row;
        const int8_t *weight = filter;
        for (int32_t j = 0; j < w->columns; j++, tap += w->step) {
            const int8_t *value = tap;
            const int8_t *end = tap + w->depth;
            while (value < end) {
                sum += (*value++ + w->offset) * *weight++;
            }
        }
    }
    sums[0] = sum;
}

/* The same for four filters that follow one another: each input is read once. */
static inline void add_four_products(const window_part *w, const int8_t *filter, int32_t *sums)
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    const int32_t offset = w->offset;
    const int8_t *row = w->input;
    for (int32_t i = 0; i < w->rows; i++, row += w->row_step, filter += w->filter_row_size) {
        const int8_t *tap = row;
        const int8_t *first = filter;
        const int8_t *second = first + w->filter_size;
        const int8_t *third = second + w->filter_size;
        const int8_t *fourth = third + w->filter_size;
        for (int32_t j = 0; j < w->columns; j++, tap += w->step) {
            const int8_t *value = tap;
            const int8_t *end = tap + w->depth;
            while (value < end) {
                const int32_t x = *value++ + offset;
                a += x * *first++;
                b += x * *second++;
                c += x * *third++;
                d += x * *fourth++;
            }
        }
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

void convolve_offset_s8(const cmsis_nn_context *scratch,
                        const cmsis_nn_conv_params *p,
                        const cmsis_nn_per_channel_quant_params *scale,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const int8_t *filter,
                        const cmsis_nn_dims *bias_dims,
                        const int32_t *bias,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output,
                        int32_t filter_offset)
{
    (void)scratch;
    (void)bias_dims;
    const int32_t channels = input_dims->c;
    const int32_t depth = filter_dims->c;
    const int32_t outputs_in_group = output_dims->c / (channels / depth);
    window_part window = {
        .depth = depth,
        .step = p->dilation.w * channels,
        .row_step = p->dilation.h * input_dims->w * channels,
        .filter_row_size = filter_dims->w * depth,
        .filter_size = filter_dims->h * filter_dims->w * depth,
        .offset = p->input_offset,
    };
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows = taps_inside(
            y * p->stride.h - p->padding.h, p->dilation.h, input_dims->h, filter_dims->h);
        window.rows = rows.end - rows.first;
        for (int32_t x = 0; x < output_dims->w; x++) {
            const taps columns = taps_inside(
                x * p->stride.w - p->padding.w, p->dilation.w, input_dims->w, filter_dims->w);
            window.columns = columns.end - columns.first;
            window.input = input + (rows.position * input_dims->w + columns.position) * channels;
            const int8_t *weights =
                filter + rows.first * window.filter_row_size + columns.first * depth;
            for (int32_t channel = 0; channel < output_dims->c; window.input += depth) {
                /* All outputs of a group read the same window: its sum is taken once. */
                const int32_t share = sum_of(&window) * filter_offset;
                const int32_t end = channel + outputs_in_group;
                while (channel < end) {
                    const int32_t count = channel + 4 <= end ? 4 : 1;
                    int32_t sums[4];
                    for (int32_t i = 0; i < count; i++) {
                        sums[i] = bias[channel + i] + share;
                    }
                    if (count == 4) {
                        add_four_products(&window, weights, sums);
                    } else {
                        add_products(&window, weights, sums);
                    }
                    for (int32_t i = 0; i < count; i++, channel++) {
                        *output++ =
                            output_of(sums[i], channel, scale, p->output_offset, &p->activation);
                    }
                    weights += count * window.filter_size;
                }
            }
        }
    }
}

/* Sums of products of a depthwise window with one filter, and with four that follow one another:
 * `apart` is 1 if these read a channel each, 0 if they all read the same. Filters have no depth,
 * and are `filter_size` apart from one column to the next. */
static inline void add_column(const window_part *w,
                              const int8_t *filter,
                              int32_t *sums,
                              int32_t filter_offset)
{
    int32_t sum = sums[0];
    const int8_t *row = w->input;
    for (int32_t i = 0; i < w->rows; i++, row += w->row_step, filter += w->filter_row_size) {
        const int8_t *value = row;
        const int8_t *weight = filter;
        for (int32_t j = 0; j < w->columns; j++) {
            sum += (*value + w->offset) * (*weight + filter_offset);
            value += w->step;
            weight += w->filter_size;
        }
    }
    sums[0] = sum;
}

static inline void add_four_columns(const window_part *w,
                                    const int8_t *filter,
                                    int32_t *sums,
                                    int32_t filter_offset,
                                    int32_t apart)
{
    int32_t a = sums[0], b = sums[1], c = sums[2], d = sums[3];
    const int32_t offset = w->offset;
    const int32_t step = w->step;
    const int32_t filter_size = w->filter_size;
    const int8_t *row = w->input;
    for (int32_t i = 0; i < w->rows; i++, row += w->row_step, filter += w->filter_row_size) {
        const int8_t *value = row;
        const int8_t *weight = filter;
        for (int32_t j = 0; j < w->columns; j++) {
            a += (value[0] + offset) * (weight[0] + filter_offset);
            b += (value[apart] + offset) * (weight[1] + filter_offset);
            c += (value[2 * apart] + offset) * (weight[2] + filter_offset);
            d += (value[3 * apart] + offset) * (weight[3] + filter_offset);
            value += step;
            weight += filter_size;
        }
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

void depthwise_offset_s8(const cmsis_nn_context *scratch,
                         const cmsis_nn_dw_conv_params *p,
                         const cmsis_nn_per_channel_quant_params *scale,
                         const cmsis_nn_dims *input_dims,
                         const int8_t *input,
                         const cmsis_nn_dims *filter_dims,
                         const int8_t *filter,
                         const cmsis_nn_dims *bias_dims,
                         const int32_t *bias,
                         const cmsis_nn_dims *output_dims,
                         int8_t *output,
                         int32_t filter_offset)
{
    (void)scratch;
    (void)bias_dims;
    const int32_t channels = input_dims->c;
    const int32_t outputs = output_dims->c;
    const int32_t multiplier = p->ch_mult;
    window_part window = {
        .step = p->dilation.w * channels,
        .row_step = p->dilation.h * input_dims->w * channels,
        .filter_row_size = filter_dims->w * outputs,
        .filter_size = outputs,
        .offset = p->input_offset,
    };
    const int32_t fours = multiplier == 1 || multiplier % 4 == 0;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows = taps_inside(
            y * p->stride.h - p->padding.h, p->dilation.h, input_dims->h, filter_dims->h);
        window.rows = rows.end - rows.first;
        for (int32_t x = 0; x < output_dims->w; x++, output += outputs) {
            const taps columns = taps_inside(
                x * p->stride.w - p->padding.w, p->dilation.w, input_dims->w, filter_dims->w);
            window.columns = columns.end - columns.first;
            const int8_t *first =
                input + (rows.position * input_dims->w + columns.position) * channels;
            const int8_t *weights =
                filter + (rows.first * filter_dims->w + columns.first) * outputs;
            for (int32_t channel = 0; channel < outputs;) {
                const int32_t count = fours && channel + 4 <= outputs ? 4 : 1;
                int32_t sums[4];
                for (int32_t i = 0; i < count; i++) {
                    sums[i] = bias[channel + i];
                }
                window.input = first + channel / multiplier;
                if (count == 1) {
                    add_column(&window, weights + channel, sums, filter_offset);
                } else if (multiplier == 1) {
                    add_four_columns(&window, weights + channel, sums, filter_offset, 1);
                } else {
                    add_four_columns(&window, weights + channel, sums, filter_offset, 0);
                }
                for (int32_t i = 0; i < count; i++, channel++) {
                    output[channel] =
                        output_of(sums[i], channel, scale, p->output_offset, &p->activation);
                }
            }
        }
    }
}
