#include "bytes.h"

/* Otherwise GCC recognizes the loops and calls memcpy and memset. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

/* Some cores access words at any address, others only at multiples of 4. */
#ifdef __ARM_FEATURE_UNALIGNED
typedef uint32_t word __attribute__((may_alias, aligned(1)));
#else
typedef uint32_t word __attribute__((may_alias, aligned(4)));
#endif

static inline int by_words(const int8_t *address)
{
    return (uintptr_t)address % _Alignof(word) == 0;
}

int8_t *copy_bytes(int8_t *restrict to, const int8_t *restrict from, int32_t bytes)
{
    if (by_words(to) && by_words(from)) {
        for (; bytes >= 16; bytes -= 16, to += 16, from += 16) {
            for (int32_t i = 0; i < 4; i++) {
                ((word *)to)[i] = ((const word *)from)[i];
            }
        }
        for (; bytes >= 4; bytes -= 4, to += 4, from += 4) {
            *(word *)to = *(const word *)from;
        }
    }
    for (; bytes > 0; bytes--) {
        *to++ = *from++;
    }
    return to;
}

int8_t *fill_bytes(int8_t *to, int32_t value, int32_t bytes)
{
    const uint32_t four = (uint8_t)value * UINT32_C(0x01010101);
    if (by_words(to)) {
        for (; bytes >= 4; bytes -= 4, to += 4) {
            *(word *)to = four;
        }
    }
    for (; bytes > 0; bytes--) {
        *to++ = (int8_t)value;
    }
    return to;
}
