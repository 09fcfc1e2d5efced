#include "scalar.h"

/* Where there is no assembly: conv_channels_v7m.S, conv_channels_v6m.S. */
#if !defined(__ARM_ARCH_ISA_THUMB) || defined(__ARM_FEATURE_DSP)

void conv_channels(const conv_scalar_job *job)
{
    const int8_t *w = (const int8_t *)job->weights;
    const int32_t *p = job->parameters;

    for (int32_t channel = 0; channel < job->channels; channel++, p += 4) {
        const word *x = job->x;
        const int8_t *v = w + (channel & 1 ? 2 : 0);
        word total = 0;
        int32_t second = 0;
        for (int32_t i = job->pairs; i > 0; i--, x += 2, v += 4) {
            const word both = x[0] * (word)v[0] + x[1] * (word)v[1];
            total += both;
            second += ((int32_t)both + 0x8000) >> 16;
        }
        const int32_t first = (int32_t)(total - ((word)second << 16));
        job->out[channel] = requantized(first + p[0], p + 1);
        job->out[channel + job->next_pixel] = requantized(second + p[0], p + 1);
        if (channel & 1)
            w = v - 2;
    }
}

#endif
