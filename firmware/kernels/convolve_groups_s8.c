#include "fixedpoint.h"
#include "kernels.h"
#include "window.h"

static inline int8_t output_of(int32_t sum,
                               int32_t channel,
                               const cmsis_nn_conv_params *p,
                               const cmsis_nn_per_channel_quant_params *scale)
{
    const int32_t shift = scale->shift[channel];
    const int32_t value = multiply_by_factor(sum,
                                             scale->multiplier[channel],
                                             shift > 0 ? shift : 0,
                                             shift > 0 ? 0 : -shift);
    return (int8_t)clamp(value + p->output_offset, p->activation.min, p->activation.max);
}

void convolve_groups_s8(const cmsis_nn_context *scratch,
                        const cmsis_nn_conv_params *p,
                        const cmsis_nn_per_channel_quant_params *scale,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const int8_t *filter,
                        const cmsis_nn_dims *bias_dims,
                        const int32_t *bias,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output)
{
    (void)scratch;
    (void)bias_dims;
    const int32_t channels = input_dims->c;
    const int32_t depth = filter_dims->c;
    const int32_t outputs_in_group = output_dims->c / (channels / depth);
    const int32_t offset = p->input_offset;
    const int32_t step = p->dilation.w * channels;
    const int32_t row_step = p->dilation.h * input_dims->w * channels;
    const int32_t filter_row_size = filter_dims->w * depth;
    const int32_t filter_size = filter_dims->h * filter_row_size;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows = taps_inside(
            y * p->stride.h - p->padding.h, p->dilation.h, input_dims->h, filter_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++) {
            const taps columns = taps_inside(
                x * p->stride.w - p->padding.w, p->dilation.w, input_dims->w, filter_dims->w);
            const int8_t *window =
                input + (rows.position * input_dims->w + columns.position) * channels;
            const int8_t *weights = filter + rows.first * filter_row_size + columns.first * depth;
            int32_t left_in_group = outputs_in_group;
            for (int32_t channel = 0; channel < output_dims->c; channel++) {
                int32_t sum = bias[channel];
                const int8_t *row = window;
                const int8_t *weight_row = weights;
                for (int32_t i = rows.first; i < rows.end; i++) {
                    const int8_t *tap = row;
                    const int8_t *weight = weight_row;
                    for (int32_t j = columns.first; j < columns.end; j++) {
                        const int8_t *value = tap;
                        const int8_t *end = tap + depth;
                        while (value < end) {
                            sum += (*value++ + offset) * *weight++;
                        }
                        tap += step;
                    }
                    row += row_step;
                    weight_row += filter_row_size;
                }
                *output++ = output_of(sum, channel, p, scale);
                weights += filter_size;
                if (--left_in_group == 0) {
                    left_in_group = outputs_in_group;
                    window += depth;
                }
            }
        }
    }
}
