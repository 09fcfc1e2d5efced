/* The tuned kernels: loop nests in C around micro-kernels in assembly. `hil/tuned` packs what they
 * read and proves that their arithmetic is exact for the layers they are called for. None of them needs more than 384
 * bytes of stack, with those that it calls. */
#ifndef TUNED_H
#define TUNED_H

#include <stdbool.h>
#include <stdint.h>

typedef uint32_t __attribute__((may_alias)) word;
/* A word at any address: the compiler reads it with LDR, which may do so, and not with LDRD or LDM, which may not. */
typedef uint32_t __attribute__((may_alias, aligned(1))) loose_word;

/* A convolution of pairs of pixels with one panel of four output channels: conv_panel.S. */
typedef struct {
    const void *rows;      /* pointers to the filter's rows of expanded inputs; ONE_ROW: that row */
    int32_t filter_rows;
    int32_t run_bytes;     /* one row of the filter, expanded */
    int32_t step_bytes;    /* from a pair of pixels to the next */
    int32_t pairs;         /* at least 1 */
    const word *weights;
    const int32_t *parameters; /* four biases, then factor, constant and right shift of each channel */
    int8_t *out;
    int32_t channels;      /* of the output: bytes from the first pixel of a pair to the second; 0: there is no second */
    int32_t skipped;       /* steps of two inputs by which a run is short of a multiple of eight */
    int32_t odd;           /* 1: one more pixel follows the pairs; what would be beside it is read, too */
    const word *sums;      /* weights of four bits: -8 times the sum of the inputs of each pixel */
} conv_panel_job;
typedef void conv_panel(const conv_panel_job *job);
typedef void panel_sums(const conv_panel_job *job, word *sums); /* panel_sums.S: `sums` of a job */

/* expand_rows.S: int8 to int16, two a word; `bytes` is a multiple of 4. Of four values, the swapped order
 * is (0, 2), (1, 3), and they begin on a word. */
typedef void expand_row(const int8_t *from, word *to, int32_t bytes);
expand_row expand_swapped, expand_in_order;
void expand_pair(const int8_t *first, const int8_t *second, word *to, int32_t bytes); /* words alternate */
void expand_pair_sums(const int8_t *first, const int8_t *second, word *to, int32_t bytes, int32_t *sums);
void copy_words(const word *from, word *to, int32_t words);
/* `words` words `at_bytes` after each of the `filter_rows` pointers in `rows`, to every other word. */
void copy_patch(const word *rows, int32_t filter_rows, int32_t words, int32_t at_bytes, word *to);

/* conv_panels.c: all panels of a layer. With `weights_in_ram` each is copied there before it is used. Weights of
 * four bits need `sums`, unless they are in the words before `ram_words` already; for others it is NULL. */
typedef struct {
    conv_panel *kernel;
    panel_sums *sums;
    const word *weights;
    const int32_t *parameters;
    uint16_t channels, panel_words, weights_in_ram;
    uint16_t ram_words;    /* a panel, if it is copied, and a sum for each pixel of a whole number of pairs */
} conv_panels;
/* `job` has rows, filter_rows, run_bytes and step_bytes. It runs `lines` times over `pixels` pixels, each
 * time with rows `line_bytes` further. `ram` has `ram_words` words. */
void run_panels(const conv_panels *panels, conv_panel_job *job, int32_t pixels, int32_t lines,
                int32_t line_bytes, int8_t *out, word *ram);

/* conv_pointwise.c: filter 1x1, stride 1. `group` pixels (even) at a time are expanded into `scratch`,
 * each with `inputs` rounded up to a multiple of 4. */
