/* The firmware: serves the host's requests for one model, one at a time, forever. */
#include <stdbool.h>

#include "cycles.h"
#include "guard.h"
#include "model.h"
#include "stack.h"
#include "wire.h"

extern const uint8_t __staging_start[], __staging_end[];

/* Status of a RUN_REPLY. */
enum run_status { RUN_OK = 0, RUN_STACK_OVERFLOW = 1, RUN_ARENA_OVERRUN = 2 };

/* Arguments of a RUN, in the order of its words; the addresses are in the staging region. */
struct run {
    uint32_t samples;
    const int8_t *inputs;   /* samples x MODEL_INPUT_BYTES, the bytes of all inputs */
    const uint16_t *labels; /* samples, or NULL */
    int8_t *outputs;        /* samples x MODEL_OUTPUT_BYTES, the bytes of all outputs */
    struct counts *counts;  /* samples */
    bool continues;         /* the model's state is kept; else it starts with its first state */
};

/* True if `count` items of `item_bytes` at `address` are aligned and in the staging region. */
static bool in_staging(uint32_t address, uint32_t count, uint32_t item_bytes, uint32_t alignment)
{
    uint32_t start = (uint32_t)__staging_start;
    uint32_t end = (uint32_t)__staging_end;
    return address % alignment == 0 && address >= start && address <= end &&
           count <= (end - address) / item_bytes;
}

static bool parse_run(const struct wire_request *request, struct run *run)
{
    if (request->count != 6)
        return false;
    const uint32_t *words = request->words;
    run->samples = words[0];
    run->inputs = (const int8_t *)words[1];
    run->labels = (const uint16_t *)words[2];
    run->outputs = (int8_t *)words[3];
    run->counts = (struct counts *)words[4];
    run->continues = words[5] == 1;
    return run->samples > 0 && words[5] <= 1 && in_staging(words[1], run->samples, MODEL_INPUT_BYTES, 1) &&
           (words[2] == 0 || in_staging(words[2], run->samples, sizeof *run->labels, 2)) &&
           in_staging(words[3], run->samples, MODEL_OUTPUT_BYTES, 1) &&
           in_staging(words[4], run->samples, sizeof *run->counts, 8);
}

/* Index of the largest value of the first output; on ties, the lowest. */
static uint32_t argmax(const model_score *values, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

static void reply_hello(const struct wire_request *request)
{
    const uint32_t words[] = {
        MODEL_ID,
        MODEL_INPUT_BYTES,
        MODEL_OUTPUT_BYTES,
        (uint32_t)__staging_start,
        (uint32_t)(__staging_end - __staging_start),
        counter_kind(),
    };
    wire_send(WIRE_HELLO_REPLY, request->sequence, words, 6);
}

/* Checks the stack and the guard area behind the arena for damage by the model. */
static enum run_status check_memory(void)
{
    if (!stack_holds())
        return RUN_STACK_OVERFLOW;
    return guard_holds() ? RUN_OK : RUN_ARENA_OVERRUN;
}

/* Runs the samples and replies. Stops after the first sample that damages memory: later results
 * would be meaningless. */
static void reply_run(const struct wire_request *request, const struct run *run)
{
    uint32_t correct = 0;
    uint32_t crc = 0;
    struct counts overhead = cycles_overhead();
    enum run_status status = RUN_OK;
    if (!run->continues) {
        /* A warm-up run without counting, for caches and branch predictors. */
        model_set_inputs(run->inputs);
        model_run();
        model_reset();
    }
    guard_paint();
    stack_paint();
    for (uint32_t i = 0; i < run->samples && status == RUN_OK; i++) {
        model_set_inputs(run->inputs + i * MODEL_INPUT_BYTES);
        run->counts[i] = counts_difference(cycles_between_reads(model_run), overhead);
        int8_t *outputs = run->outputs + i * MODEL_OUTPUT_BYTES;
        model_get_outputs(outputs);
        crc = wire_crc32(crc, outputs, MODEL_OUTPUT_BYTES);
        if (run->labels && run->labels[i] == argmax(model_scores, MODEL_SCORES))
            correct++;
        status = check_memory();
    }
    const uint32_t words[] = {status, correct, stack_peak_bytes(), crc};
    wire_send(WIRE_RUN_REPLY, request->sequence, words, 4);
}

static enum wire_error answer(const struct wire_request *request)
{
    struct run run;
    switch (request->type) {
    case WIRE_HELLO:
        if (request->count != 0)
            return WIRE_BAD_ARGUMENTS;
        reply_hello(request);
        return WIRE_OK;
    case WIRE_RUN:
        if (!parse_run(request, &run))
            return WIRE_BAD_ARGUMENTS;
        reply_run(request, &run);
        return WIRE_OK;
    default:
        return WIRE_BAD_TYPE;
    }
}

int main(void)
{
    for (;;) {
        struct wire_request request;
        enum wire_error error = wire_receive(&request);
        if (error == WIRE_OK)
            error = answer(&request);
        if (error != WIRE_OK) {
            const uint32_t code = error;
            wire_send(WIRE_ERROR, request.sequence, &code, 1);
        }
    }
}
