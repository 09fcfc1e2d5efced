/* memcpy and memset by words; newlib-nano's work byte by byte. */
#ifndef HIL_BYTES_H
#define HIL_BYTES_H

#include <stdint.h>

/* Copies bytes between areas that do not overlap; returns the end of the written area. */
int8_t *copy_bytes(int8_t *restrict to, const int8_t *restrict from, int32_t bytes);

/* Fills bytes with a value; returns the end of the written area. */
int8_t *fill_bytes(int8_t *to, int32_t value, int32_t bytes);

#endif
