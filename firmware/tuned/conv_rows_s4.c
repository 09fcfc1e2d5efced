#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* Scratch: as conv_rows, then a ring of the rows that windows need of the table of window_sums.S, and a word that is read. */
void conv_rows_s4(const conv_rows_s4_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const ring_windows *const windows = &layer->windows;
    const row_ring *const ring = &layer->ring;
    const conv_panels *const panels = &layer->panels;
    const int32_t stride = windows->stride, run = windows->run_words, columns = windows->out_columns;
    word *const slots = scratch + panels->ram_words;
    word *const rows = slots + ring->slots * ring->slot_words;
    int32_t *const sums = (int32_t *)scratch + (panels->weights_in_ram ? panels->panel_words : 0);
    int32_t *const table = (int32_t *)rows + ring->slots;
    int32_t *const table_end = table + (windows->filter_rows + 1) * layer->entries;
    conv_panel_job job = {
        .filter_rows = windows->filter_rows, .run_bytes = 4 * run, .step_bytes = windows->step_bytes,
        .skipped = -run & 7};
    const int32_t *above = table;
    int32_t *below = table, *next = table + layer->entries;
    int32_t filled = 0, above_line = 0, below_line = 0; /* lines of the input before those of the table */

    clear_ring(ring, slots);
    for (int32_t x = 0; x < layer->entries; x++)
        table[x] = 0;
    for (int32_t y = 0; y < windows->out_rows; y += layer->group) {
        const int32_t left = windows->out_rows - y;
        const int32_t lines = left < layer->group ? left : layer->group;
        const int32_t first = y * stride, end = first + (lines - 1) * stride + windows->filter_rows;

        fill_ring(ring, slots, in, filled > first ? filled : first, end);
        filled = end;
        int32_t row = first - ring->top, left_lines = lines;
        int32_t *to_sums = sums;
        do {
            const int32_t below_row = row + windows->filter_rows;
            const int32_t reached = below_row < ring->lines ? below_row : ring->lines;
            for (; below_line < reached; below_line++) {
                int32_t *const to = next == table_end ? table : next;
                next = table_row(&layer->row, in + below_line * ring->line_bytes, below, to);
                below = to;
            }
            for (; above_line < row && above_line < reached; above_line++) {
                above += layer->entries;
                above = above == table_end ? table : above;
            }
            window_sums(above, below, to_sums, &layer->sums);
            to_sums += (columns + 1) & ~1;
            row += stride;
        } while (--left_lines > 0);
        ring_rows(ring, slots, first, end - first, windows->first_word, rows);
        job.rows = rows;
        run_panels(panels, &job, columns, lines, 4 * stride, out, scratch);
        out += lines * columns * panels->channels;
    }
}

#endif
