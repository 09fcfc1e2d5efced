#include "tuned.h"

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)
#include <arm_acle.h>

/* Twice the weights of a column, in whose word there is room for a fourth byte. */
static inline void unpack_column(uint32_t bytes, word *upper, word *lower)
{
    uint32_t outer = __sxtb16(bytes), inner = __sxtb16(bytes >> 8 | bytes << 24); /* (w0, w2), (w1, ...) */
    outer = __sadd16(outer, outer);
    inner = __sadd16(inner, inner);
    *upper = (outer & 0xffff) | inner << 16;
    *lower = (inner & 0xffff) | (outer & 0xffff0000);
}

void depthwise_unpack(const word *record, depthwise_channel *channel)
{
    const uint32_t first = record[0], second = record[1];
    const int32_t right = (int32_t)first >> 24, zero_point = (int32_t)second >> 24;
    unpack_column(first, &channel->upper[0], &channel->lower[0]);
    unpack_column(second, &channel->upper[1], &channel->lower[1]);
    unpack_column(record[2], &channel->upper[2], &channel->lower[2]);
    channel->bias = (int32_t)record[3];
    channel->factor = (int32_t)record[4];
    channel->constant = (2 * zero_point + 1) * (1 << (right - 1));
    channel->right_shift = right;
}

#endif
