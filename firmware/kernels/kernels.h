/* Kernels that the CMSIS-NN subset lacks, bit-exact with TensorFlow Lite's reference kernels.
 *
 * Requantization rounds twice, as gemmlowp and CMSIS-NN do by default; but kernels with weights on
 * int16 scale sums of 64 bits once, by multiplier / 2^shift (multiply_by_reduced), and have no
 * zero points. Element-wise kernels may write their output over an input of the same size; the
 * others may not.
 */
#ifndef HIL_KERNELS_H
#define HIL_KERNELS_H

#include <stdint.h>

#include "arm_nn_types.h"

/* One addend or the sum. `offset` is minus the zero point of an addend, or the zero point of
 * the sum. The scale factor, below 1, is multiplier / 2^(31 + right_shift). */
typedef struct {
    int32_t offset;
    int32_t multiplier;
    int32_t right_shift;
} add_s8_term;

/* Addends are shifted left before scaling. For a subtraction the right multiplier is negative. */
typedef struct {
    int32_t left_shift;
    add_s8_term left;
    add_s8_term right;
    add_s8_term output;
    int32_t minimum;
    int32_t maximum;
} add_s8_parameters;

/* The scale factor is multiplier * 2^(left_shift - right_shift - 31); one of the shifts is 0. */
typedef struct {
    int32_t input_offset;
    int32_t output_offset;
    int32_t multiplier;
    int32_t left_shift;
    int32_t right_shift;
    int32_t minimum;
    int32_t maximum;
} requantize_s8_parameters;

/* A factor as in requantize_s8_parameters. */
typedef struct {
    int32_t multiplier;
    int32_t left_shift;
    int32_t right_shift;
} scale_factor;

/* Input offsets are minus the zero points; the scale factor is as in requantize_s8_parameters. */
typedef struct {
    int32_t left_offset;
    int32_t right_offset;
    int32_t output_offset;
    int32_t multiplier;
    int32_t left_shift;
    int32_t right_shift;
    int32_t minimum;
    int32_t maximum;
} mul_s8_parameters;

/* Offsets as in mul_s8_parameters; the factors are those of x >= 0 and of x * alpha. */
typedef struct {
    int32_t input_offset;
    int32_t alpha_offset;
    int32_t output_offset;
    scale_factor above;
    scale_factor below;
} prelu_s8_parameters;

/* Extents of left[batches][rows][depth]. An element of the right matrix is `along` elements from the
 * next one of its column, and `across` from the next one of its row. */
typedef struct {
    int32_t left_offset;
    int32_t right_offset;
    int32_t output_offset;
    int32_t multiplier;
    int32_t left_shift;
    int32_t right_shift;
    int32_t batches;
    int32_t rows;
    int32_t depth;
    int32_t columns;
    int32_t along;
    int32_t across;
} batch_matmul_s8_parameters;

/* The scale factor is as in requantize_s8_parameters; that of a mean includes the division by the
 * count. */
typedef struct {
    int32_t sum_offset;
    int32_t output_offset;
    int32_t multiplier;
    int32_t left_shift;
    int32_t right_shift;
} mean_s8_parameters;

/* Extents of input[blocks][outer][between][inner][elements]; outer and inner are reduced. */
typedef struct {
    int32_t blocks;
    int32_t outer;
    int32_t between;
    int32_t inner;
    int32_t elements;
} reduce_shape;

/* Sizes of the input, and the padding bytes before and after all, each plane and each row. */
typedef struct {
    int32_t value;
    int32_t planes;
    int32_t rows;
    int32_t row_bytes;
    int32_t before;
    int32_t after;
    int32_t before_plane;
    int32_t after_plane;
    int32_t before_row;
    int32_t after_row;
} pad_s8_parameters;

/* One loop of rearrange: how often, and the bytes of the input from one turn to the next. */
typedef struct {
    int32_t count;
    int32_t step_bytes;
} rearrange_level;

#define REARRANGE_LEVELS 6
/* The row and column of the input to copy, for each row and column of the output. */
typedef struct {
    int32_t rows;
    int32_t columns;
    int32_t row_bytes; /* of the input */
    int32_t pixel_bytes;
    const int16_t *source_rows;
    const int16_t *source_columns;
} resize_nearest_parameters;

/* Positions in the input along one axis: max(0, output * step + start) / 1024. */
typedef struct {
    int32_t inputs;
    int32_t outputs;
    int32_t step;
    int32_t start;
} resize_axis;

