/* The emulator's counts, which firmware/emulator/plugin.c puts in memory: instructions, exactly, and
 * modelled cycles. */
#include "../cycles.h"

const uint32_t counter_of_return = 1;

/* The marker `mov r9, r9` tells the plug-in to replace what the next store stores, and the 8 bytes
 * after it, by the counts. Aligned to its size, so that marker and store are never split between
 * two translated blocks. */
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
