#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

static int32_t lower(word pair) { return (int16_t)pair; }
static int32_t upper(word pair) { return (int32_t)pair >> 16; }

/* The windows of the first row, with padding above, of the rows inside, and of the last, with padding below: where there
 * is padding two rows are left, whose weights stand for rows 0 and 1; the third row's weights are 0. */
static void make_windows(const depthwise_direct_layer *layer, const depthwise_channel *channel, depthwise_window *windows)
{
    const word *const k = channel->upper, *const l = channel->lower;
    depthwise_window *const top = &windows[0], *const inside = &windows[1], *const bottom = &windows[2];
    inside->columns[0] = k[0];
    inside->columns[1] = k[1];
    inside->columns[2] = k[2];
    inside->row2[0] = l[0] >> 16 | (l[1] & 0xffff0000);
    inside->row2[1] = l[2] >> 16;
    inside->bias = channel->bias;
    if (layer->top) {
        top->columns[0] = l[0];
        top->columns[1] = l[1];
        top->columns[2] = l[2];
        top->bias = channel->bias + layer->padding * (lower(k[0]) + lower(k[1]) + lower(k[2]));
    }
    if (layer->bottom) {
        bottom->columns[0] = k[0];
        bottom->columns[1] = k[1];
        bottom->columns[2] = k[2];
        bottom->bias = channel->bias + layer->padding * (upper(l[0]) + upper(l[1]) + upper(l[2]));
    }
}

void depthwise_direct(const depthwise_direct_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t width = layer->out_width, height = layer->out_height, step = layer->channels, row = layer->row;
    const int32_t inside_end = height - layer->bottom;
    const word *record = layer->records;
    depthwise_window windows[3];
    depthwise_channel channel;

    channel.step = step;
    for (int32_t i = 0; i < 3; i++) {
        windows[i].padding = (word)(layer->padding & 0xffff) * 0x10001;
        windows[i].down = i == 1 ? 2 * row : 0; /* row 2 is not read where its weights are 0 */
        windows[i].row2[0] = windows[i].row2[1] = 0;
    }
    for (const int8_t *const end = in + step; in < end; in++, out++, record += DEPTHWISE_RECORD_WORDS) {
        const int8_t *from = in;
        int8_t *to = out;
        depthwise_unpack(record, &channel);
        make_windows(layer, &channel, windows);
        for (int32_t y = 0, rows; y < height; y += rows) {
            word *sums = scratch;
            rows = height - y < layer->rows ? height - y : layer->rows;
            for (int32_t next = y; next < y + rows;) {
                int32_t count = 1;
                const depthwise_window *window = &windows[2];
                if (next == 0 && layer->top) {
                    window = &windows[0];
                } else if (next < inside_end) {
                    window = &windows[1];
                    count = (y + rows < inside_end ? y + rows : inside_end) - next;
                }
                layer->kernel(from, sums, count, window);
                from += (2 * count - (window == &windows[0])) * row;
                sums += count * width;
                next += count;
            }
            layer->store(scratch, to, rows * width, &channel);
            to += rows * width * step;
        }
    }
}

#endif