typedef struct {
    conv_panels panels;
    int32_t pixels;
    uint16_t inputs, group;
} conv_pointwise_layer;
void conv_pointwise(const conv_pointwise_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* The same with weights of four bits, for at most 512 inputs: they are added up while they are expanded. */
typedef conv_pointwise_layer conv_pointwise_s4_layer;
void conv_pointwise_s4(const conv_pointwise_s4_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* row_ring.c: the rows of a padded input that the filters of some output rows cover, expanded. Rows of the
 * padding count, too: row 0 is the topmost of them. A row's inputs begin at word `first_input` of its slot.
 * With `shifted` they are also there one half-word earlier, where words begin with the others of them:
 * input 0 is the upper half of the word before `shifted`. The two may be the same place. */
typedef struct {
    expand_row *expand;
    word padding;          /* the input's zero point, twice */
    int32_t line_bytes;    /* of the input: from a row to the next */
    int32_t used_bytes;    /* of a row: what the filters reach */
    uint16_t lines, top;   /* rows of the input, and of the padding above it */
    uint16_t slots, slot_words, first_input, shifted;
} row_ring;
void clear_ring(const row_ring *ring, word *slots);
/* Expands rows `from` to `end` into their slots. */
void fill_ring(const row_ring *ring, word *slots, const int8_t *in, int32_t from, int32_t end);
/* The addresses of rows `from` to `from + count`, each `at_words` further. */
void ring_rows(const row_ring *ring, const word *slots, int32_t from, int32_t count, int32_t at_words, word *rows);

/* The windows of a layer on a ring: the first begins `first_word` words into a slot, the second
 * `next_bytes` after it, and both of each further pair `step_bytes` after those before. */
typedef struct {
    uint16_t out_rows, out_columns, stride, filter_rows, run_words, first_word, next_bytes, step_bytes;
} ring_windows;

/* conv_rows.c: `group` rows of outputs at a time. */
typedef struct {
    conv_panels panels;
    row_ring ring;
    ring_windows windows;
    uint16_t group;
} conv_rows_layer;
void conv_rows(const conv_rows_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* window_sums.S: a row of its table. The columns of the input; inputs of each; 8 times the zero point of these; entries that are
 * 0 before the first column, at least one; entries that are the same as the last behind it. */
typedef struct {
    int32_t columns, depth, zeros, before, behind;
} table_columns;
int32_t *table_row(const table_columns *columns, const int8_t *in, const int32_t *above, int32_t *to);
/* And a row of windows: their number; bytes of the table that are as wide as a window, and from one to the next. */
typedef struct {
    int32_t count, width, step;
} table_windows;
void window_sums(const int32_t *above, const int32_t *below, int32_t *sums, const table_windows *windows);

/* conv_rows_s4.c: the same with weights of four bits. A pixel is added up once, not for each window that it is in. Biases
 * of the first three channels of a panel are less by 8 times the zero point of a window's inputs. `entries`: those of a row
 * of the table. */
typedef struct {
    conv_panels panels;
    row_ring ring;
    ring_windows windows;
    table_columns row;
    table_windows sums;
    uint16_t group, entries;
} conv_rows_s4_layer;
void conv_rows_s4(const conv_rows_s4_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* conv_patches.c: the filter's inputs of `group` pixels (even) at a time are copied together: for short rows
 * of filters. */
typedef struct {
    conv_panels panels;
    row_ring ring;
    ring_windows windows;
    uint16_t group;
} conv_patches_layer;
void conv_patches(const conv_patches_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* conv_windows.c: any filter. The inputs of the windows of `group` pixels (even) at a time are expanded, each row of a
 * filter rounded up to a multiple of 4. */
typedef struct {
    conv_panels panels;
    int32_t height, width, depth, out_height, out_width;
    int32_t filter_rows, filter_columns, stride_y, stride_x, top, left, padding, group;
} conv_windows_layer;
void conv_windows(const conv_windows_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* Kernels with least code, for `--optimize size`, and short records. A channel's `scales` are two words: see short.h. */

/* conv_short.c: any filter. The windows of `group` pixels (even) at a time are copied to `scratch`. A panel of four output
 * channels has `panel_words` words, an even number, `panel_bytes` in `weights`: the words or, with `fill` (fill_panel), a
 * bit for each of their bytes; then `values` are the bytes that are not 0. Columns are in bytes. */
conv_panel conv_panel_short;
typedef const int8_t *panel_filler(const uint8_t *bits, const int8_t *values, word *panel, int32_t words);
panel_filler fill_panel;
typedef struct {
    const void *weights;
    const int8_t *values;
    const int32_t *scales;
    panel_filler *fill;
    uint16_t height, row_bytes, out_height, out_width, channels, filter_rows, run_bytes, stride, step_bytes, top;
    uint16_t panel_words, panel_bytes, group;
    int16_t left, padding; /* where the first window begins; the input's zero point */
    int16_t odd;           /* twice the output's zero point, plus 1 */
} conv_short_layer;
void conv_short(const conv_short_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* depthwise_short.c: filter 3x3, any stride and padding. A channel at a time is expanded to 16 bits in the middle of `map`
 * half-words of `scratch`, from the half-word `first` on, `pitch` half-words a row, before its outputs are written. */
typedef struct {
    const int8_t *weights; /* 9 of each channel */
    const int32_t *scales;
    uint16_t height, width, channels, out_height, out_width, stride_y, stride_x, pitch, first, map;
    int16_t padding, odd;
} depthwise_short_layer;
/* depthwise_short_row.S: what a row of outputs takes. Weights are two to a word, the first of them in the lower half. */
typedef struct {
    int32_t pitch_bytes;
    word weights[3];           /* the first two of each row of the filter */
    word third;                /* the third ones of rows 0 and 1 */
    word last_third_and_shift; /* that of row 2 in the upper half, the right shift in the lower one */
    int32_t factor, constant;
    int32_t out_step;          /* bytes from an output to the next */
    int32_t bias, stride_bytes, out_bytes;
} short_row;
void depthwise_short_row(const int16_t *upper, int8_t *out, const short_row *row);
void depthwise_short(const depthwise_short_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* average_pool_short.c: the mean of all `pixels`, at most 255, of each channel, a multiple of 4. It is rounded to nearest,
 * ties away from zero. */
typedef struct {
    uint16_t pixels, channels;
} average_pool_short_layer;
void average_pool_short(const average_pool_short_layer *layer, const int8_t *in, int8_t *out);

/* winograd_inputs.S, winograd_products.S: the transformed tiles of four rows; sums over channels of their products with
 * the filters of four output channels. */
typedef struct {
    const word *v, *u;
    word *m;
    int32_t tiles; /* an even number */
    int32_t inputs;
} winograd_job;
void winograd_products(const winograd_job *job);
void winograd_inputs(const word *rows, word *v, int32_t tiles, int32_t column_bytes);

/* winograd_outputs.S: one channel of `tiles` tiles, 2x2 pixels each. With 0 as `row_bytes` or `pixel_bytes`
 * only the first row or column is kept. */
typedef struct {
    const word *m;
    int8_t *out;
    int32_t row_bytes, pixel_bytes, tiles;
    int32_t bias; /* four times */
    int32_t factor, constant, right_shift;
} winograd_out_job;
void winograd_outputs(const winograd_out_job *job);

/* conv_winograd.c: filter 3x3, stride 1. `tiles` are those of a row, rounded up to an even number. */
typedef struct {
    const word *weights;
    const int32_t *parameters;
    row_ring ring;
    uint16_t out_rows, out_columns, tiles, inputs, channels;
} conv_winograd_layer;
void conv_winograd(const conv_winograd_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* A channel of a depthwise 3x3 filter as it is stored: three words of weights, bias, mantissa; see
 * hil/tuned_depthwise/records.py. */
#define DEPTHWISE_RECORD_WORDS 5

/* The same as depthwise_pack.S, depthwise_sums.S and depthwise_store.S take it (depthwise_macros.h says what they do):
 * weights and bias are twice as large as they are. */
typedef struct {
    word upper[3], lower[3]; /* (w0, w1) and (w1, w2) of each column of the filter */
    int32_t bias, factor, constant, right_shift;
    word padding;              /* in both halves */
    int32_t width, step, row;  /* step: bytes from a pixel to the next; row: from a row to the next */
    /* Stride 2 only. Columns of padding at the left and at the right, 0 or 1; bytes from row 0 of a window to row 1 and
     * from there to row 2. lower: (w20, w21), then w22, the weights of row 2. */
    int32_t pad_left, pad_right, down1, down2;
} depthwise_channel;
void depthwise_unpack(const word *record, depthwise_channel *channel); /* all but what depends on the layer */
void depthwise_pack(word *cell, const int8_t *in, int32_t pairs, const depthwise_channel *channel);
void depthwise_sums(word *cells, int32_t columns, const depthwise_channel *channel);
typedef void depthwise_storer(const word *cell, int8_t *out, int32_t pairs, const depthwise_channel *channel);
depthwise_storer depthwise_store, depthwise_store_relu;

/* depthwise_3x3.c: filter 3x3, stride 1, padding 1. `pairs` pairs of rows of a channel at a time are packed into
 * `scratch`: 8 * (pairs + 1) * (width + 1) + 4 bytes. The output may lie over the input, each pixel over itself or a pixel
 * before it. */
typedef struct {
    const word *records;
    depthwise_storer *store;
    uint16_t height, width, channels;
    int16_t padding;
    uint16_t pairs;
} depthwise_3x3_layer;
void depthwise_3x3(const depthwise_3x3_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* depthwise_map.S: the same for whole maps of narrow rows, an instance for each. `scratch`: 8 * (pairs + 1) * width bytes. */
typedef struct depthwise_map_layer depthwise_map_layer;
typedef void depthwise_map_kernel(const depthwise_map_layer *layer, const int8_t *in, int8_t *out, word *scratch);
struct depthwise_map_layer {
    depthwise_map_kernel *kernel;
    const word *records;
    int32_t channels, padding;
};
static inline void depthwise_map(const depthwise_map_layer *layer, const int8_t *in, int8_t *out, word *scratch)
{
    layer->kernel(layer, in, out, scratch);
}

/* depthwise_row.c: filter 3x3, stride 1, one column of padding at each side: a row of outputs of three rows of inputs.
 * relu: the zero point is the least result. */
typedef struct {
    const word *records;
    int32_t width, channels, padding, relu;
} depthwise_row_layer;
void depthwise_row(const depthwise_row_layer *layer, const int8_t *in, int8_t *out);

/* depthwise_stride2.S and depthwise_3x3_stride2.c: filter 3x3, stride 2, at most one row or column of padding at each
 * edge. `rows` rows of outputs of a channel at a time are packed into `scratch`: 12 * rows * (out_width + 1) + 12 bytes.
 * The output may lie over the input, from its first byte on. */
void depthwise_pack_stride2(word *cell, const int8_t *in, int32_t rows, const depthwise_channel *channel);
void depthwise_sums_stride2(word *cells, int32_t count, const depthwise_channel *channel);
depthwise_storer depthwise_store_stride2, depthwise_store_stride2_relu;
typedef struct {
    const word *records;
    depthwise_storer *store;
    uint16_t height, width, channels, out_height, out_width, top, left;
    int16_t padding;
    uint16_t rows;
} depthwise_3x3_stride2_layer;
void depthwise_3x3_stride2(const depthwise_3x3_stride2_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* depthwise_direct.S and depthwise_direct.c: the same without packing, an instance for each width, `rows` rows of
 * outputs of a channel at a time. `scratch`: 4 * rows * out_width bytes. */
typedef struct {
    word columns[3], row2[2]; /* weights as depthwise_channel has them for stride 2, doubled bias */
    int32_t bias;
    word padding;             /* in both halves */
    int32_t down;             /* bytes from row 0 to row 2 */
} depthwise_window;
typedef void depthwise_direct_kernel(const int8_t *in, word *sums, int32_t rows, const depthwise_window *window);
depthwise_storer depthwise_run, depthwise_run_relu; /* of a number of sums */
typedef struct {
    depthwise_direct_kernel *kernel;
    depthwise_storer *store;
    const word *records;
    int32_t row;         /* bytes from a row of the input to the next */
    uint16_t channels, out_height, out_width;
    uint16_t top, bottom; /* rows of padding, 0 or 1 */
    int16_t padding;
    uint16_t rows;
} depthwise_direct_layer;
void depthwise_direct(const depthwise_direct_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* depthwise_rows.c: any filter, stride and padding. Of a channel the rows under the filter are expanded to 16 bits, `pitch`
 * columns each, in `scratch`: 2 * (filter_rows + 1) * pitch + 4 * filter_rows bytes. A record is a channel's weights, two
 * of a row in a word (`filter_words` in all, the last of an odd row with 0), then bias, mantissa, constant and right
 * shift; weights and bias are twice as large as they are. relu: the zero point is the least result. Rows may be the
 * tensor's columns: steps and rows are in bytes. */
typedef struct {
    const word *records;
    int32_t height, width, channels, out_height, out_width;
    int32_t filter_rows, filter_columns, filter_words, stride_y, stride_x, top, left;
    int32_t in_row, in_step, out_row, out_step, pitch, padding, relu;
} depthwise_rows_layer;
void depthwise_rows(const depthwise_rows_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* depthwise_map3.S: filter 3x3, stride 1, padding 1, of a map of 3x3. The output may lie over the input, each pixel over
 * itself. */
typedef struct depthwise_map3_layer depthwise_map3_layer;
typedef void depthwise_map3_kernel(const depthwise_map3_layer *layer, const int8_t *in, int8_t *out);
depthwise_map3_kernel depthwise_map3_any, depthwise_map3_relu;
struct depthwise_map3_layer {
    depthwise_map3_kernel *kernel;
    const word *records;
    int32_t channels, padding;
};
static inline void depthwise_map3(const depthwise_map3_layer *layer, const int8_t *in, int8_t *out)
{
    layer->kernel(layer, in, out);
}

/* fully_connected_s8.c: `rows` rows of `inputs` times `units`. `panels`: factor, constant and right shift of each unit of
 * all panels, or of one if the others have the same, then four biases and the weights of each panel. Of a row whose length
 * is no multiple of 4, up to three bytes behind it are read, too, and multiplied by 0. */
typedef struct {
    const word *panels;
    uint16_t inputs, units;
    int16_t scale_step; /* bytes from the end of a panel's scales to the next: 0, or -48 if all panels share them */
    uint16_t rows;
} fully_connected_s8_layer;
void fully_connected_s8(const fully_connected_s8_layer *layer, const int8_t *in, int8_t *out);

/* fully_connected_s4.c: the same with weights of four bits. */
typedef fully_connected_s8_layer fully_connected_s4_layer;
void fully_connected_s4(const fully_connected_s4_layer *layer, const int8_t *in, int8_t *out);

/* A row: fc_panel.S. `offset`, with weights of four bits: -8 times the sum of x. */
typedef void fc_panels(const fully_connected_s8_layer *layer, const int8_t *x, int8_t *out, int32_t offset);
fc_panels fc_panel, fc_panel4;

/* fc_pairs.S: the same with less code, a pair of units at a time; scale_step is 0 or -24. */
typedef fully_connected_s8_layer fully_connected_pairs_s8_layer;
void fully_connected_pairs_s8(const fully_connected_pairs_s8_layer *layer, const int8_t *in, int8_t *out);

/* Sums: saturated((left * a + right * b + constant) >> shift). */
typedef struct {
    int32_t left, right, constant;
} add_factors;
void add_affine(const add_factors *factors, const int8_t *a, const int8_t *b, int8_t *out, int32_t count);

/* add_affine_s8.c: left is (blocks, repeats, elements), right (blocks, elements). The output may be
 * one of the operands that is as long. The factors of add_affine.S have 28 fractional bits. */
typedef struct {
    add_factors factors;
    int32_t blocks, repeats, elements;
} add_affine_dsp_s8_layer;
void add_affine_dsp_s8(const add_affine_dsp_s8_layer *layer, const int8_t *left, const int8_t *right, int8_t *out);

typedef struct {
    add_factors factors;
    int32_t shift, blocks, repeats, elements;
} add_affine_s8_layer;
void add_affine_s8(const add_affine_s8_layer *layer, const int8_t *left, const int8_t *right, int8_t *out);

/* Products of pixels with panels of four output channels: mve_panels.S, for cores with MVE. The kernels move x and out on. */
typedef struct {
    const int8_t *x;           /* a pixel: 16 * steps inputs */
    int32_t x_bytes;           /* from a pixel to the next */
    int32_t pairs;             /* of pixels */
    int8_t *out;
    int32_t channels;          /* of the output */
    int32_t steps;
    int32_t one, zero;         /* 1; zero point of the outputs */
    int32_t lowest, highest;   /* results */
    const int8_t *weights;     /* of a panel: for each step 16 of each channel */
    const int32_t *parameters; /* of a panel: four biases, multipliers, negative right shifts */
    const int32_t *end;        /* of the parameters: after the last panel */
    int32_t own[7];            /* the kernel's */
} mve_panels_job;
void mve_panels_1(mve_panels_job *job);
void mve_panels_2(mve_panels_job *job);

/* convolve_mve.c: any filter and stride, on cores with MVE. The windows of `segment` outputs of a row at a time are in
 * `scratch`, column by column, and 16 bytes behind them; with less than eight channels, turn_pixels are moved there at a time. A row
 * is all pixels where the filter is 1x1. */
typedef struct {
    const int8_t *weights;
    const int32_t *parameters;
    int32_t steps;             /* 16 inputs each: a window, rounded up */
    int32_t rows, columns, depth, filter_rows, filter_columns, row_stride, column_stride, top, left;
    int32_t out_rows, out_columns, channels, segment, turn_pixels, padding, zero, lowest, highest;
} convolve_mve_layer;
void convolve_mve(const convolve_mve_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* fully_connected_mve.c: one row of inputs, on cores with MVE. Up to 15 bytes behind the inputs are read: their
 * weights are 0. */
typedef struct {
    const int8_t *weights;
    const int32_t *parameters;
    int32_t steps, channels, zero, lowest, highest;
} fully_connected_mve_layer;
void fully_connected_mve(const fully_connected_mve_layer *layer, const int8_t *in, int8_t *out);

/* A row of outputs of a depthwise convolution: mve_depthwise.S, for cores with MVE. The kernel moves the pointers on. */
typedef struct {
    const int8_t *planes;      /* of each channel, whose inputs are columns of four rows */
    int32_t plane_bytes;
    const int8_t *weights;     /* of each channel, and a 0 behind them: weight_bytes */
    int32_t weight_bytes;
    const int32_t *parameters; /* of four channels: biases, multipliers, negative right shifts */
    int8_t *out;
    int32_t left, channels;    /* channels that are to be computed; bytes from an output to the next */
    int32_t one, zero;         /* 1; zero point of the outputs */
    int32_t columns;           /* of outputs */
    const uint8_t *offsets;    /* of the weight for each of four rows of four columns */
} mve_depthwise_job;
typedef void mve_depthwise_row(mve_depthwise_job *job);
mve_depthwise_row mve_depthwise_row_1, mve_depthwise_row_2;

/* depthwise_mve.c: filter up to 4x4, column stride 1 or 2, on cores with MVE. `block` channels, a multiple of eight, are
 * computed after each other. Their planes are in `scratch`: plane_bytes for each channel. Rows are moved there before
 * outputs are written. */
typedef struct {
    mve_depthwise_row *kernel;
    const int8_t *weights;
    const int32_t *parameters;
    const uint8_t *offsets;    /* for each place that the filter's first row may have */
    int32_t weight_bytes, plane_bytes, moved_columns, block;
    int32_t rows, columns, channels, filter_rows, row_stride, top, left, out_rows, out_columns, padding, zero;
} depthwise_mve_layer;
void depthwise_mve(const depthwise_mve_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* add_mve.c: sums of two tensors of one shape, on cores with MVE. Of the one with the larger scale a half is added, of
 * the other, shifted left by 20, a product; `swapped`: the right one is the first of these. Shifts are negative or 0. */
typedef struct {
    int32_t elements, swapped, half_offset, other_offset, other_multiplier, other_shift;
    int32_t multiplier, shift, zero, lowest, highest;
} add_mve_layer;
void add_mve(const add_mve_layer *layer, const int8_t *left, const int8_t *right, int8_t *out);

/* average_pool_mve.c: on cores with MVE. Every window touches the input. */
typedef struct {
    int32_t rows, columns, channels, filter_rows, filter_columns, row_stride, column_stride, top, left;
    int32_t out_rows, out_columns, lowest, highest;
} average_pool_mve_layer;
void average_pool_mve(const average_pool_mve_layer *layer, const int8_t *in, int8_t *out);

/* average_pool_s8.c: windows of at most 255 pixels, rounded to nearest, ties away from zero. */
typedef struct {
    uint16_t height, width, channels, out_height, out_width;
    uint16_t filter_rows, filter_columns, stride_y, stride_x, top, left;
    int8_t lowest, highest;
} average_pool_s8_layer;
void average_pool_s8(const average_pool_s8_layer *layer, const int8_t *in, int8_t *out);

/* average_pool_rows.c: the mean of each channel over all pixels, a row at a time, number `row`; the last row gives `out`.
 * `sums` are kept from row to row. */
typedef struct {
    int32_t rows, columns, channels, lowest, highest;
} average_pool_rows_layer;
void average_pool_rows(const average_pool_rows_layer *layer, const int8_t *in, int8_t *out, int16_t *sums, int32_t row);

/* conv_channels.c, for cores without DSP in conv_channels_v7m.S and _v6m.S: two pixels times all output channels.
 * Of two inputs and two channels the bytes of a word are the weights of channel a at both, then of channel b. */
typedef struct {
    const word *x;             /* of each input x0 + 65536 * x1, one of each pixel */
    const word *weights;
    const int32_t *parameters; /* bias, factor, constant and right shift of each channel */
    int8_t *out;
    int32_t next_pixel;        /* bytes from the first pixel's outputs to the second's */
    int32_t channels;          /* even */
    int32_t pairs;             /* of inputs */
} conv_scalar_job;
void conv_channels(const conv_scalar_job *job);

/* conv_scalar.c: any filter, on any core. `scratch` has the windows of two pixels, 8 bytes for each pair of inputs, and
 * `border_bytes` of zero points, a row of the filter, if windows leave the input. */
typedef struct {
    const word *weights;
    const int32_t *parameters;
    int32_t rows, columns, depth, pixels, out_columns, channels;
    int32_t filter_rows, filter_columns, stride_rows, stride_columns, dilation_rows, dilation_columns;
    int32_t top, left, pairs, border_bytes, zero_point;
} conv_scalar_layer;
void conv_scalar(const conv_scalar_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* depthwise_scalar_3x3.c, on Cortex-M3 depthwise_scalar_3x3_v7m.S: a row of outputs in all channels. */
typedef struct {
    const int8_t *rings;
    int32_t rows[3];           /* where the rows of the filter start in a channel's ring */
    const int8_t *weights;     /* 9 of each channel */
    const int32_t *parameters; /* bias, factor, constant and right shift of each channel */
    int8_t *out;
    int32_t ring_bytes, channels, columns;
} depthwise_scalar_job;
void depthwise_scalar_stride1(const depthwise_scalar_job *job);
void depthwise_scalar_stride2(const depthwise_scalar_job *job);

/* depthwise_scalar.c: any filter, on any core. `scratch` has a ring of `slots` rows of `slot_bytes` for each channel,
 * padded with zero points; before them, unless stride_3x3, a word for each tap. Weights are in the order of output channel,
 * row, column. */
typedef struct {
    const int8_t *weights;
    const int32_t *parameters; /* bias, factor, constant and right shift of each channel */
    int32_t rows, columns, channels, out_rows, out_columns, out_channels, multiplier;
    int32_t filter_rows, filter_columns, stride_rows, stride_columns, dilation_rows, dilation_columns;
    int32_t top, left, slots, slot_bytes, zero_point;
    int32_t stride_3x3; /* 1 or 2: depthwise_scalar_stride1 or 2 makes the rows; 0: another filter, stride or multiplier */
} depthwise_scalar_layer;
void depthwise_scalar(const depthwise_scalar_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* dense_panels.c, on Cortex-M3 dense_panels_v7m.S: a row of inputs times panels of four units. A word of the weights has
 * one of each unit of its panel, with 128 added. */
typedef struct {
    const int8_t *x;
    const word *weights;
    const int32_t *biases;
    const int32_t *scales;     /* factor, constant and right shift */
    int32_t scale_step;        /* bytes from those of a unit to the next unit's; 0: the same for all */
    int8_t *out;
    int32_t pairs;             /* of inputs */
    int32_t panels;
} dense_scalar_job;
void dense_panels(const dense_scalar_job *job);

/* dense_scalar.c: an even number of inputs, four units or more. */
typedef struct {
    const word *weights;
    const int32_t *biases, *scales;
    int32_t scale_step, rows, pairs, units;
} dense_scalar_layer;
void dense_scalar(const dense_scalar_layer *layer, const int8_t *in, int8_t *out);

/* clamp_s8.c: limits what was saturated to int8, where an activation allows less. */
void clamp_s8(int8_t *values, int32_t count, int32_t lowest, int32_t highest);

#endif
