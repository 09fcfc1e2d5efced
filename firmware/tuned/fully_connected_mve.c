#include "tuned.h"

#if defined(__ARM_FEATURE_MVE)
#include "mve_pixels.h"

void fully_connected_mve(const fully_connected_mve_layer *layer, const int8_t *in, int8_t *out)
{
    mve_panels_job job = {
        .channels = layer->channels, .steps = layer->steps,
        .one = 1, .zero = layer->zero, .lowest = layer->lowest, .highest = layer->highest};
    run_pixels(&job, layer->weights, layer->parameters, in, out, 1);
}

#endif
