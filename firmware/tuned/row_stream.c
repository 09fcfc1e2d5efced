#include "row_stream.h"

#include <string.h>

#include "tuned.h"

static int8_t *row_at(const row_tensor *tensor, const row_span *held, int32_t row)
{
    return tensor->rows + (row - held->first) * tensor->row_bytes;
}

/* To lower addresses, four bytes at a time where they are words of both. */
static void move_down(int8_t *to, const int8_t *from, int32_t bytes)
{
    int32_t i = 0;
    if ((((uintptr_t)to | (uintptr_t)from) & 3) == 0)
        for (; i + 4 <= bytes; i += 4)
            *(word *)(to + i) = *(const word *)(from + i);
    for (; i < bytes; i++)
        to[i] = from[i];
}

/* The place of one more row. */
static int8_t *add_row(const row_tensor *tensor, row_span *held)
{
    if (held->end - held->first == tensor->slots) {
        const int32_t dropped = tensor->step * tensor->row_bytes;
        move_down(tensor->rows, tensor->rows + dropped, tensor->slots * tensor->row_bytes - dropped);
        held->first = (int16_t)(held->first + tensor->step);
    }
    return row_at(tensor, held, held->end++);
}

static void fill(const row_tensor *tensor, int8_t *rows, int32_t count)
{
    if (count > 0)
        memset(rows, tensor->padding, (size_t)(count * tensor->row_bytes));
}

void row_stream_start(row_stream *stream)
{
    for (int32_t i = 0; i < stream->tensor_count; i++) {
        const row_tensor *const tensor = &stream->tensors[i];
        row_span *const held = &stream->held[i];
        fill(tensor, tensor->rows, tensor->top);
        held->first = 0;
        held->end = tensor->top;
        if (tensor->step == 0) {
            held->end = tensor->slots;
            fill(tensor, row_at(tensor, held, tensor->slots - tensor->bottom), tensor->bottom);
        }
    }
    memset(stream->made, 0, (size_t)stream->layer_count * sizeof *stream->made);
    stream->layer = -1;
}

/* A layer that has to make a row before `layer` can make its next; -1 if there is none. */
static int32_t lacking(const row_stream *stream, const row_layer *layer, int32_t made)
{
    for (int32_t i = 0; i < layer->input_count; i++) {
        const row_input *const input = &layer->inputs[i];
        if (input->maker >= 0) {
            const int32_t end = made * input->stride - input->above + input->filter_rows;
            const int32_t height = stream->layers[input->maker].height;
            if (stream->made[input->maker] < (end < height ? end : height))
                return input->maker;
        }
    }
    return -1;
}

int32_t row_stream_next(row_stream *stream)
{
    int32_t next = stream->layer_count - 1;
    if (stream->layer >= 0)
        stream->made[stream->layer]++;
    if (stream->made[next] == stream->layers[next].rows)
        return -1;
    /* The last layer is asked for its next row, and asks the layer that makes the rows it lacks. */
    for (int32_t asked = next; asked >= 0; asked = lacking(stream, &stream->layers[asked], stream->made[asked]))
        next = asked;

    const row_layer *const layer = &stream->layers[next];
    const row_tensor *const output = &stream->tensors[layer->output];
    row_span *const held_output = &stream->held[layer->output];
    const int32_t made = stream->made[next];
    for (int32_t i = 0; i < layer->input_count; i++) {
        const row_input *const input = &layer->inputs[i];
        const row_tensor *const tensor = &stream->tensors[input->tensor];
        row_span *const held = &stream->held[input->tensor];
        const int32_t first = made * input->stride + input->first;
        while (held->end < first + input->filter_rows)
            fill(tensor, add_row(tensor, held), 1);
        stream->in[i] = row_at(tensor, held, first);
    }
    stream->out = layer->adds ? add_row(output, held_output)
                              : row_at(output, held_output, output->top + (layer->keeps ? 0 : made));
    stream->row = made;
    stream->layer = next;
    return next;
}
