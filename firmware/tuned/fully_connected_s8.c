#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

void fully_connected_s8(const fully_connected_s8_layer *layer, const int8_t *in, int8_t *out)
{
    const int32_t inputs = (layer->inputs + 3) & ~3;

    for (int32_t row = 0; row < layer->rows; row++, in += layer->inputs, out += layer->units) {
        fc_panel_job job = {.x = in, .inputs = inputs};
        run_fc_panels(layer, &job, fc_panel, inputs, out);
    }
}

#endif
