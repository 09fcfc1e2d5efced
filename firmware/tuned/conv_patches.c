#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* Scratch: what panels need, the ring, patches of `group` pixels, addresses of the ring's rows. Words of two pixels
 * alternate. On Cortex-M7 a word behind the last patch is read. */
void conv_patches(const conv_patches_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const ring_windows *const windows = &layer->windows;
    const row_ring *const ring = &layer->ring;
    const int32_t filter_rows = windows->filter_rows, patch = filter_rows * windows->run_words;
    word *const slots = scratch + layer->panels.ram_words;
    word *const patches = slots + ring->slots * ring->slot_words;
    word *const rows = patches + layer->group * patch;
    int32_t left = windows->out_rows * windows->out_columns;
    int32_t filled = 0, held = 0;
    conv_panel_job job = {
        .filter_rows = 1, .run_bytes = 8 * patch, .step_bytes = 8 * patch, .skipped = -patch & 7};

    clear_ring(ring, slots);
    for (int32_t y = 0; y < windows->out_rows; y++) {
        const int32_t first = y * windows->stride, end = first + filter_rows;
        fill_ring(ring, slots, in, filled > first ? filled : first, end);
        filled = end;
        ring_rows(ring, slots, first, filter_rows, windows->first_word, rows);
        for (int32_t x = 0; x < windows->out_columns; x++) {
            const int32_t at = x / 2 * windows->step_bytes + (x & 1) * windows->next_bytes;
            copy_patch(rows, filter_rows, windows->run_words, at, patches + held / 2 * 2 * patch + (held & 1));
            held++;
            left--;
            if (held == layer->group || left == 0) {
                job.rows = patches;
                run_panels(&layer->panels, &job, held, 1, 0, out, scratch);
                out += held * layer->panels.channels;
                held = 0;
            }
        }
    }
}

#endif
