#include "kernels.h"

/* An output's place along one axis, between two pixels of the input; `weight` is that of the second
 * in 1/1024. */
typedef struct {
    int32_t first;
    int32_t second;
    int32_t weight;
} place;

static inline place place_of(const resize_axis *axis, int32_t output)
{
    const int32_t exact = output * axis->step + axis->start;
    const int32_t position = exact < 0 ? 0 : exact;
    const int32_t first = position >> 10;
    const int32_t next = (position + 1023) >> 10;
    return (place){first, next < axis->inputs ? next : axis->inputs - 1, position & 1023};
}

/* value / 2^20 to nearest; a tie goes away from zero. */
static inline int32_t rounded_s8(int32_t value)
{
    return (value > 0 ? value + (1 << 19) : value - (1 << 19)) / (1 << 20);
}

static inline int32_t rounded_s16(int64_t value)
{
    return (int32_t)((value > 0 ? value + (1 << 19) : value - (1 << 19)) / (1 << 20));
}

void resize_bilinear_s8(const resize_bilinear_parameters *p, const int8_t *input, int8_t *output)
{
    const int32_t channels = p->channels;
    const int32_t row_size = p->columns.inputs * channels;
    for (int32_t y = 0; y < p->rows.outputs; y++) {
        const place row = place_of(&p->rows, y);
        const int8_t *upper = input + row.first * row_size;
        const int8_t *lower = input + row.second * row_size;
        for (int32_t x = 0; x < p->columns.outputs; x++) {
            const place column = place_of(&p->columns, x);
            const int32_t left = column.first * channels;
            const int32_t right = column.second * channels;
            for (int32_t c = 0; c < channels; c++) {
                const int32_t above = upper[left + c] * (1024 - column.weight) +
                                      upper[right + c] * column.weight;
                const int32_t below = lower[left + c] * (1024 - column.weight) +
                                      lower[right + c] * column.weight;
                *output++ =
                    (int8_t)rounded_s8(above * (1024 - row.weight) + below * row.weight);
            }
        }
    }
}

void resize_bilinear_s16(const resize_bilinear_parameters *p, const int16_t *input, int16_t *output)
{
    const int32_t channels = p->channels;
    const int32_t row_size = p->columns.inputs * channels;
    for (int32_t y = 0; y < p->rows.outputs; y++) {
        const place row = place_of(&p->rows, y);
        const int16_t *upper = input + row.first * row_size;
        const int16_t *lower = input + row.second * row_size;
        for (int32_t x = 0; x < p->columns.outputs; x++) {
            const place column = place_of(&p->columns, x);
            const int32_t left = column.first * channels;
            const int32_t right = column.second * channels;
            for (int32_t c = 0; c < channels; c++) {
                const int32_t above = upper[left + c] * (1024 - column.weight) +
                                      upper[right + c] * column.weight;
                const int32_t below = lower[left + c] * (1024 - column.weight) +
                                      lower[right + c] * column.weight;
                *output++ = (int16_t)rounded_s16((int64_t)above * (1024 - row.weight) +
                                                 (int64_t)below * row.weight);
            }
        }
    }
}
