/* Times straight-line code as the emulator's plug-in does, for tests/unit/test_cycle_timing.py.
 *
 *   timing_driver CORE <code >lines
 *
 * One line for each instruction: kind, size, reads, writes, conditional, target, cycles up to and
 * with it, cycles more if it is a branch that is taken (to a target in one word, in two words). */
#include <stdio.h>

#include "timing.h"

int main(int count, char **arguments)
{
    const struct core *core = count == 2 ? core_find(arguments[1]) : NULL;
    if (!core)
        return 1;
    static uint8_t code[1 << 20];
    size_t size = fread(code, 1, sizeof code - 4, stdin);
    struct pipeline pipeline = {0};
    for (size_t at = 0; at < size;) {
        struct instruction in = decode(code + at);
        timing_issue(core, &pipeline, &in);
        printf("%d %u %u %u %d %d %u %u %u\n", in.kind, in.size_bytes, in.reads, in.writes,
               in.conditional, (int)in.target, pipeline.now, timing_refill(core, &in, false),
               timing_refill(core, &in, true));
        at += in.size_bytes;
    }
    return 0;
}
