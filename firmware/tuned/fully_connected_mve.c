#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include "mve_pixels.h"

void fully_connected_mve(const fully_connected_mve_layer *layer, const int8_t *in, int8_t *out)
{
    mve_panels_job job = {
        .x = in, .out = out, .channels = layer->channels, .steps = layer->steps,
        .one = 1, .zero = layer->zero, .lowest = layer->lowest, .highest = layer->highest,
        .weights = layer->weights, .parameters = layer->parameters};
    run_pixels(&job, 1);
}

#endif
