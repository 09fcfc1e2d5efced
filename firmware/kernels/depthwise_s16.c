#include "fixedpoint.h"
#include "kernels.h"
#include "window.h"

void depthwise_s16(const cmsis_nn_context *scratch,
                   const cmsis_nn_dw_conv_params *p,
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
    const int32_t outputs = output_dims->c;
    const int32_t row_size = input_dims->w * channels;
    const int32_t filter_row_size = filter_dims->w * outputs;
    const int32_t step = p->dilation.w * channels;
    const int32_t row_step = p->dilation.h * row_size;
    /* Two channels at a time where each has one output: their sums stay in registers. */
    const int32_t pairs = p->ch_mult == 1;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows = taps_inside(
            y * p->stride.h - p->padding.h, p->dilation.h, input_dims->h, filter_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++, output += outputs) {
            const taps columns = taps_inside(
                x * p->stride.w - p->padding.w, p->dilation.w, input_dims->w, filter_dims->w);
            const int16_t *window = input + rows.position * row_size + columns.position * channels;
            const int8_t *weights = filter + rows.first * filter_row_size + columns.first * outputs;
            int32_t left = p->ch_mult;
            for (int32_t channel = 0; channel < outputs;) {
                const int32_t both = pairs && channel + 2 <= outputs;
                const int16_t *row = window;
                const int8_t *weight_row = weights + channel;
                /* In int32, because a filter has at most 511 taps (hil/kernels.py). */
                int32_t sums[2] = {0, 0};
                for (int32_t i = rows.first; i < rows.end; i++) {
                    const int16_t *value = row;
                    const int8_t *weight = weight_row;
                    if (both) {
                        int32_t a = sums[0], b = sums[1];
                        for (int32_t j = columns.first; j < columns.end; j++) {
                            a += value[0] * weight[0];
                            b += value[1] * weight[1];
                            value += step;
                            weight += outputs;
                        }
                        sums[0] = a;
                        sums[1] = b;
                    } else {
                        for (int32_t j = columns.first; j < columns.end; j++) {
                            sums[0] += *value * *weight;
                            value += step;
                            weight += outputs;
                        }
                    }
                    row += row_step;
                    weight_row += filter_row_size;
                }
                for (int32_t i = 0; i <= both; i++, channel++) {
                    const int32_t value = multiply_by_reduced((int64_t)bias[channel] + sums[i],
                                                              scale->multiplier[channel],
                                                              scale->shift[channel]);
                    output[channel] =
                        (int16_t)clamp(value, p->activation.min, p->activation.max);
                }
                if (pairs) {
                    window += 1 + both;
                } else if (--left == 0) {
                    left = p->ch_mult;
                    window++;
                }
            }
        }
    }
}
