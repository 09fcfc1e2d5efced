#include "bytes.h"
#include "kernels.h"

void pad_s8(const pad_s8_parameters *p, const int8_t *input, int8_t *output)
{
    output = fill_bytes(output, p->value, p->before);
    for (int32_t plane = 0; plane < p->planes; plane++) {
        output = fill_bytes(output, p->value, p->before_plane);
        for (int32_t row = 0; row < p->rows; row++, input += p->row_bytes) {
            output = fill_bytes(output, p->value, p->before_row);
            output = copy_bytes(output, input, p->row_bytes);
            output = fill_bytes(output, p->value, p->after_row);
        }
        output = fill_bytes(output, p->value, p->after_plane);
    }
    fill_bytes(output, p->value, p->after);
}
