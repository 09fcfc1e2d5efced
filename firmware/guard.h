/* Guard area: detects kernels that write past the arena's end, where the bytes must keep their
 * paint. */
#ifndef GUARD_H
#define GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "model.h"

extern uint8_t __arena_start[], __guard_end[];

enum { GUARD_PAINT = 0xC3 };

static inline void guard_paint(void)
{
    for (volatile uint8_t *byte = __arena_start + MODEL_ARENA_BYTES; byte < __guard_end; byte++)
        *byte = GUARD_PAINT;
}

static inline bool guard_holds(void)
{
    const volatile uint8_t *byte = __arena_start + MODEL_ARENA_BYTES;
    while (byte < __guard_end && *byte == GUARD_PAINT)
        byte++;
    return byte == __guard_end;
}

#endif
