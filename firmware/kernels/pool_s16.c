#include "fixedpoint.h"
#include "kernels.h"
#include "window.h"

static inline int32_t average_of(int32_t sum, int32_t count)
{
    return (sum < 0 ? sum - count / 2 : sum + count / 2) / count;
}

static inline void pool(const cmsis_nn_pool_params *p,
                        const cmsis_nn_dims *input_dims,
                        const int16_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const cmsis_nn_dims *output_dims,
                        int16_t *output,
                        int32_t average)
{
    const int32_t channels = input_dims->c;
    const int32_t row_size = input_dims->w * channels;
    for (int32_t y = 0; y < output_dims->h; y++) {
        const taps rows =
            taps_inside(y * p->stride.h - p->padding.h, 1, input_dims->h, filter_dims->h);
        for (int32_t x = 0; x < output_dims->w; x++) {
            const taps columns =
                taps_inside(x * p->stride.w - p->padding.w, 1, input_dims->w, filter_dims->w);
            const int32_t width = columns.end - columns.first;
            const int16_t *window = input + rows.position * row_size + columns.position * channels;
            for (int32_t channel = 0; channel < channels; channel++, window++) {
                const int16_t *row = window;
                int32_t result = average ? 0 : INT16_MIN;
                for (int32_t i = rows.first; i < rows.end; i++, row += row_size) {
                    const int16_t *value = row;
                    for (int32_t j = 0; j < width; j++, value += channels) {
                        if (average) {
                            result += *value;
                        } else if (result < *value) {
                            result = *value;
                        }
                    }
                }
                if (average) {
                    result = average_of(result, (rows.end - rows.first) * width);
                }
                *output++ = (int16_t)clamp(result, p->activation.min, p->activation.max);
            }
        }
    }
}

void average_pool_s16(const cmsis_nn_context *scratch,
                      const cmsis_nn_pool_params *parameters,
                      const cmsis_nn_dims *input_dims,
                      const int16_t *input,
                      const cmsis_nn_dims *filter_dims,
                      const cmsis_nn_dims *output_dims,
                      int16_t *output)
{
    (void)scratch;
    pool(parameters, input_dims, input, filter_dims, output_dims, output, 1);
}

void max_pool_s16(const cmsis_nn_context *scratch,
                  const cmsis_nn_pool_params *parameters,
                  const cmsis_nn_dims *input_dims,
                  const int16_t *input,
                  const cmsis_nn_dims *filter_dims,
                  const cmsis_nn_dims *output_dims,
                  int16_t *output)
{
    (void)scratch;
    pool(parameters, input_dims, input, filter_dims, output_dims, output, 0);
}
