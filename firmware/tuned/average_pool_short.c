#include "tuned.h"

#pragma GCC optimize("Os") /* it is there for least code */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

void average_pool_short(const average_pool_short_layer *layer, const int8_t *in, int8_t *out)
{
    const int32_t channels = layer->channels, pixels = layer->pixels, half = pixels / 2;

    for (int32_t channel = 0; channel < channels; channel += 4, in += 4) {
        const int8_t *pixel = in;
        word even = 0, odd = 0; /* sums of channels 0 and 2, 1 and 3 */
        int32_t left = pixels;
        do {
            const word four = *(const loose_word *)pixel;
            even = __sxtab16(even, four);
            odd = __sxtab16(odd, four >> 8 | four << 24);
            pixel += channels;
        } while (--left > 0);
        for (int32_t i = 4; i > 0; i--) {
            const int32_t sum = (int16_t)even;
            const word later = even >> 16;
            *out++ = (int8_t)((sum < 0 ? sum - half : sum + half) / pixels);
            even = odd;
            odd = later;
        }
    }
}

#endif
