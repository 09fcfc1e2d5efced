#include "scalar.h"

/* A row of the input into `slot` of every channel's ring, four channels at a time: the last four may be some of those
 * before again. Zero points if the row is above or below. */
static void fill_slot(const depthwise_scalar_layer *layer, const int8_t *in, int32_t row, int8_t *slot)
{
    const int32_t channels = layer->channels, columns = layer->columns;
    const int32_t ring_bytes = layer->slots * layer->slot_bytes;
    const bool outside = (uint32_t)row >= (uint32_t)layer->rows;
    const int8_t zero_point = (int8_t)layer->zero_point;

    in += row * columns * channels;
    slot += layer->left;
    if (outside || channels < 4) {
        for (int32_t channel = 0; channel < channels; channel++, in++, slot += ring_bytes) {
            const int8_t *x = outside ? &zero_point : in;
            for (int32_t i = 0; i < columns; i++, x += outside ? 0 : channels)
                slot[i] = *x;
        }
        return;
    }
    for (int32_t channel = 0; channel < channels; channel += 4) {
        const int32_t first = channel + 4 <= channels ? channel : channels - 4;
        int8_t *a = slot + first * ring_bytes, *b = a + ring_bytes, *c = b + ring_bytes, *d = c + ring_bytes;
        const int8_t *x = in + first;
        for (int32_t i = columns; i > 0; i--, x += channels) {
            const int8_t x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
            *a++ = x0;
            *b++ = x1;
            *c++ = x2;
            *d++ = x3;
        }
    }
}

/* Where each tap of the filter is in a ring, if its first row is in `slot`. */
static void locate_taps(const depthwise_scalar_layer *layer, int32_t slot, int32_t *taps)
{
    for (int32_t row = layer->filter_rows; row > 0; row--) {
        for (int32_t column = 0; column < layer->filter_columns; column++)
            *taps++ = slot * layer->slot_bytes + column * layer->dilation_columns;
        slot += layer->dilation_rows;
        slot -= slot >= layer->slots ? layer->slots : 0;
    }
}

/* Adds all taps of the filter to the sums of three outputs. On its own its values are just as many as there are registers. */
__attribute__((noinline)) static void add_taps(const int8_t *ring, const int32_t *taps, const int8_t *w, const int8_t *end,
                                               int32_t stride, int32_t *sums)
{
    int32_t sum0 = sums[0], sum1 = sum0, sum2 = sum0;
    do {
        const int8_t *x = ring + *taps++;
        const int32_t weight = *w++;
        sum0 += *x * weight;
        x += stride;
        sum1 += *x * weight;
        x += stride;
        sum2 += *x * weight;
    } while (w != end);
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
}

/* A row of the output in one channel, any filter: three outputs at a time, then one. */
static void channel_row(const depthwise_scalar_layer *layer, const int8_t *ring, const int32_t *taps,
                        const int8_t *weights, const int32_t *parameters, int8_t *out)
{
    const int32_t stride = layer->stride_columns, next = layer->out_channels;
    const int8_t *const end = weights + layer->filter_rows * layer->filter_columns;
    int32_t left = layer->out_columns;

    for (; left >= 3; left -= 3, ring += 3 * stride) {
        int32_t sums[3] = {parameters[0]};
        add_taps(ring, taps, weights, end, stride, sums);
        for (int32_t i = 0; i < 3; i++, out += next)
            *out = requantized(sums[i], parameters + 1);
    }
    for (; left > 0; left--, ring += stride, out += next) {
        int32_t sum = parameters[0];
        const int32_t *tap = taps;
        const int8_t *w = weights;
        do {
            const int32_t x = ring[*tap++];
            sum += x * *w++;
        } while (w != end);
        *out = requantized(sum, parameters + 1);
    }
}

static void row_of_any(const depthwise_scalar_layer *layer, const int8_t *rings, int32_t slot, int32_t *taps, int8_t *out)
{
    const int8_t *weights = layer->weights;
    const int32_t *parameters = layer->parameters;
    int32_t channel = 0;

    locate_taps(layer, slot, taps);
    for (int32_t i = layer->channels; i > 0; i--, rings += layer->slots * layer->slot_bytes)
        for (int32_t use = layer->multiplier; use > 0; use--, channel++, parameters += 4) {
            channel_row(layer, rings, taps, weights, parameters, out + channel);
            weights += layer->filter_rows * layer->filter_columns;
        }
}

static void row_of_3x3(const depthwise_scalar_layer *layer, const int8_t *rings, int32_t slot, int8_t *out)
{
    const int32_t bytes = layer->slot_bytes;
    const int32_t second = slot == 2 ? 0 : slot + 1;
    const depthwise_scalar_job job = {
        .rings = rings, .rows = {slot * bytes, second * bytes, (3 - slot - second) * bytes},
        .weights = layer->weights, .parameters = layer->parameters, .out = out,
        .ring_bytes = 3 * bytes, .channels = layer->channels, .columns = layer->out_columns};
    if (layer->stride_3x3 == 1)
        depthwise_scalar_stride1(&job);
    else
        depthwise_scalar_stride2(&job);
}

void depthwise_scalar(const depthwise_scalar_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t rings_bytes = layer->channels * layer->slots * layer->slot_bytes;
    const word four_zero_points = (uint8_t)layer->zero_point * 0x01010101u;
    int32_t *const taps = (int32_t *)scratch;
    word *const first = scratch + (layer->stride_3x3 ? 0 : layer->filter_rows * layer->filter_columns);
    int8_t *const rings = (int8_t *)first;
    int32_t row = -layer->top, slot = 0;                    /* of the input, the next that is read */
    int32_t end = layer->slots - layer->top, first_slot = 0; /* of the windows of this row of outputs */

    for (int32_t i = 0; i < (rings_bytes + 3) / 4; i++)
        first[i] = four_zero_points;
    for (int32_t left = layer->out_rows; left > 0; left--) {
        for (; row < end; row++) {
            if (row >= 0) /* above the input: still as they were filled */
                fill_slot(layer, in, row, rings + slot * layer->slot_bytes);
            slot = slot + 1 == layer->slots ? 0 : slot + 1;
        }
        if (layer->stride_3x3)
            row_of_3x3(layer, rings, first_slot, out);
        else
            row_of_any(layer, rings, first_slot, taps, out);
        out += layer->out_columns * layer->out_channels;
        end += layer->stride_rows;
        for (first_slot += layer->stride_rows; first_slot >= layer->slots;)
            first_slot -= layer->slots;
    }
}
