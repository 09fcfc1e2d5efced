/* What this plug-in needs of QEMU and every version of QEMU offers in another way. */
#ifndef INTERFACE_H
#define INTERFACE_H

#include "qemu_plugin.h"

/* What translated code adds to. */
struct counts {
    uint64_t instructions;
    uint64_t model_cycles;
};

/* Have `translate` called for each block that is translated. False, with a line on stderr, if this
 * QEMU does not let a plug-in read and write the guest's memory. */
bool interface_open(qemu_plugin_id_t id, void (*translate)(struct qemu_plugin_tb *));

/* The counts of the first CPU; they stay where they are until the next block is translated. */
struct counts *interface_counts(void);

/* Have the block, when it is entered, add `add` to the counts at `offset`. The addition must be
 * registered after the block's callback, which sees the counts from before: up to QEMU 9.0 callbacks
 * are called first anyway, later versions keep the order of registration. */
void interface_add(struct qemu_plugin_tb *block, size_t offset, uint64_t add);

/* Copy an instruction of 2 or 4 bytes. What stands behind one of 2 means nothing. */
void interface_code(const struct qemu_plugin_insn *insn, uint8_t code[4]);

/* Memory as the first CPU sees it, from a callback. False if there is none at `address`. */
bool interface_read(uint64_t address, void *to, size_t size_bytes);
bool interface_write(uint64_t address, void *from, size_t size_bytes);

#endif
