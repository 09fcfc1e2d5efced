#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

void fully_connected_s8(const fully_connected_s8_layer *layer, const int8_t *in, int8_t *out)
{
    for (int32_t row = layer->rows; row > 0; row--, in += layer->inputs, out += layer->units)
        fc_panel(layer, in, out, 0);
}

#endif
