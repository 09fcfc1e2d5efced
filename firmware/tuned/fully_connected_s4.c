#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

#include <arm_acle.h>

/* Four at a time: plus 128 they are unsigned, and the sum of their differences to 0 is one instruction. */
static int32_t sum_of(const int8_t *x, int32_t count)
{
    uint32_t sum = 0;
    int32_t i = 0;

    for (; i + 8 <= count; i += 8) {
        const word first = *(const loose_word *)(x + i), second = *(const loose_word *)(x + i + 4);
        sum = __usada8(first ^ 0x80808080u, 0, sum);
        sum = __usada8(second ^ 0x80808080u, 0, sum);
    }
    for (; i < count; i++)
        sum += (uint8_t)(x[i] ^ 0x80);
    return (int32_t)sum - 128 * count;
}

/* What the 8s that are added to the weights add to a sum is 8 times the sum of the inputs. */
void fully_connected_s4(const fully_connected_s4_layer *layer, const int8_t *in, int8_t *out)
{
    for (int32_t row = layer->rows; row > 0; row--, in += layer->inputs, out += layer->units)
        fc_panel4(layer, in, out, -8 * sum_of(in, layer->inputs));
}

#endif
