#include "bytes.h"
#include "kernels.h"

void gather(const int16_t *indices,
            const int8_t *input,
            int8_t *output,
            int32_t blocks,
            int32_t block_bytes,
            int32_t count,
            int32_t run_bytes)
{
    for (; blocks > 0; blocks--, input += block_bytes) {
        for (int32_t i = 0; i < count; i++) {
            output = copy_bytes(output, input + indices[i] * run_bytes, run_bytes);
        }
    }
}