typedef struct {
    resize_axis rows;
    resize_axis columns;
    int32_t channels;
} resize_bilinear_parameters;

/* A difference to the row's maximum below diff_min gets probability 0. */
typedef struct {
    int32_t multiplier;
    int32_t left_shift;
    int32_t diff_min;
} softmax_s8_parameters;

/* A difference to a row's maximum, times multiplier * 2^(left_shift - right_shift - 31), in steps
 * of 10/65535; tables of exp over -10 .. 0 and of 1 / (1 + x) over 0 .. 1 in units of 2^-15. */
typedef struct {
    const int16_t *exponentials;
    const int16_t *reciprocals;
    int32_t multiplier;
    int32_t left_shift;
    int32_t right_shift;
} softmax_s16_parameters;

/* The scale factor of a product, at most 1: multiplier / 2^(31 + right_shift). */
typedef struct {
    int32_t multiplier;
    int32_t right_shift;
} product_factor;

/* A gate: weights[units][inputs] and [units][units], and what is added to each unit's sums, which
 * includes the bias and minus the zero points. On int16 the factors are as in multiply_by_reduced,
 * without a left shift. */
typedef struct {
    const int8_t *input_weights;
    const int8_t *recurrent_weights;
    const int32_t *input_offsets;
    const int32_t *recurrent_offsets;
    scale_factor input;
    scale_factor recurrent;
} lstm_gate;

/* The gates are input, forget, cell, output. The factors scale the products forget gate * cell
 * state, input gate * cell gate, output gate * tanh(cell state); the cell state stays
 * within -clip .. clip; times cell_multiplier / 2^cell_right_shift it is an argument of tanh_s16.
 * `table` is that of logistic_s16. */
typedef struct {
    int32_t steps;
    int32_t inputs;
    int32_t units;
    lstm_gate gates[4];
    product_factor forget;
    product_factor update;
    product_factor output;
    int32_t output_offset;
    int32_t cell_multiplier;
    int32_t cell_right_shift;
    int32_t clip;
    const uint16_t *table;
} lstm_parameters;

/* What one side, the input or the hidden state, adds to a gate: weights[units][values], what is added
 * to each unit's sum (NULL: nothing), and the factor as in multiply_by_reduced. */
typedef struct {
    const int8_t *weights;
    const int32_t *offsets;
    int32_t multiplier;
    int32_t right_shift;
} gate_sums;

/* The gates are reset, update, new of a GRU; input, forget, cell, output of an LSTM. The input is
 * int16 if `wide`, else int8. A gate's sum, and an LSTM's cell state, times multiplier /
 * 2^right_shift are arguments of logistic_s16 and tanh_s16, whose `table` it is. `update` scales
 * input gate * cell gate. */
typedef struct {
    int32_t steps;
    int32_t inputs;
    int32_t units;
    int32_t wide;
    int32_t last_only;
    int32_t input_offset;
    gate_sums input[4];
    gate_sums recurrent[4];
    int32_t argument_multiplier;
    int32_t argument_right_shift;
    int32_t cell_multiplier;
    int32_t cell_right_shift;
    product_factor update;
    const uint16_t *table;
} recurrence_parameters;

/* `feature` scales what enters the state, `output` the sums over time; offsets are the zero points
 * of state and output. */
typedef struct {
    int32_t inputs;
    int32_t units;
    int32_t rank;
    int32_t memory;
    scale_factor feature;
    scale_factor output;
    int32_t state_offset;
    int32_t output_offset;
} svdf_parameters;

/* Expand `count` weights to int8: packed ones of 4 or 2 bits; sparse ones, a bitmap and the nonzero
 * weights in 8, 4 or 2 bits. Format and size of `weights`: hil/kernels/weight_storage.py. `weights`
 * is word-aligned. Both return the end of the data read. */
const uint32_t *
expand_packed(const uint32_t *stored, int32_t bits, int8_t *weights, int32_t count);
const uint32_t *
expand_sparse(const uint32_t *stored, int32_t bits, int8_t *weights, int32_t count);

/* Sum with broadcasting: left and output have `repeats` times the `elements` of right. */
void add_s8(const add_s8_parameters *parameters,
            const int8_t *left,
            const int8_t *right,
            int8_t *output,
            int32_t repeats,
            int32_t elements);

/* Product, with broadcasting as in add_s8. */
void mul_s8(const mul_s8_parameters *parameters,
            const int8_t *left,
            const int8_t *right,
            int8_t *output,
            int32_t repeats,
            int32_t elements);

