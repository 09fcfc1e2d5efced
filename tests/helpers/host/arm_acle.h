/* What the kernels use of Arm's header of the same name, in C, for builds on the host. */
#ifndef ARM_ACLE_H
#define ARM_ACLE_H

#include <stdint.h>

static inline int32_t host_half(uint32_t halves, int upper)
{
    return (int16_t)(halves >> (upper ? 16 : 0));
}

static inline int32_t __smlad(uint32_t a, uint32_t b, int32_t sum)
{
    const int64_t products = (int64_t)host_half(a, 0) * host_half(b, 0) + (int64_t)host_half(a, 1) * host_half(b, 1);
    return (int32_t)(sum + products);
}

static inline int32_t host_saturated(int32_t value, int bits)
{
    const int32_t most = (int32_t)((1u << (bits - 1)) - 1);
    return value > most ? most : value < -most - 1 ? -most - 1 : value;
}
#define __ssat(value, bits) host_saturated(value, bits)

static inline uint8_t __clz(uint32_t value)
{
    return (uint8_t)(value ? __builtin_clz(value) : 32);
}

/* The DSP instructions that kernels have as inline assembly; hosted.py puts these calls in their place. */
static inline int32_t host_smmlar(int32_t a, int32_t b, int32_t sum)
{
    return (int32_t)(((int64_t)sum * ((int64_t)1 << 32) + (int64_t)a * b + 0x80000000) >> 32);
}

static inline uint32_t host_sxtab16(uint32_t sum, uint32_t bytes)
{
    const uint32_t low = (uint16_t)((uint16_t)sum + (uint16_t)(int8_t)bytes);
    const uint32_t high = (uint16_t)((uint16_t)(sum >> 16) + (uint16_t)(int8_t)(bytes >> 16));
    return low | high << 16;
}

#endif
