/* memcpy and memset by words: newlib-nano's go byte by byte. */
#ifndef HIL_BYTES_H
#define HIL_BYTES_H

#include <stdint.h>

/* Copies to the end of what was written, which it returns; the areas do not overlap. */
int8_t *copy_bytes(int8_t *restrict to, const int8_t *restrict from, int32_t bytes);

/* Fills up to the end of what was written, which it returns. */
int8_t *fill_bytes(int8_t *to, int32_t value, int32_t bytes);

#endif