/* The lesser and the greater of two values, with broadcasting as in add_s8. */
void minimum_s8(const int8_t *left,
                const int8_t *right,
                int8_t *output,
                int32_t repeats,
                int32_t elements);
void maximum_s8(const int8_t *left,
                const int8_t *right,
                int8_t *output,
                int32_t repeats,
                int32_t elements);

void add_s16(const add_s8_parameters *parameters,
             const int16_t *left,
             const int16_t *right,
             int16_t *output,
             int32_t repeats,
             int32_t elements);

/* Zero points are 0; the product of two values is not shifted left. */
void mul_s16(const mul_s8_parameters *parameters,
             const int16_t *left,
             const int16_t *right,
             int16_t *output,
             int32_t repeats,
             int32_t elements);

void minimum_s16(const int16_t *left,
                 const int16_t *right,
                 int16_t *output,
                 int32_t repeats,
                 int32_t elements);
void maximum_s16(const int16_t *left,
                 const int16_t *right,
                 int16_t *output,
                 int32_t repeats,
                 int32_t elements);

void requantize_s8(const requantize_s8_parameters *parameters,
                   const int8_t *input,
                   int8_t *output,
                   int32_t elements);
void requantize_s8_s16(const requantize_s8_parameters *parameters,
                       const int8_t *input,
                       int16_t *output,
                       int32_t elements);
void requantize_s16_s8(const requantize_s8_parameters *parameters,
                       const int16_t *input,
                       int8_t *output,
                       int32_t elements);
void requantize_s16(const requantize_s8_parameters *parameters,
                    const int16_t *input,
                    int16_t *output,
                    int32_t elements);

/* table[i] is the output for the input whose byte is i as an unsigned number. */
void lookup_s8(const int8_t table[256], const int8_t *input, int8_t *output, int32_t elements);

/* Input and output have `repeats` times the `elements` of alpha. */
void prelu_s8(const prelu_s8_parameters *parameters,
              const int8_t *input,
              const int8_t *alpha,
              int8_t *output,
              int32_t repeats,
              int32_t elements);

/* The output must not overlap the inputs. */
void batch_matmul_s8(const batch_matmul_s8_parameters *parameters,
                     const int8_t *left,
                     const int8_t *right,
                     int8_t *output);

/* The factors are those of inputs from zero on, and of those below. */
void leaky_relu_s16(const scale_factor *above,
                    const scale_factor *below,
                    const int16_t *input,
                    int16_t *output,
                    int32_t elements);

/* The table is sigmoid(i / 24) * 65536. The functions' argument is
 * input * multiplier / 2^right_shift / 12288; the output's scale is 1/32768. */
void logistic_s16(const uint16_t table[256],
                  int32_t multiplier,
                  int32_t right_shift,
                  const int16_t *input,
                  int16_t *output,
                  int32_t elements);
void tanh_s16(const uint16_t table[256],
              int32_t multiplier,
              int32_t right_shift,
              const int16_t *input,
              int16_t *output,
              int32_t elements);

/* Sum, or mean, over the middle axis of input[blocks][count][elements]; output[blocks][elements]. */
void mean_s8(const mean_s8_parameters *parameters,
             const int8_t *input,
             int8_t *output,
             int32_t blocks,
             int32_t count,
             int32_t elements);

/* Sums, or means, maxima and minima over two axes; output[blocks][between][elements]. */
void sum_s8(const mean_s8_parameters *parameters,
            const reduce_shape *shape,
            const int8_t *input,
            int8_t *output);
void sum_s16(const mean_s8_parameters *parameters,
             const reduce_shape *shape,
             const int16_t *input,
             int16_t *output);
void reduce_max_s8(const reduce_shape *shape, const int8_t *input, int8_t *output);
void reduce_min_s8(const reduce_shape *shape, const int8_t *input, int8_t *output);
void reduce_max_s16(const reduce_shape *shape, const int16_t *input, int16_t *output);
void reduce_min_s16(const reduce_shape *shape, const int16_t *input, int16_t *output);

void pad_s8(const pad_s8_parameters *parameters, const int8_t *input, int8_t *output);

