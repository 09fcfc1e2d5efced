/* The tuned kernels: loop nests in C around micro-kernels in assembly. `hil/tuned` packs what they
 * read and proves that their arithmetic is exact for the layers they are called for. */
#ifndef TUNED_H
#define TUNED_H

#include <stdint.h>

typedef uint32_t __attribute__((may_alias)) word;

/* A convolution of pairs of pixels with one panel of four output channels: conv_panel.S. */
typedef struct {
    const void *rows;      /* pointers to the filter's rows of expanded inputs; ONE_ROW: that row */
    int32_t filter_rows;
    int32_t run_bytes;     /* one row of the filter, expanded */
    int32_t step_bytes;    /* from a pair of pixels to the next */
    int32_t pairs;
    const word *weights;
    const int32_t *parameters; /* four biases, then factor, constant and right shift of each channel */
    int8_t *out;
    int32_t channels;      /* of the output: bytes from the first pixel of a pair to the second */
    int32_t skipped;       /* steps of two inputs by which a run is short of a multiple of eight */
} conv_panel_job;
typedef void conv_panel(const conv_panel_job *job);

/* expand_rows.S: int8 to int16, two a word; `bytes` is a multiple of 4. Of four values, the swapped order
 * is (0, 2), (1, 3). */
void expand_swapped(const int8_t *from, word *to, int32_t bytes);
void expand_in_order(const int8_t *from, word *to, int32_t bytes);
void expand_pair(const int8_t *first, const int8_t *second, word *to, int32_t bytes); /* words alternate */
void copy_words(const word *from, word *to, int32_t words);

/* conv_pointwise.c: filter 1x1, stride 1. `group` pixels (even) at a time are expanded into
 * `scratch`: 2 * (group + 1) * inputs bytes, and with `weights_in_ram` 4 * inputs more. The output
 * may lie over the input if it has no more channels. */
typedef struct {
    conv_panel *kernel;
    const word *weights;
    const int32_t *parameters;
    int32_t pixels, inputs, channels, group, weights_in_ram;
} conv_pointwise_layer;
void conv_pointwise(const conv_pointwise_layer *layer, const int8_t *in, int8_t *out, word *scratch);

/* clamp_s8.c: limits what was saturated to int8, where an activation allows less. */
void clamp_s8(int8_t *values, int32_t count, int32_t lowest, int32_t highest);

#endif
