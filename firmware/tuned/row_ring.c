#include "tuned.h"

#pragma GCC optimize("Os") /* most time goes by in micro-kernels */

#if defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)

static void fill_words(word *to, word value, int32_t words)
{
    for (int32_t i = 0; i < words; i++)
        to[i] = value;
}

void clear_ring(const row_ring *ring, word *slots)
{
    fill_words(slots, ring->padding, ring->slots * ring->slot_words);
}

/* Word i of `to`: the upper half of word i of `from` and the lower half of the next. */
static void shift_halves(const word *from, word *to, int32_t words, word padding)
{
    word last = padding;
    for (int32_t i = 0; i < words; i++) {
        const word next = from[i];
        to[i - 1] = last >> 16 | next << 16;
        last = next;
    }
    to[words - 1] = last >> 16 | padding << 16;
}

static void expand_line(const row_ring *ring, const int8_t *line, word *slot)
{
    const int32_t whole = ring->used_bytes & ~3;
    word *const inputs = slot + ring->first_input;

    ring->expand(line, inputs, whole);
    for (int32_t i = whole; i < ring->used_bytes; i++)
        ((int16_t *)inputs)[i] = line[i];
    if (ring->shifted)
        shift_halves(inputs, slot + ring->shifted, (ring->used_bytes + 1) / 2, ring->padding);
}

void fill_ring(const row_ring *ring, word *slots, const int8_t *in, int32_t from, int32_t end)
{
    for (int32_t row = from; row < end; row++) {
        const int32_t line = row - ring->top;
        word *const slot = slots + row % ring->slots * ring->slot_words;
        if (line < 0 || line >= ring->lines)
            fill_words(slot, ring->padding, ring->slot_words);
        else
            expand_line(ring, in + line * ring->line_bytes, slot);
    }
}

void ring_rows(const row_ring *ring, const word *slots, int32_t from, int32_t count, int32_t at_words, word *rows)
{
    for (int32_t i = 0; i < count; i++)
        rows[i] = (word)(slots + (from + i) % ring->slots * ring->slot_words + at_words);
}

#endif
