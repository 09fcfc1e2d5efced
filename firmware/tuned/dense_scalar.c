#include "tuned.h"

void dense_scalar(const dense_scalar_layer *layer, const int8_t *in, int8_t *out)
{
    const int32_t units = layer->units, panel_words = 2 * layer->pairs;

    for (int32_t row = layer->rows; row > 0; row--) {
        dense_scalar_job job = {
            .x = in, .weights = layer->weights, .biases = layer->biases, .scales = layer->scales,
            .scale_step = layer->scale_step, .out = out, .pairs = layer->pairs, .panels = units / 4};
        dense_panels(&job);
        if (units % 4) { /* the last four: some of them again */
            job.weights += units / 4 * panel_words;
            job.biases += units / 4 * 4;
            job.scales += units / 4 * layer->scale_step;
            job.out += units - 4;
            job.panels = 1;
            dense_panels(&job);
        }
        in += panel_words;
        out += units;
    }
}