/* Depthwise convolution of depth multiplier 1, with CMSIS-NN's signature; uses no scratch buffer. */
void depthwise_s8(const cmsis_nn_context *scratch,
                  const cmsis_nn_dw_conv_params *parameters,
                  const cmsis_nn_per_channel_quant_params *scale,
                  const cmsis_nn_dims *input_dims,
                  const int8_t *input,
                  const cmsis_nn_dims *filter_dims,
                  const int8_t *filter,
                  const cmsis_nn_dims *bias_dims,
                  const int32_t *bias,
                  const cmsis_nn_dims *output_dims,
                  int8_t *output);

/* Convolution in groups: the filters' depth divides the input's channels, and equal shares of the
 * output's channels read one share of the input's each. CMSIS-NN's signature; no scratch buffer. */
void convolve_groups_s8(const cmsis_nn_context *scratch,
                        const cmsis_nn_conv_params *parameters,
                        const cmsis_nn_per_channel_quant_params *scale,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const int8_t *filter,
                        const cmsis_nn_dims *bias_dims,
                        const int32_t *bias,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output);

/* Convolutions of any depth multiplier or in groups whose weights have a zero point:
 * `filter_offset` is minus it, and is added to each. */
void convolve_offset_s8(const cmsis_nn_context *scratch,
                        const cmsis_nn_conv_params *parameters,
                        const cmsis_nn_per_channel_quant_params *scale,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const int8_t *filter,
                        const cmsis_nn_dims *bias_dims,
                        const int32_t *bias,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output,
                        int32_t filter_offset);
void depthwise_offset_s8(const cmsis_nn_context *scratch,
                         const cmsis_nn_dw_conv_params *parameters,
                         const cmsis_nn_per_channel_quant_params *scale,
                         const cmsis_nn_dims *input_dims,
                         const int8_t *input,
                         const cmsis_nn_dims *filter_dims,
                         const int8_t *filter,
                         const cmsis_nn_dims *bias_dims,
                         const int32_t *bias,
                         const cmsis_nn_dims *output_dims,
                         int8_t *output,
                         int32_t filter_offset);

/* Rounds ties upwards, as TensorFlow Lite does on uint8. */
void average_pool_up_s8(const cmsis_nn_context *scratch,
                        const cmsis_nn_pool_params *parameters,
                        const cmsis_nn_dims *input_dims,
                        const int8_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const cmsis_nn_dims *output_dims,
                        int8_t *output);

/* The int16 kernels below have the signatures of CMSIS-NN's int8 kernels and use no scratch buffer.
 * A fully connected layer is a convolution of one column. convolve_s16 takes groups. */
void convolve_s16(const cmsis_nn_context *scratch,
                  const cmsis_nn_conv_params *parameters,
                  const cmsis_nn_per_channel_quant_params *scale,
                  const cmsis_nn_dims *input_dims,
                  const int16_t *input,
                  const cmsis_nn_dims *filter_dims,
                  const int8_t *filter,
                  const cmsis_nn_dims *bias_dims,
                  const int32_t *bias,
                  const cmsis_nn_dims *output_dims,
                  int16_t *output);

/* A filter has at most 511 taps; any depth multiplier. */
void depthwise_s16(const cmsis_nn_context *scratch,
                   const cmsis_nn_dw_conv_params *parameters,
                   const cmsis_nn_per_channel_quant_params *scale,
                   const cmsis_nn_dims *input_dims,
                   const int16_t *input,
                   const cmsis_nn_dims *filter_dims,
                   const int8_t *filter,
                   const cmsis_nn_dims *bias_dims,
                   const int32_t *bias,
                   const cmsis_nn_dims *output_dims,
                   int16_t *output);

/* Transposed convolutions; `padding` of the parameters is what is cut off at the top and left. */
void transpose_conv_s8(const cmsis_nn_context *scratch,
                       const cmsis_nn_conv_params *parameters,
                       const cmsis_nn_per_channel_quant_params *scale,
                       const cmsis_nn_dims *input_dims,
                       const int8_t *input,
                       const cmsis_nn_dims *filter_dims,
                       const int8_t *filter,
                       const cmsis_nn_dims *bias_dims,
                       const int32_t *bias,
                       const cmsis_nn_dims *output_dims,
                       int8_t *output);
void transpose_conv_s16(const cmsis_nn_context *scratch,
                        const cmsis_nn_conv_params *parameters,
                        const cmsis_nn_per_channel_quant_params *scale,
                        const cmsis_nn_dims *input_dims,
                        const int16_t *input,
                        const cmsis_nn_dims *filter_dims,
                        const int8_t *filter,
                        const cmsis_nn_dims *bias_dims,
                        const int32_t *bias,
                        const cmsis_nn_dims *output_dims,
                        int16_t *output);

