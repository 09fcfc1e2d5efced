#include "fixedpoint.h"
#include "kernels.h"

/* The pixels of the input, along one axis, that reach an output: the filter's tap of pixel `first`
 * is `tap`, that of the next one `stride` less. */
typedef struct {
    int32_t first;
    int32_t end;
    int32_t tap;
} reach;

static inline reach
reaching(int32_t output, int32_t crop, int32_t stride, int32_t taps_in_all, int32_t size)
{
    const int32_t position = output + crop;
    const int32_t before = position - taps_in_all + stride;
    const int32_t first = before > 0 ? before / stride : 0;
    const int32_t last = position / stride;
    return (reach){first, last < size ? last + 1 : size, position - first * stride};
}

void transpose_conv_s8(const cmsis_nn_context *scratch,
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
    const int32_t offset = p->input_offset;
    const int32_t filter_size = filter_dims->h * filter_dims->w * channels;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const reach rows =
            reaching(y, p->padding.h, p->stride.h, filter_dims->h, input_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++) {
            const reach columns =
                reaching(x, p->padding.w, p->stride.w, filter_dims->w, input_dims->w);
            const int8_t *weights = filter;
            for (int32_t channel = 0; channel < output_dims->c; channel++, weights += filter_size) {
                int32_t sum = bias[channel];
                int32_t row_tap = rows.tap;
                for (int32_t i = rows.first; i < rows.end; i++, row_tap -= p->stride.h) {
                    const int8_t *value =
                        input + (i * input_dims->w + columns.first) * channels;
                    int32_t tap = row_tap * filter_dims->w + columns.tap;
                    for (int32_t j = columns.first; j < columns.end; j++, tap -= p->stride.w) {
                        const int8_t *weight = weights + tap * channels;
                        const int8_t *end = weight + channels;
#pragma GCC unroll 4
                        while (weight < end) {
                            sum += (*value++ + offset) * *weight++;
                        }
                    }
                }
                const int32_t shift = scale->shift[channel];
                const int32_t value = multiply_by_factor(sum,
                                                         scale->multiplier[channel],
                                                         shift > 0 ? shift : 0,
                                                         shift > 0 ? 0 : -shift);
                *output++ = (int8_t)clamp(
                    value + p->output_offset, p->activation.min, p->activation.max);
            }
        }
    }
}

void transpose_conv_s16(const cmsis_nn_context *scratch,
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
    const int32_t filter_size = filter_dims->h * filter_dims->w * channels;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const reach rows =
            reaching(y, p->padding.h, p->stride.h, filter_dims->h, input_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++) {
            const reach columns =
                reaching(x, p->padding.w, p->stride.w, filter_dims->w, input_dims->w);
            const int8_t *weights = filter;
            for (int32_t channel = 0; channel < output_dims->c; channel++, weights += filter_size) {
                int64_t sum = bias[channel];
                int32_t row_tap = rows.tap;
                for (int32_t i = rows.first; i < rows.end; i++, row_tap -= p->stride.h) {
                    const int16_t *value =
                        input + (i * input_dims->w + columns.first) * channels;
                    int32_t tap = row_tap * filter_dims->w + columns.tap;
                    for (int32_t j = columns.first; j < columns.end; j++, tap -= p->stride.w) {
                        const int8_t *weight = weights + tap * channels;
                        const int8_t *end = weight + channels;
                        while (weight < end) {
                            sum += *value++ * *weight++;
                        }
                    }
                }
                const int32_t value =
                    multiply_by_reduced(sum, scale->multiplier[channel], scale->shift[channel]);
                *output++ = (int16_t)clamp(value, p->activation.min, p->activation.max);
            }
        }
    }
}
