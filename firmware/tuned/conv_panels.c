#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

void run_panels(const conv_panels *panels, conv_panel_job *job, int32_t pixels, int32_t lines,
                int32_t line_bytes, int8_t *out, word *ram)
{
    const int32_t channels = panels->channels, words = panels->panel_words;
    const word *weights = panels->weights;
    const uint8_t *const rows = job->rows;
    word *const sums = ram + (panels->weights_in_ram ? words : 0);
    const int32_t line_sums = (pixels + 1) & ~1;

    job->parameters = panels->parameters;
    job->pairs = pixels > 1 ? pixels / 2 : 1;
    job->channels = pixels > 1 ? channels : 0;
    job->odd = pixels > 1 ? pixels & 1 : 0;
    if (panels->sums)
        for (int32_t line = 0; line < lines; line++) {
            panels->sums(job, sums + line * line_sums);
            job->rows = (const uint8_t *)job->rows + line_bytes;
        }
    for (int32_t channel = 0; channel < channels; channel += 4) {
        job->weights = weights;
        if (panels->weights_in_ram) {
            copy_words(weights, ram, words);
            job->weights = ram;
        }
        /* The last panel ends at the last channel: it may repeat some of the one before. */
        job->out = out + (channel + 4 <= channels ? channel : channels - 4);
        job->rows = rows;
        job->sums = sums;
        for (int32_t line = 0; line < lines; line++) {
            panels->kernel(job);
            job->rows = (const uint8_t *)job->rows + line_bytes;
            job->out += pixels * channels;
            job->sums += line_sums;
        }
        job->parameters += 16;
        weights += words;
    }
}

#endif
