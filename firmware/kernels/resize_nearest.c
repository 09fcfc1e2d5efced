#include "bytes.h"
#include "kernels.h"

void resize_nearest(const resize_nearest_parameters *p, const int8_t *input, int8_t *output)
{
    const int32_t output_row_bytes = p->columns * p->pixel_bytes;
    for (int32_t y = 0; y < p->rows; y++) {
        const int8_t *row = input + p->source_rows[y] * p->row_bytes;
        if (y > 0 && p->source_rows[y] == p->source_rows[y - 1]) {
            output = copy_bytes(output, output - output_row_bytes, output_row_bytes);
            continue;
        }
        for (int32_t x = 0; x < p->columns; x++) {
            const int8_t *pixel = row + p->source_columns[x] * p->pixel_bytes;
            output = copy_bytes(output, pixel, p->pixel_bytes);
        }
    }
}
