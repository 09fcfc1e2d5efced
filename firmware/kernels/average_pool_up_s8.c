#include "fixedpoint.h"
#include "kernels.h"
#include "window.h"

void average_pool_up_s8(const cmsis_nn_context *scratch,
                        const cmsis_nn_pool_params *p,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output)
{
    (void)scratch;
    const int32_t channels = input_dims->c;
    const int32_t row_size = input_dims->w * channels;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows =
            taps_inside(y * p->stride.h - p->padding.h, 1, input_dims->h, filter_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++) {
            const taps columns =
                taps_inside(x * p->stride.w - p->padding.w, 1, input_dims->w, filter_dims->w);
            const int32_t width = columns.end - columns.first;
            const int32_t count = (rows.end - rows.first) * width;
            const int8_t *window = input + rows.position * row_size + columns.position * channels;
            for (int32_t channel = 0; channel < channels; channel++, window++) {
                const int8_t *row = window;
                /* Less INT8_MIN, so that the sum is not negative and the division rounds down. */
                int32_t sum = count / 2 - count * INT8_MIN;
                for (int32_t i = rows.first; i < rows.end; i++, row += row_size) {
                    const int8_t *value = row;
                    for (int32_t j = 0; j < width; j++, value += channels) {
                        sum += *value;
                    }
                }
                *output++ = (int8_t)clamp(
                    sum / count + INT8_MIN, p->activation.min, p->activation.max);
            }
        }
    }
}
