/* The part of a window inside the input. */
#ifndef HIL_WINDOW_H
#define HIL_WINDOW_H

#include <stdint.h>

/* The taps of a window inside the input, along one axis. */
typedef struct {
    int32_t first;
    int32_t end;
    int32_t position; /* of the first tap, in the input */
} taps;

static inline taps
taps_inside(int32_t start, int32_t dilation, int32_t size, int32_t taps_in_all)
{
    const int32_t first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    const int32_t reach = size - start;
    const int32_t fitting = reach > 0 ? (reach + dilation - 1) / dilation : 0;
    const int32_t end = fitting < taps_in_all ? fitting : taps_in_all;
    return (taps){first, end, start + first * dilation};
}

#endif
