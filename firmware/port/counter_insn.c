/* The emulator's counts, which firmware/emulator/plugin.c writes to memory: exact instructions and
 * modeled cycles. */
#include "../cycles.h"

const uint32_t counter_of_return = 1;

/* The marker `mov r9, r9` tells the plug-in to replace the bytes of the next store, and the 8 bytes
 * after them, by the counts. The pair is aligned to its size, so that it is never split between two
 * translation blocks. */
__attribute__((noinline, aligned(32))) struct counts counter_read(void)
{
    static volatile struct counts cell;
    cell.count = 0;
    cell.model_cycles = 0;
    __asm volatile(".syntax unified\n\t"
                   "mov r9, r9\n\t"
                   "str %0, [%1]" ::"l"(0), "l"(&cell) : "memory");
    return cell;
}

enum counter_kind counter_kind(void)
{
    return counter_read().count != 0 ? COUNTER_INSN : COUNTER_NONE;
}
