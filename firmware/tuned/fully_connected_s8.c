#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

void fully_connected_s8(const fully_connected_s8_layer *layer, const int8_t *in, int8_t *out)
{
    const int32_t whole = layer->units / 4, rest = layer->units % 4;

    for (int32_t row = 0; row < layer->rows; row++, in += layer->inputs, out += layer->units) {
        fc_panel_job job = {
            .x = in, .inputs = (layer->inputs + 3) & ~3, .weights = layer->weights,
            .biases = layer->biases, .scales = layer->scales, .scale_step = layer->scale_step,
            .out = out, .panels = whole};
        if (whole)
            fc_panel(&job);
        if (rest) {
            int8_t last[4]; /* the units of the last panel, and others that do not exist */
            job.weights += whole * job.inputs;
            job.biases += 4 * whole;
            job.scales += (12 + layer->scale_step / 4) * whole;
            job.out = last;
            job.panels = 1;
            fc_panel(&job);
            for (int32_t i = 0; i < rest; i++)
                out[4 * whole + i] = last[i];
        }
    }
}

#endif
