#include "fixedpoint.h"
#include "kernels.h"
#include "window.h"

static inline int8_t output_of(int32_t sum,
                               int32_t channel,
                               const cmsis_nn_dw_conv_params *p,
                               const cmsis_nn_per_channel_quant_params *scale)
{
    const int32_t shift = scale->shift[channel];
    const int32_t value = multiply_by_factor(sum,
                                             scale->multiplier[channel],
                                             shift > 0 ? shift : 0,
                                             shift > 0 ? 0 : -shift);
    return (int8_t)clamp(value + p->output_offset, p->activation.min, p->activation.max);
}

void depthwise_s8(const cmsis_nn_context *scratch,
                  const cmsis_nn_dw_conv_params *p,
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
    const int32_t offset = p->input_offset;
    const int32_t step = p->dilation.w * channels;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows = taps_inside(
            y * p->stride.h - p->padding.h, p->dilation.h, input_dims->h, filter_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++, output += channels) {
            const taps columns = taps_inside(
                x * p->stride.w - p->padding.w, p->dilation.w, input_dims->w, filter_dims->w);
            const int32_t row_step = p->dilation.h * input_dims->w * channels;
            const int32_t filter_row_step = filter_dims->w * channels;
            const int8_t *window =
                input + (rows.position * input_dims->w + columns.position) * channels;
            const int8_t *weights =
                filter + (rows.first * filter_dims->w + columns.first) * channels;
            int32_t channel = 0;
            /* Four channels at a time: their sums stay in registers. */
            for (; channel + 4 <= channels; channel += 4) {
                int32_t a = bias[channel], b = bias[channel + 1];
                int32_t c = bias[channel + 2], d = bias[channel + 3];
                const int8_t *row = window + channel;
                const int8_t *weight_row = weights + channel;
                for (int32_t i = rows.first; i < rows.end; i++) {
                    const int8_t *value = row;
                    const int8_t *weight = weight_row;
                    for (int32_t j = columns.first; j < columns.end; j++) {
                        a += (value[0] + offset) * weight[0];
                        b += (value[1] + offset) * weight[1];
                        c += (value[2] + offset) * weight[2];
                        d += (value[3] + offset) * weight[3];
                        value += step;
                        weight += channels;
                    }
                    row += row_step;
                    weight_row += filter_row_step;
                }
                output[channel] = output_of(a, channel, p, scale);
                output[channel + 1] = output_of(b, channel + 1, p, scale);
                output[channel + 2] = output_of(c, channel + 2, p, scale);
                output[channel + 3] = output_of(d, channel + 3, p, scale);
            }
            for (; channel < channels; channel++) {
                int32_t sum = bias[channel];
                for (int32_t i = rows.first; i < rows.end; i++) {
                    const int32_t down = i - rows.first;
                    const int8_t *value = window + channel + down * row_step;
                    const int8_t *weight = weights + channel + down * filter_row_step;
                    for (int32_t j = columns.first; j < columns.end; j++) {
                        sum += (*value + offset) * *weight;
                        value += step;
                        weight += channels;
                    }
                }
                output[channel] = output_of(sum, channel, p, scale);
            }
        }
    }
}
