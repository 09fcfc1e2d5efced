#include "scalar.h"

/* Where there is no assembly: depthwise_scalar_3x3_v7m.S. */
#if !defined(__ARM_ARCH_ISA_THUMB) || __ARM_ARCH_ISA_THUMB == 1 || defined(__ARM_FEATURE_DSP)

static void rows(const depthwise_scalar_job *job, int32_t stride)
{
    const int8_t *ring = job->rings, *w = job->weights;
    const int32_t *p = job->parameters;

    for (int32_t channel = 0; channel < job->channels; channel++, w += 9, p += 4, ring += job->ring_bytes) {
        const int8_t *a = ring + job->rows[0], *b = ring + job->rows[1], *c = ring + job->rows[2];
        int8_t *out = job->out + channel;
        for (int32_t left = job->columns; left > 0; left--, out += job->channels) {
            const int32_t sum = p[0] + a[0] * w[0] + a[1] * w[1] + a[2] * w[2] + b[0] * w[3] + b[1] * w[4]
                + b[2] * w[5] + c[0] * w[6] + c[1] * w[7] + c[2] * w[8];
            *out = requantized(sum, p + 1);
            a += stride;
            b += stride;
            c += stride;
        }
    }
}

void depthwise_scalar_stride1(const depthwise_scalar_job *job)
{
    rows(job, 1);
}

void depthwise_scalar_stride2(const depthwise_scalar_job *job)
{
    rows(job, 2);
}

#endif
