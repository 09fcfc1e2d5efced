#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

/* `sum` and four inputs, each with 128 more. */
static inline int32_t plus_four(int32_t sum, word bytes) { return (int32_t)__usada8(bytes ^ 0x80808080, 0, (uint32_t)sum); }

/* What the columns of a row add up to, each with those before it, and with the word before them. */
__attribute__((noinline)) static int32_t *add_columns(const int8_t *in, int32_t columns, int32_t depth, int32_t *to)
{
    const int32_t sixteens = depth / 16, fours = depth / 4 % 4, ones = depth % 4, raised = 128 * (depth - ones);
    int32_t total = *to;

    for (; columns > 0; columns--) {
        total -= raised;
        for (int32_t i = sixteens; i > 0; i--, in += 16) {
            const loose_word *const words = (const loose_word *)in;
            const word a = words[0], b = words[1], c = words[2], d = words[3];
            total = plus_four(plus_four(plus_four(plus_four(total, a), b), c), d);
        }
        for (int32_t i = fours; i > 0; i--, in += 4)
            total = plus_four(total, *(const loose_word *)in);
        for (int32_t i = ones; i > 0; i--)
            total += *in++;
        *++to = total;
    }
    return to;
}

/* What a row of the input adds to the sums of the windows, in `sums`. `totals` are of the columns of the padded row that are
 * before each, and of all; those of the padding at the left are there. */
__attribute__((noinline)) static void
sums_of_row(const conv_rows_s4_layer *layer, const int8_t *in, int32_t *totals, int32_t padding, int32_t *sums)
{
    const int32_t taps = layer->filter_columns, stride = layer->stride_x;
    int32_t *const end = sums + layer->windows.out_columns, *const last = totals + layer->padded_columns;
    int32_t *to = add_columns(in, layer->columns, layer->depth, totals + layer->left);

    for (; to < last; to++)
        to[1] = to[0] + padding;
    for (; sums < end; totals += stride)
        *sums++ = 8 * (totals[0] - totals[taps]);
}

/* The sums of rows `from` to `end` of the ring. */
__attribute__((noinline)) static void
add_rows(const conv_rows_s4_layer *layer, const int32_t *row_sums, int32_t count, int32_t from, int32_t end, int32_t *sums)
{
    const int32_t *first = row_sums + from % layer->ring.slots * count;
    for (int32_t i = 0; i < count; i++)
        sums[i] = first[i];
    while (++from < end) {
        const int32_t *row = row_sums + from % layer->ring.slots * count;
        for (int32_t i = 0; i < count; i += 2) {
            const int32_t a = sums[i] + row[i], b = sums[i + 1] + row[i + 1];
            sums[i] = a;
            sums[i + 1] = b;
        }
    }
}

static void fill_with(int32_t *to, int32_t value, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        to[i] = value;
}

/* Scratch: as conv_rows, then for each row of the ring what it adds to the sums of windows, and a padded row's totals. */
void conv_rows_s4(const conv_rows_s4_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const ring_windows *const windows = &layer->windows;
    const row_ring *const ring = &layer->ring;
    const conv_panels *const panels = &layer->panels;
    const int32_t stride = windows->stride, run = windows->run_words, columns = windows->out_columns;
    const int32_t line_sums = (columns + 1) & ~1, padding = (int16_t)ring->padding * layer->depth;
    int32_t *const sums = (int32_t *)scratch + (panels->weights_in_ram ? panels->panel_words : 0);
    word *const slots = scratch + panels->ram_words;
    word *const rows = slots + ring->slots * ring->slot_words;
    int32_t *const row_sums = (int32_t *)rows + ring->slots, *const totals = row_sums + ring->slots * line_sums;
    conv_panel_job job = {
        .filter_rows = windows->filter_rows, .run_bytes = 4 * run, .step_bytes = windows->step_bytes,
        .skipped = -run & 7};
    int32_t filled = 0;

    clear_ring(ring, slots);
    for (int32_t x = 0; x <= layer->left; x++)
        totals[x] = x * padding;
    for (int32_t y = 0; y < windows->out_rows; y += layer->group) {
        const int32_t left = windows->out_rows - y;
        const int32_t lines = left < layer->group ? left : layer->group;
        const int32_t first = y * stride, end = first + (lines - 1) * stride + windows->filter_rows;
        filled = filled > first ? filled : first;
        fill_ring(ring, slots, in, filled, end);
        for (; filled < end; filled++) {
            const int32_t line = filled - ring->top;
            int32_t *const to = row_sums + filled % ring->slots * line_sums;
            if (line < 0 || line >= ring->lines)
                fill_with(to, -8 * padding * layer->filter_columns, columns);
            else
                sums_of_row(layer, in + line * ring->line_bytes, totals, padding, to);
        }
        for (int32_t line = 0; line < lines; line++) {
            const int32_t row = first + line * stride;
            add_rows(layer, row_sums, line_sums, row, row + windows->filter_rows, sums + line * line_sums);
        }
        ring_rows(ring, slots, first, end - first, windows->first_word, rows);
        job.rows = rows;
        run_panels(panels, &job, columns, lines, 4 * stride, out, scratch);
        out += lines * columns * panels->channels;
    }
}

#endif
