#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* Scratch: what panels need, the ring, the addresses of its rows. On Cortex-M7 a word behind the last row is read. */
void conv_rows(const conv_rows_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const ring_windows *const windows = &layer->windows;
    const row_ring *const ring = &layer->ring;
    const int32_t stride = windows->stride, run = windows->run_words;
    word *const slots = scratch + layer->panels.ram_words;
    word *const rows = slots + ring->slots * ring->slot_words;
    conv_panel_job job = {
        .filter_rows = windows->filter_rows, .run_bytes = 4 * run, .step_bytes = windows->step_bytes,
        .skipped = -run & 7};
    int32_t filled = 0;

    clear_ring(ring, slots);
    for (int32_t y = 0; y < windows->out_rows; y += layer->group) {
        const int32_t left = windows->out_rows - y;
        const int32_t lines = left < layer->group ? left : layer->group;
        const int32_t first = y * stride, count = (lines - 1) * stride + windows->filter_rows;
        fill_ring(ring, slots, in, filled > first ? filled : first, first + count);
        filled = first + count;
        ring_rows(ring, slots, first, count, windows->first_word, rows);
        job.rows = rows;
        run_panels(&layer->panels, &job, windows->out_columns, lines, 4 * stride, out, scratch);
        out += lines * windows->out_columns * layer->panels.channels;
    }
}

#endif
