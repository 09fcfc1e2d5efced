#include "tuned.h"

/* On any core. Of at most 255 inputs of 8 bits a sum stays within 16 bits. */
void average_pool_rows(const average_pool_rows_layer *layer, const int8_t *in, int8_t *out, int16_t *sums, int32_t row)
{
    const int32_t channels = layer->channels, count = layer->rows * layer->columns;

    for (int32_t c = 0; c < channels; c++) {
        int32_t sum = row == 0 ? 0 : sums[c];
        for (int32_t x = 0; x < layer->columns; x++)
            sum += in[x * channels + c];
        sums[c] = (int16_t)sum;
        if (row == layer->rows - 1) {
            const int32_t mean = (sum < 0 ? sum - count / 2 : sum + count / 2) / count;
            out[c] = (int8_t)(mean < layer->lowest ? layer->lowest : mean > layer->highest ? layer->highest : mean);
        }
    }
}
