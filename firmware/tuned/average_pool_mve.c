#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>

/* sum / count, rounded, ties away from zero. `reciprocal` is 2^32 / count rounded up. */
static inline int32x4_t average(int32x4_t sum, int32_t count, uint32_t reciprocal)
{
    const uint32x4_t size = vaddq_n_u32(vreinterpretq_u32_s32(vabsq_s32(sum)), (uint32_t)count / 2);
    const int32x4_t quotient = vreinterpretq_s32_u32(vmulhq_u32(size, vdupq_n_u32(reciprocal)));
    return vnegq_m_s32(quotient, quotient, vcmpltq_n_s32(sum, 0));
}

void average_pool_mve(const average_pool_mve_layer *layer, const int8_t *in, int8_t *out)
{
    const int32_t channels = layer->channels, row_bytes = layer->columns * channels;
    const int32x4_t lowest = vdupq_n_s32(layer->lowest), highest = vdupq_n_s32(layer->highest);

    for (int32_t y = 0; y < layer->out_rows; y++) {
        const int32_t above = y * layer->row_stride - layer->top, below = above + layer->filter_rows;
        const int32_t row = above < 0 ? 0 : above;
        const int32_t rows = (below < layer->rows ? below : layer->rows) - row;
        for (int32_t x = 0; x < layer->out_columns; x++) {
            const int32_t before = x * layer->column_stride - layer->left, behind = before + layer->filter_columns;
            const int32_t column = before < 0 ? 0 : before;
            const int32_t columns = (behind < layer->columns ? behind : layer->columns) - column;
            const int32_t count = rows * columns;
            const uint32_t reciprocal = UINT32_MAX / (uint32_t)count + 1;
            const int8_t *window = in + row * row_bytes + column * channels;
            /* Up to three bytes behind the last channel are read. */
            for (int32_t channel = 0; channel < channels; channel += 4, window += 4) {
                const int8_t *from = window;
                int32x4_t sum = vdupq_n_s32(0);
                for (int32_t i = rows; i > 0; i--, from += row_bytes - columns * channels)
                    for (int32_t j = columns; j > 0; j--, from += channels)
                        sum = vaddq_s32(sum, vldrbq_s32(from));
                if (count > 1)
                    sum = average(sum, count, reciprocal);
                sum = vminq_s32(vmaxq_s32(sum, lowest), highest);
                vstrbq_p_s32(out + channel, sum, vctp32q((uint32_t)(channels - channel)));
            }
            out += channels;
        }
    }
}

#endif
