#include "kernels.h"

/* Otherwise GCC recognizes the loop over a block and calls memset. */
#pragma GCC optimize("no-tree-loop-distribute-patterns")

/* A block is the weights of one word of the bitmap: hil/kernels/weight_storage.py. */
enum { BLOCK = 32, GAP = 48 };

typedef uint32_t word __attribute__((may_alias));

static inline int32_t round_up(int32_t value, int32_t power_of_two)
{
    return (value + power_of_two - 1) & -power_of_two;
}

/* Number of leading zero bits of a nonzero word. */
static inline int32_t leading_zeros(uint32_t bits)
{
#ifdef __ARM_FEATURE_CLZ
    return __builtin_clz(bits);
#else
    /* Without the CLZ instruction GCC calls a function that is slower than this loop. */
    int32_t zeros = 0;
    for (; bits >> 31 == 0; bits <<= 1) {
        zeros++;
    }
    return zeros;
#endif
}

/* Expands four values at a time: one field in each byte of a word, sign-extended. */
static inline const uint32_t *
unpack(const uint32_t *stored, int32_t bits, int8_t *weights, int32_t count)
{
    const uint32_t bytes = UINT32_C(0x01010101);
    const uint32_t field = ((1u << bits) - 1) * bytes;
    const uint32_t sign = (1u << (bits - 1)) * bytes;
    const uint32_t top = 0x80u * bytes;
    word *to = (word *)weights;
    for (; count > 0; count -= 32 / bits) {
        uint32_t packed = *stored++;
#pragma GCC unroll 4
        for (int32_t k = 0; k < 8 / bits; k++, packed >>= bits) {
            /* (x ^ sign) - sign extends the sign; the top bit stops borrows between bytes. */
            *to++ = (((packed & field) ^ (sign | top)) - sign) ^ top;
        }
    }
    return stored;
}

const uint32_t *
expand_packed(const uint32_t *stored, int32_t bits, int8_t *weights, int32_t count)
{
    return bits == 4 ? unpack(stored, 4, weights, count) : unpack(stored, 2, weights, count);
}

const uint32_t *
expand_sparse(const uint32_t *stored, int32_t bits, int8_t *weights, int32_t count)
{
    const int32_t nonzero = (int32_t)*stored++;
    const uint32_t *bitmap = stored;
    const uint32_t *packed = stored + round_up(count, BLOCK) / BLOCK;
    const uint32_t *end = packed + round_up(nonzero, 4) / 4;
    const int8_t *values = (const int8_t *)packed;
    if (bits < 8) {
        /* The values are expanded to the end of the area, so that no block overwrites values that
         * are still to be read: at most as many values as weights are left. */
        const int32_t kept = round_up(nonzero, bits == 4 ? 8 : 16);
        int8_t *behind = weights + round_up(count, 16) + GAP - kept;
        end = expand_packed(packed, bits, behind, nonzero);
        values = behind;
    }
    for (; count > 0; count -= BLOCK, weights += BLOCK) {
#pragma GCC unroll 8
        for (int32_t i = 0; i < BLOCK / 4; i++) {
            ((word *)weights)[i] = 0;
        }
        int8_t *weight = weights;
        for (uint32_t left = *bitmap++; left != 0;) {
            const int32_t zeros = leading_zeros(left);
            weight += zeros;
            *weight++ = *values++;
            left = left << zeros << 1;
        }
    }
    return end;
}
