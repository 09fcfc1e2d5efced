#include "fixedpoint.h"
#include "kernels.h"
#include "window.h"

static inline int16_t output_of(int32_t sum,
                                int32_t channel,
                                const int32_t *bias,
                                const cmsis_nn_dw_conv_params *p,
                                const cmsis_nn_per_channel_quant_params *scale)
{
    const int32_t value = multiply_by_reduced(
        (int64_t)bias[channel] + sum, scale->multiplier[channel], scale->shift[channel]);
    return (int16_t)clamp(value, p->activation.min, p->activation.max);
}

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
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows = taps_inside(
            y * p->stride.h - p->padding.h, p->dilation.h, input_dims->h, filter_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++, output += outputs) {
            const taps columns = taps_inside(
                x * p->stride.w - p->padding.w, p->dilation.w, input_dims->w, filter_dims->w);
            const int16_t *window = input + rows.position * row_size + columns.position * channels;
            const int8_t *weights = filter + rows.first * filter_row_size + columns.first * outputs;
            int32_t channel = 0;
            /* Four channels at a time: their sums stay in registers. int32 is enough because a
             * filter has at most 511 taps (hil/kernels/convolution.py). */
            for (; p->ch_mult == 1 && channel + 4 <= channels; channel += 4) {
                int32_t a = 0, b = 0, c = 0, d = 0;
                const int16_t *row = window + channel;
                const int8_t *weight_row = weights + channel;
                for (int32_t i = rows.first; i < rows.end; i++) {
                    const int16_t *value = row;
                    const int8_t *weight = weight_row;
                    for (int32_t j = columns.first; j < columns.end; j++) {
                        a += value[0] * weight[0];
                        b += value[1] * weight[1];
                        c += value[2] * weight[2];
                        d += value[3] * weight[3];
                        value += step;
                        weight += outputs;
                    }
                    row += row_step;
                    weight_row += filter_row_size;
                }
                output[channel] = output_of(a, channel, bias, p, scale);
                output[channel + 1] = output_of(b, channel + 1, bias, p, scale);
                output[channel + 2] = output_of(c, channel + 2, bias, p, scale);
                output[channel + 3] = output_of(d, channel + 3, bias, p, scale);
            }
            for (; channel < outputs; channel++) {
                int32_t sum = 0;
                const int16_t *row = window + channel / p->ch_mult;
                const int8_t *weight_row = weights + channel;
                for (int32_t i = rows.first; i < rows.end; i++) {
                    const int16_t *value = row;
                    const int8_t *weight = weight_row;
                    for (int32_t j = columns.first; j < columns.end; j++) {
                        sum += *value * *weight;
                        value += step;
                        weight += outputs;
                    }
                    row += row_step;
                    weight_row += filter_row_size;
                }
                output[channel] = output_of(sum, channel, bias, p, scale);
            }
        }
    }
}
