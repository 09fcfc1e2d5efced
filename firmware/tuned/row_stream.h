/* Layers of a segment that are computed row by row: row_stream.c. Between two layers a ring of rows is kept, the oldest
 * first, without a gap; the rows of padding above and below a tensor are rows like all others. */
#ifndef ROW_STREAM_H
#define ROW_STREAM_H

#include <stdint.h>

/* A ring has `slots` rows: where all are taken, the first `step` are dropped. A tensor that is whole has all its rows. */
typedef struct {
    int8_t *rows;          /* the first slot; of a whole tensor the first row, of its padding if there is any */
    int32_t row_bytes;
    int16_t slots, step;   /* step 0: whole */
    int16_t top, bottom;   /* rows of padding */
    int8_t padding;        /* their value */
} row_tensor;

/* The window of a layer: it begins at row `first` of a tensor, padding included, and moves down by `stride`. */
typedef struct {
    int16_t tensor, maker; /* maker: the layer that makes its rows; -1: they were there before */
    int16_t filter_rows, stride, first;
    int16_t above;         /* rows of the window that are padding at first */
} row_input;

typedef struct {
    row_input inputs[2];
    int16_t input_count, output;
    int16_t rows;          /* that it makes; of a mean of all rows those that it takes */
    int16_t height;        /* rows that layers behind it may ask for */
    int8_t adds;           /* 1: its output takes a new slot; 0: it has one, over an input or in a whole tensor */
    int8_t keeps;          /* 1: each turn gives the same row */
} row_layer;

/* The rows of a tensor that are in its ring. */
typedef struct {
    int16_t first, end;
} row_span;

typedef struct {
    const row_tensor *tensors;
    const row_layer *layers;
    int16_t *made;         /* rows of each layer */
    row_span *held;        /* of each tensor */
    int32_t layer_count, tensor_count;
    int32_t layer;         /* whose turn it is: its windows, where its row goes, the row's number */
    const int8_t *in[2];
    int8_t *out;
    int32_t row;
} row_stream;

void row_stream_start(row_stream *stream);
/* Counts the row of the layer whose turn it was, and gives the next layer its turn; -1 at the end. */
int32_t row_stream_next(row_stream *stream);

#endif
