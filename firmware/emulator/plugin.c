/* QEMU plug-in: counts what the guest executes and lets the guest read the count.
 *
 * The guest executes a marker, `mov r9, r9`, and right after it a store to an 8-byte aligned u64.
 * The plug-in replaces what was stored by the number of instructions executed up to and with the
 * marker. That number is exact: a block of translated code adds its length when it is entered, and
 * what of its own block comes after the marker is taken off again. An instruction that an IT block
 * skips counts as executed.
 *
 *   qemu-system-arm ... -plugin plugin.so
 *
 * Only one CPU is counted. Writing guest memory is not part of the plug-in interface; QEMU 7 and 8
 * export the two functions it takes, and installing fails if the emulator at hand does not.
 */
#include <stdio.h>
#include <string.h>

#include "qemu_plugin.h"

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;

extern void *qemu_get_cpu(int index) __attribute__((weak));
extern int cpu_memory_rw_debug(void *cpu, uint64_t address, void *data, uint64_t size, bool write)
    __attribute__((weak));

static const uint8_t marker[2] = {0xC9, 0x46}; /* mov r9, r9 */

static uint64_t entered; /* instructions of all blocks entered so far */
static uint64_t marked;  /* instructions executed up to and with the last marker */
static bool awaited;     /* whether the last marker's store is still to come */

static bool is_marker(const struct qemu_plugin_insn *insn)
{
    return qemu_plugin_insn_size(insn) == sizeof marker &&
           memcmp(qemu_plugin_insn_data(insn), marker, sizeof marker) == 0;
}

/* Whether a marker may stand before the block: a debugger makes blocks of one instruction. */
static bool follows_marker(const struct qemu_plugin_tb *block)
{
    uint8_t before[sizeof marker];
    uint64_t address = qemu_plugin_tb_vaddr(block) - sizeof before;
    return cpu_memory_rw_debug(qemu_get_cpu(0), address, before, sizeof before, false) == 0 &&
           memcmp(before, marker, sizeof marker) == 0;
}

static void on_marker(unsigned vcpu, void *after)
{
    (void)vcpu;
    marked = entered - (uintptr_t)after;
    awaited = true;
}

static void on_store(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)info;
    (void)data;
    if (awaited && address % sizeof marked == 0)
        cpu_memory_rw_debug(qemu_get_cpu((int)vcpu), address, &marked, sizeof marked, true);
    awaited = false;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    size_t count = qemu_plugin_tb_n_insns(block);
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &entered, count);
    bool after_marker = follows_marker(block);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        if (after_marker)
            qemu_plugin_register_vcpu_mem_cb(insn, on_store, QEMU_PLUGIN_CB_NO_REGS,
                                             QEMU_PLUGIN_MEM_W, NULL);
        after_marker = is_marker(insn);
        if (after_marker)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_marker, QEMU_PLUGIN_CB_NO_REGS,
                                                   (void *)(uintptr_t)(count - 1 - i));
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
                                           int argument_count, char **arguments)
{
    (void)info;
    if (argument_count > 0) {
        fprintf(stderr, "hil-compress plug-in: unknown argument %s\n", arguments[0]);
        return -1;
    }
    if (!qemu_get_cpu || !cpu_memory_rw_debug) {
        fprintf(stderr, "hil-compress plug-in: this QEMU does not let a plug-in write memory\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    return 0;
}
