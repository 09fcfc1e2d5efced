#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

void run_fc_panels(const fully_connected_s8_layer *layer, fc_panel_job *job, fc_panels *kernel, int32_t panel_words,
                   int8_t *out)
{
    const int32_t whole = layer->units / 4, rest = layer->units % 4;

    job->weights = layer->weights;
    job->biases = layer->biases;
    job->scales = layer->scales;
    job->scale_step = layer->scale_step;
    job->out = out;
    job->panels = whole;
    if (whole)
        kernel(job);
    if (rest) {
        int8_t last[4]; /* the units of the last panel, and others that do not exist */
        job->weights += whole * panel_words;
        job->biases += 4 * whole;
        job->scales += (12 + layer->scale_step / 4) * whole;
        job->out = last;
        job->panels = 1;
        kernel(job);
        for (int32_t i = 0; i < rest; i++)
            out[4 * whole + i] = last[i];
    }
}

#endif
