/* Runs a generated program on the host. Its standard input: the number of samples and of ranges (uint32), the ranges of the
 * arena that nothing may touch (start and end, uint32), the arena as it is before each sample, the samples. Its standard
 * output: the arena after each sample. */
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.c"

static void read_bytes(void *to, size_t bytes)
{
    if (fread(to, 1, bytes, stdin) != bytes)
        exit(3);
}

int main(void)
{
    static uint8_t before[MODEL_ARENA_BYTES];
    static int8_t sample[MODEL_INPUT_BYTES];
    uint32_t counts[2];
    read_bytes(counts, sizeof counts);
    uint32_t(*const ranges)[2] = malloc(counts[1] * sizeof *ranges);
    read_bytes(ranges, counts[1] * sizeof *ranges);
    read_bytes(before, sizeof before);
    for (uint32_t i = 0; i < counts[0]; i++) {
        read_bytes(sample, sizeof sample);
        memcpy(model_arena, before, sizeof before);
        model_reset();
        model_set_inputs(sample);
        for (uint32_t k = 0; k < counts[1]; k++)
            ASAN_POISON_MEMORY_REGION(model_arena + ranges[k][0], ranges[k][1] - ranges[k][0]);
        model_run();
        ASAN_UNPOISON_MEMORY_REGION(model_arena, sizeof model_arena);
        fwrite(model_arena, 1, sizeof model_arena, stdout);
    }
    free(ranges);
    return 0;
}
