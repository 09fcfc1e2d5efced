/* The interface of a custom operator that a user supplies. */
#ifndef CUSTOM_H
#define CUSTOM_H

#include <stdint.h>

/* An operand: real value = scale * (quantized value - zero_point). */
typedef struct {
    void *data; /* int8_t, int16_t or int32_t values; read only for inputs */
    const int32_t *shape;
    int32_t rank;
    float scale;
    int32_t zero_point;
} custom_tensor;

/* Computes `outputs` from `inputs`, both in the order of the model file, whose options of the
 * operator are `options`. */
typedef void custom_function(const custom_tensor *inputs, const custom_tensor *outputs,
                             const uint8_t *options, uint32_t options_bytes);

#endif
