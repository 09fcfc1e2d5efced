/* Requantization of kernels that are short: what is stored of a channel, 8 bytes, and what it is to a kernel. */
#ifndef TUNED_SHORT_H
#define TUNED_SHORT_H

#include "tuned.h"

typedef struct {
    int32_t bias, factor, constant, right_shift; /* hil/tuned/requantize.py */
} short_scale;

/* `stored`: the factor; 32 times the bias, plus the right shift. `odd`: twice the zero point, plus 1. */
static inline short_scale scale_of(const int32_t *stored, int32_t odd)
{
    const int32_t right_shift = stored[1] & 31;
    return (short_scale){stored[1] >> 5, stored[0], odd * (1 << (right_shift - 1)), right_shift};
}

#endif
