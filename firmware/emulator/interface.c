/* Guest memory: QEMU has functions for plug-ins to read it since 9.2 and to write it since 10.1.
 * Before, two internal functions take their place, which a QEMU exports if it was built with modules
 * (`--enable-modules`, as Debian, Ubuntu and Fedora do). All of them are weak symbols, so that the
 * plug-in loads where one is missing. */
#include "interface.h"

#include <stdio.h>
#include <string.h>

#define OFFERED __attribute__((weak))

/* The public part of GLib's GByteArray; GLib is part of every QEMU. */
struct byte_array {
    uint8_t *data;
    unsigned len;
};

extern struct byte_array *g_byte_array_new(void) OFFERED;
extern bool qemu_plugin_read_memory_vaddr(uint64_t, struct byte_array *to, size_t) OFFERED;
extern bool qemu_plugin_write_memory_vaddr(uint64_t, struct byte_array *from) OFFERED;
extern void *qemu_get_cpu(int index) OFFERED;
extern int cpu_memory_rw_debug(void *cpu, uint64_t, void *data, size_t, bool write) OFFERED;

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_API;

static void (*translate)(struct qemu_plugin_tb *);
static struct byte_array *buffer; /* for reading, where the official functions exist */

#if QEMU_PLUGIN_API >= 2
static struct qemu_plugin_scoreboard *scoreboard;
#else
static struct counts counts;
#endif

#if QEMU_PLUGIN_API >= 7
static void on_translation(struct qemu_plugin_tb *block, void *data)
{
    (void)data;
    translate(block);
}
#else
static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    translate(block);
}
#endif

bool interface_open(qemu_plugin_id_t id, void (*on_block)(struct qemu_plugin_tb *))
{
    if (qemu_plugin_read_memory_vaddr && qemu_plugin_write_memory_vaddr && g_byte_array_new) {
        buffer = g_byte_array_new();
    } else if (!qemu_get_cpu || !cpu_memory_rw_debug) {
        fprintf(stderr, "hil-compress plug-in: this QEMU does not let a plug-in write memory\n");
        return false;
    }
    translate = on_block;
#if QEMU_PLUGIN_API >= 2
    scoreboard = qemu_plugin_scoreboard_new(sizeof(struct counts));
#endif
#if QEMU_PLUGIN_API >= 7
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation, NULL);
#else
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
#endif
    return true;
}

struct counts *interface_counts(void)
{
#if QEMU_PLUGIN_API >= 2
    return qemu_plugin_scoreboard_find(scoreboard, 0);
#else
    return &counts;
#endif
}

void interface_add(struct qemu_plugin_tb *block, size_t offset, uint64_t add)
{
#if QEMU_PLUGIN_API >= 2
    qemu_plugin_u64 cell = {scoreboard, offset};
    qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(block, QEMU_PLUGIN_INLINE_ADD_U64, cell, add);
#else
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64,
                                             (uint8_t *)&counts + offset, add);
#endif
}

void interface_code(const struct qemu_plugin_insn *insn, uint8_t code[4])
{
    memset(code, 0, 4);
#if QEMU_PLUGIN_API >= 3
    qemu_plugin_insn_data(insn, code, 4);
#else
    /* The last instruction of a page may have the first half of the next one behind it. */
    size_t size_bytes = qemu_plugin_insn_size(insn);
    memcpy(code, qemu_plugin_insn_data(insn), size_bytes < 4 ? size_bytes : 4);
#endif
}

bool interface_read(uint64_t address, void *to, size_t size_bytes)
{
    if (!buffer)
        return cpu_memory_rw_debug(qemu_get_cpu(0), address, to, size_bytes, false) == 0;
    if (!qemu_plugin_read_memory_vaddr(address, buffer, size_bytes))
        return false;
    memcpy(to, buffer->data, size_bytes);
    return true;
}

bool interface_write(uint64_t address, void *from, size_t size_bytes)
{
    if (!buffer)
        return cpu_memory_rw_debug(qemu_get_cpu(0), address, from, size_bytes, true) == 0;
    struct byte_array bytes = {from, (unsigned)size_bytes};
    return qemu_plugin_write_memory_vaddr(address, &bytes);
}
