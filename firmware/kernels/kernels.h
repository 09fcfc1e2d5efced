/* Int8 kernels that the CMSIS-NN subset lacks, bit-equal to TensorFlow Lite's reference.
 *
 * Requantization rounds twice, as gemmlowp and CMSIS-NN do by default. Every kernel may write
 * its output over the input it belongs to.
 */
#ifndef HIL_KERNELS_H
#define HIL_KERNELS_H

#include <stdint.h>

/* One addend, or the sum: offset is minus the zero point of an input, the zero point of an output;
 * the real factor, below 1, is multiplier / 2^(31 + right_shift). */
typedef struct {
    int32_t offset;
    int32_t multiplier;
    int32_t right_shift;
} add_s8_term;

/* Addends are shifted left before they are scaled. */
typedef struct {
    int32_t left_shift;
    add_s8_term left;
    add_s8_term right;
    add_s8_term output;
    int32_t minimum;
    int32_t maximum;
} add_s8_parameters;

/* The real factor is multiplier * 2^(left_shift - right_shift - 31); one shift is 0. */
typedef struct {
    int32_t input_offset;
    int32_t output_offset;
    int32_t multiplier;
    int32_t left_shift;
    int32_t right_shift;
    int32_t minimum;
    int32_t maximum;
} requantize_s8_parameters;

/* Differences to the row's maximum below diff_min count as zero probability. */
typedef struct {
    int32_t multiplier;
    int32_t left_shift;
    int32_t diff_min;
} softmax_s8_parameters;

void add_s8(const add_s8_parameters *parameters,
            const int8_t *left,
            const int8_t *right,
            int8_t *output,
            int32_t elements);

void requantize_s8(const requantize_s8_parameters *parameters,
                   const int8_t *input,
                   int8_t *output,
                   int32_t elements);

/* Softmax of each of `rows` rows of `columns` (at most 511) values. */
void softmax_s8(const softmax_s8_parameters *parameters,
                const int8_t *input,
                int8_t *output,
                int32_t rows,
                int32_t columns);

#endif
