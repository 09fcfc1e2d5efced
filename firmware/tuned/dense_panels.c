#include "scalar.h"

/* Where there is no assembly for all of it: dense_panels_v7m.S. */
#if !defined(__ARM_ARCH_ISA_THUMB) || __ARM_ARCH_ISA_THUMB == 1 || defined(__ARM_FEATURE_DSP)

#if defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
void dense_sums(const int8_t *x, const word *weights, int32_t inputs, int32_t sums[4]); /* dense_sums_v6m.S */
#else
static void dense_sums(const int8_t *x, const word *weights, int32_t inputs, int32_t sums[4])
{
    int32_t a = 0, b = 0, c = 0, d = 0;
    for (; inputs > 0; inputs--) {
        const int32_t input = *x++;
        const word four = *weights++;
        a += input * (int32_t)(four & 255);
        b += input * (int32_t)(four >> 8 & 255);
        c += input * (int32_t)(four >> 16 & 255);
        d += input * (int32_t)(four >> 24);
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}
#endif

void dense_panels(const dense_scalar_job *job)
{
    const int32_t inputs = 2 * job->pairs;
    const word *w = job->weights;
    const int32_t *bias = job->biases, *scale = job->scales;
    int8_t *out = job->out;
    int32_t total = 0;

    for (int32_t i = 0; i < inputs; i++)
        total += job->x[i];
    for (int32_t panel = job->panels; panel > 0; panel--, w += inputs) {
        int32_t sums[4];
        dense_sums(job->x, w, inputs, sums);
        for (int32_t i = 0; i < 4; i++) { /* the weights have 128 added */
            *out++ = requantized(sums[i] - 128 * total + *bias++, scale);
            scale += job->scale_step / 4;
        }
    }
}

#endif