/* A window has at most 65535 elements. */
void average_pool_s16(const cmsis_nn_context *scratch,
                      const cmsis_nn_pool_params *parameters,
                      const cmsis_nn_dims *input_dims,
                      const int16_t *input,
                      const cmsis_nn_dims *filter_dims,
                      const cmsis_nn_dims *output_dims,
                      int16_t *output);

void max_pool_s16(const cmsis_nn_context *scratch,
                  const cmsis_nn_pool_params *parameters,
                  const cmsis_nn_dims *input_dims,
                  const int16_t *input,
                  const cmsis_nn_dims *filter_dims,
                  const cmsis_nn_dims *output_dims,
                  int16_t *output);

/* One part of a concatenation: rows of `row_bytes`, `stride_bytes` apart in the output. Any type. */
void concatenate(const int8_t *input,
                 int8_t *output,
                 int32_t rows,
                 int32_t row_bytes,
                 int32_t stride_bytes);

/* Copies runs of `run_bytes` one after the other; `levels` (at most REARRANGE_LEVELS), outermost
 * first, say where in the input they are. Any type. */
void rearrange(const rearrange_level *levels,
               int32_t depth,
               int32_t run_bytes,
               const int8_t *input,
               int8_t *output);

/* In each block, copies the runs that `indices` name one after the other. Any type. */
void gather(const int16_t *indices,
            const int8_t *input,
            int8_t *output,
            int32_t blocks,
            int32_t block_bytes,
            int32_t count,
            int32_t run_bytes);

/* Nearest neighbor of elements of any size. */
void resize_nearest(const resize_nearest_parameters *parameters,
                    const int8_t *input,
                    int8_t *output);

void resize_bilinear_s8(const resize_bilinear_parameters *parameters,
                        const int8_t *input,
                        int8_t *output);
void resize_bilinear_s16(const resize_bilinear_parameters *parameters,
                         const int16_t *input,
                         int16_t *output);

/* Softmax of each of `rows` rows of `columns` (at most 4095) values. */
void softmax_s8(const softmax_s8_parameters *parameters,
                const int8_t *input,
                int8_t *output,
                int32_t rows,
                int32_t columns);
void softmax_s8_s16(const softmax_s8_parameters *parameters,
                    const int8_t *input,
                    int16_t *output,
                    int32_t rows,
                    int32_t columns);
void softmax_s16(const softmax_s16_parameters *parameters,
                 const int16_t *input,
                 int16_t *output,
                 int32_t rows,
                 int32_t columns);

/* LSTM over input[steps][inputs]; output[steps][units]. The next states may be written over the
 * states, hidden[units] and cell[units]. */
void lstm_s8(const lstm_parameters *parameters,
             const int8_t *input,
             const int8_t *hidden,
             const int16_t *cell,
             int8_t *output,
             int8_t *next_hidden,
             int16_t *next_cell);
void lstm_s16(const lstm_parameters *parameters,
              const int16_t *input,
              const int16_t *hidden,
              const int16_t *cell,
              int16_t *output,
              int16_t *next_hidden,
              int16_t *next_cell);

/* GRU and LSTM of torch over input[steps][inputs], from states of zeros: output[steps][units], or
 * [units] of the last step with `last_only`. Scratch: states[units], two of a GRU and three of an
 * LSTM, and [inputs] for an input of int8. */
void gru_s16(const recurrence_parameters *parameters,
             const void *input,
             int16_t *output,
             int16_t *scratch);
void lstm_reset_s16(const recurrence_parameters *parameters,
                    const void *input,
                    int16_t *output,
                    int16_t *scratch);

/* SVDF on input[inputs]: weights[units * rank][inputs] and [units * rank][memory], and what is
 * added to the sums of each filter and of each unit. The next state may be written over the
 * state, [units * rank][memory]. */
void svdf_s8(const svdf_parameters *parameters,
             const int8_t *input,
             const int8_t *state,
             const int8_t *feature_weights,
             const int32_t *feature_offsets,
             const int8_t *time_weights,
             const int32_t *output_offsets,
             int8_t *output,
             int8_t *next_state);
void svdf_s16(const svdf_parameters *parameters,
              const int8_t *input,
              const int16_t *state,
              const int8_t *feature_weights,
              const int32_t *feature_offsets,
              const int16_t *time_weights,
              const int32_t *output_offsets,
              int8_t *output,
              int16_t *next_state);

#endif
