#include "bytes.h"
#include "kernels.h"

/* The innermost loop; single bytes and pairs, common in transposes, without calls. */
static int8_t *
copy_runs(int8_t *output, const int8_t *input, rearrange_level level, int32_t run_bytes)
{
    int32_t i = level.count;
    if (run_bytes == 1) {
        for (; i > 0; i--, input += level.step_bytes) {
            *output++ = *input;
        }
    } else if (run_bytes == 2) {
        for (; i > 0; i--, input += level.step_bytes, output += 2) {
            output[0] = input[0];
            output[1] = input[1];
        }
    } else {
        for (; i > 0; i--, input += level.step_bytes) {
            output = copy_bytes(output, input, run_bytes);
        }
    }
    return output;
}

void rearrange(const rearrange_level *levels,
               int32_t depth,
               int32_t run_bytes,
               const int8_t *input,
               int8_t *output)
{
    if (depth == 0) {
        copy_bytes(output, input, run_bytes);
        return;
    }
    const rearrange_level inner = levels[depth - 1];
    int32_t turns[REARRANGE_LEVELS] = {0};
    for (;;) {
        output = copy_runs(output, input, inner, run_bytes);
        int32_t level = depth - 2;
        /* Levels at their end go back to their beginning; the next one outside takes a step. */
        for (; level >= 0; level--) {
            input += levels[level].step_bytes;
            if (++turns[level] < levels[level].count) {
                break;
            }
            input -= levels[level].count * levels[level].step_bytes;
            turns[level] = 0;
        }
        if (level < 0) {
            return;
        }
    }
}
