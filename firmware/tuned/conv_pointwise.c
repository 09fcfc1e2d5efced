#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

/* One panel over the `count` pixels of a group; the last of an odd number is computed alone. */
static void run_panel(const conv_pointwise_layer *layer, conv_panel_job *job, const word *x, int32_t count)
{
    if (count > 1) {
        job->rows = x;
        job->pairs = count / 2;
        job->channels = layer->channels;
        layer->kernel(job);
    }
    if (count & 1) {
        conv_panel_job last = *job;
        last.rows = x + (count - 1) * (layer->inputs / 2);
        last.pairs = 1;
        last.out = job->out + (count - 1) * layer->channels;
        last.channels = 0; /* expanded twice: both results are the same byte */
        layer->kernel(&last);
    }
}

void conv_pointwise(const conv_pointwise_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    const int32_t inputs = layer->inputs, channels = layer->channels, group = layer->group;
    word *const panel = scratch + (group + 1) * (inputs / 2);

    for (int32_t pixel = 0; pixel < layer->pixels; pixel += group) {
        const int32_t left = layer->pixels - pixel;
        const int32_t count = left < group ? left : group;
        for (int32_t i = 0; i < count; i += 2)
            expand_pair(in + i * inputs, in + (i + 1 < count ? i + 1 : i) * inputs,
                        scratch + i * (inputs / 2), inputs);
        conv_panel_job job = {
            .filter_rows = 1, .run_bytes = 4 * inputs, .step_bytes = 4 * inputs,
            .weights = layer->weights, .parameters = layer->parameters,
            .skipped = -(inputs / 2) & 7};
        for (int32_t channel = 0; channel < channels; channel += 4) {
            const word *const weights = layer->weights + channel / 4 * inputs;
            if (layer->weights_in_ram)
                copy_words(weights, panel, inputs);
            job.weights = layer->weights_in_ram ? panel : weights;
            /* The last panel ends at the last channel: it may repeat some of the one before. */
            job.out = out + (channel + 4 <= channels ? channel : channels - 4);
            run_panel(layer, &job, scratch, count);
            job.parameters += 16;
        }
        in += group * inputs;
        out += group * channels;
    }
}

#endif
