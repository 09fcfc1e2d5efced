/* QEMU plug-in: counts what the guest executes and lets the guest read the counts.
 *
 * The guest executes a marker, `mov r9, r9`, and right after it a store to an 8-byte aligned
 * struct {u64 instructions, u64 model_cycles}. The plug-in replaces what was stored by
 *   instructions: executed up to and with the marker. Exact: a block of translated code adds its
 *                 length when it is entered, and what of its own block comes after the marker is
 *                 taken off again. An instruction that an IT block skips counts as executed.
 *   model_cycles: what they take on a core as timing.c describes it, 0 if none was asked for.
 *                 Straight-line code is timed when it is translated; whether a conditional branch
 *                 was taken is seen from what is executed next.
 *
 *   qemu-system-arm ... -plugin plugin.so[,core=cortex-m4[,flash=ORIGIN:LENGTH:LINE:WAIT:I:D]
 *                                                         [,ram=ORIGIN:LENGTH]]
 *
 * `flash` adds the wait states of a memory that yields LINE bytes at a time, each time WAIT cycles
 * late, behind caches of I lines for instructions and D for data (numbers as C writes them). It
 * looks at every load and makes the emulator about four times slower; without it only blocks
 * around conditional branches are looked at while the guest runs. `ram` is a part of the RAM that
 * delays each first access by a cycle (struct pipeline, timing.h), as do all but the first of the
 * RAMs on the bus of an STM32L4R5 or STM32F2.
 *
 * Only one CPU is counted. Nothing the guest can see changes but the markers' cells. interface.c has
 * what differs between versions of QEMU.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "flash.h"
#include "interface.h"
#include "timing.h"

static const uint8_t marker[2] = {0xC9, 0x46}; /* mov r9, r9 */

/* A translated block, as far as its timing depends on what is executed around it. */
struct block {
    uint64_t start;
    uint64_t last;        /* address of its last byte */
    uint64_t next;        /* address after it */
    uint32_t count;       /* instructions */
    uint8_t refill;       /* if its last instruction is a conditional branch: cycles if taken */
    uint8_t mispredicted; /* cycles if wrongly predicted, 0 without a predictor */
    uint8_t taken_lately; /* the predictor: 0 and 1 predict not taken, 2 and 3 taken */
    bool branches;        /* ends with a conditional branch */
};

/* Where a marker stands: what of its block is executed after it. */
struct place {
    uint64_t instructions;
    uint64_t cycles;
};

static const struct core *core;
static struct flash flash;
static bool has_flash;

/* The RAM that delays first accesses; without one its length is 0. */
static struct {
    uint64_t origin;
    uint64_t length_bytes;
    bool asked; /* whether the next transfer is such an access's first */
} ram;

static struct counts *entered; /* of all blocks entered so far, all branches taken as told below */
static struct counts marked;   /* up to and with the last marker: what the guest reads */
static bool awaited;           /* whether the last marker's store is still to come */

/* The last conditional branch, charged as taken; if it was not, that is seen at the next block. */
static struct {
    struct block *block;
    uint64_t instructions; /* `entered` when the next block is entered */
    uint32_t charged;
    uint32_t otherwise;    /* what it would have cost had it not been taken */
    uint8_t taken_lately;  /* the predictor before */
} branch;

static bool is_marker(const struct qemu_plugin_insn *insn)
{
    uint8_t code[4];
    interface_code(insn, code);
    return memcmp(code, marker, sizeof marker) == 0;
}

/* Whether a marker may stand before the block: a debugger makes blocks of one instruction. */
static bool follows_marker(const struct qemu_plugin_tb *block)
{
    uint8_t before[sizeof marker];
    return interface_read(qemu_plugin_tb_vaddr(block) - sizeof before, before, sizeof before) &&
           memcmp(before, marker, sizeof marker) == 0;
}

/* Whether a conditional branch may stand before the block. */
static bool may_follow_branch(const struct qemu_plugin_tb *block)
{
    uint8_t before[4];
    if (!interface_read(qemu_plugin_tb_vaddr(block) - sizeof before, before, sizeof before))
        return true;
    struct instruction wide = decode(before), narrow = decode(before + 2);
    /* In an IT block any branch may be conditional. */
    return (wide.size_bytes == 4 && wide.sets_pc) || (narrow.size_bytes == 2 && narrow.sets_pc);
}

/* Whether the instruction at `address` is a 32-bit one in two words. */
static bool is_split(uint64_t address)
{
    uint8_t half[2];
    return address % 4 == 2 && interface_read(address, half, sizeof half) &&
           decode_is_wide((uint16_t)(half[0] | half[1] << 8));
}

/* ---- while the guest runs */

static void settle_branch(const struct block *now)
{
    if (!branch.block)
        return;
    if (branch.instructions == entered->instructions && branch.block->next == now->start) {
        entered->model_cycles += branch.otherwise - (uint64_t)branch.charged;
        branch.block->taken_lately = branch.taken_lately ? branch.taken_lately - 1 : 0;
    }
    branch.block = NULL;
}

static void take_branch(struct block *now)
{
    bool expected = now->taken_lately >= 2;
    branch.block = now;
    branch.instructions = entered->instructions + now->count;
    branch.charged = now->refill + (expected ? 0u : now->mispredicted);
    branch.otherwise = expected ? now->mispredicted : 0;
    branch.taken_lately = now->taken_lately;
    if (now->taken_lately < 3)
        now->taken_lately++;
    entered->model_cycles += branch.charged;
}

static void on_block(unsigned vcpu, void *data)
{
    (void)vcpu;
    struct block *now = data;
    settle_branch(now);
    if (now->branches)
        take_branch(now);
    if (has_flash)
        entered->model_cycles += flash_fetch(&flash, now->start, now->last);
}

static void on_load(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)vcpu;
    (void)data;
    /* A core reads words; QEMU reads two at once for VLDR, and since 9.2 for LDRD. */
    uint64_t end = address + (1u << qemu_plugin_mem_size_shift(info));
    for (uint64_t word = address; word < end; word += 4)
        entered->model_cycles += flash_read(&flash, word);
}

static void on_first_access(unsigned vcpu, void *data)
{
    (void)vcpu;
    (void)data;
    ram.asked = true;
}

static void on_transfer(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)vcpu;
    (void)info;
    (void)data;
    if (ram.asked && address - ram.origin < ram.length_bytes)
        entered->model_cycles++;
    ram.asked = false;
}

static void on_marker(unsigned vcpu, void *data)
{
    (void)vcpu;
    const struct place *place = data;
    marked.instructions = entered->instructions - place->instructions;
    marked.model_cycles = entered->model_cycles - place->cycles;
    if (branch.block && branch.instructions == entered->instructions) /* this block's own */
        marked.model_cycles -= branch.charged;
    awaited = true;
}

static void on_store(unsigned vcpu, qemu_plugin_meminfo_t info, uint64_t address, void *data)
{
    (void)vcpu;
    (void)info;
    (void)data;
    if (awaited && address % sizeof(uint64_t) == 0)
        interface_write(address, &marked, sizeof marked);
    awaited = false;
}

/* ---- when a block is translated */

/* Memory that lives as long as the translated code, which QEMU rarely throws away. */
static void *kept(const void *value, size_t size_bytes)
{
    void *copy = malloc(size_bytes);
    if (!copy)
        abort();
    return memcpy(copy, value, size_bytes);
}

/* What the block's last instruction, a branch or not, adds to the block's cycles. */
static uint32_t end_block(struct block *block, const struct instruction *last)
{
    bool direct = last->kind == KIND_JUMP || last->kind == KIND_CALL;
    uint64_t address = block->next - last->size_bytes;
    bool split = direct && is_split(address + (uint64_t)(int64_t)last->target);
    uint32_t refill = timing_refill(core, last, split);
    block->branches = last->conditional && last->sets_pc;
    block->refill = (uint8_t)refill;
    block->mispredicted = core->predicts ? core->mispredicted : 0;
    block->taken_lately = last->target < 0 ? 2 : 1; /* loops are taken */
    return block->branches ? 0 : refill;
}

static void time_block(struct qemu_plugin_tb *translated, uint32_t *cycles_after, size_t count)
{
    struct block block = {.start = qemu_plugin_tb_vaddr(translated), .count = (uint32_t)count};
    struct pipeline pipeline = {0};
    struct instruction in = {0};
    block.next = block.start;
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(translated, i);
        uint8_t code[4];
        interface_code(insn, code);
        in = decode(code);
        timing_issue(core, &pipeline, &in);
        cycles_after[i] = pipeline.now;
        block.next += in.size_bytes;
        if (has_flash && decode_loads(in.kind)) /* QEMU 7.2 takes "reads" alone for writes */
            qemu_plugin_register_vcpu_mem_cb(insn, on_load, QEMU_PLUGIN_CB_NO_REGS,
                                             QEMU_PLUGIN_MEM_RW, NULL);
        if (ram.length_bytes && pipeline.waits) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_first_access, QEMU_PLUGIN_CB_NO_REGS,
                                                   NULL);
            qemu_plugin_register_vcpu_mem_cb(insn, on_transfer, QEMU_PLUGIN_CB_NO_REGS,
                                             QEMU_PLUGIN_MEM_RW, NULL);
        }
    }
    block.last = block.next - 1;
    uint32_t total = pipeline.now + end_block(&block, &in);
    for (size_t i = 0; i < count; i++)
        cycles_after[i] = total - cycles_after[i];
    if (has_flash || block.branches || may_follow_branch(translated))
        qemu_plugin_register_vcpu_tb_exec_cb(translated, on_block, QEMU_PLUGIN_CB_NO_REGS,
                                             kept(&block, sizeof block));
    interface_add(translated, offsetof(struct counts, model_cycles), total);
}

static void on_translation(struct qemu_plugin_tb *block)
{
    size_t count = qemu_plugin_tb_n_insns(block);
    uint32_t cycles_after[count];
    memset(cycles_after, 0, sizeof cycles_after);
    entered = interface_counts();
    if (core)
        time_block(block, cycles_after, count);
    interface_add(block, offsetof(struct counts, instructions), count);
    bool after_marker = follows_marker(block);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        if (after_marker)
            qemu_plugin_register_vcpu_mem_cb(insn, on_store, QEMU_PLUGIN_CB_NO_REGS,
                                             QEMU_PLUGIN_MEM_W, NULL);
        after_marker = is_marker(insn);
        if (after_marker) {
            struct place place = {count - 1 - i, cycles_after[i]};
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_marker, QEMU_PLUGIN_CB_NO_REGS,
                                                   kept(&place, sizeof place));
        }
    }
}

/* ---- arguments */

/* `count` numbers with colons between them. */
static bool read_numbers(const char *text, uint32_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *end;
        values[i] = (uint32_t)strtoul(text, &end, 0);
        if (end == text || *end != (i + 1 < count ? ':' : '\0'))
            return false;
        text = end + 1;
    }
    return true;
}

static bool use_ram(const char *text)
{
    uint32_t values[2];
    if (!read_numbers(text, values, 2))
        return false;
    ram.origin = values[0];
    ram.length_bytes = values[1];
    return true;
}

static bool use_flash(const char *text)
{
    uint32_t values[6];
    if (!read_numbers(text, values, 6))
        return false;
    flash.origin = values[0];
    flash.length_bytes = values[1];
    flash.line_bytes = values[2];
    flash.wait_cycles = values[3];
    has_flash = flash_open(&flash, values[4], values[5]);
    return has_flash;
}

static bool use_argument(const char *argument)
{
    if (strncmp(argument, "core=", 5) == 0) {
        core = core_find(argument + 5);
        return core != NULL;
    }
    if (strncmp(argument, "ram=", 4) == 0)
        return use_ram(argument + 4);
    return strncmp(argument, "flash=", 6) == 0 && use_flash(argument + 6);
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
                                           int argument_count, char **arguments)
{
    (void)info;
    for (int i = 0; i < argument_count; i++) {
        if (!use_argument(arguments[i])) {
            fprintf(stderr, "hil-compress plug-in: cannot use argument %s\n", arguments[i]);
            return -1;
        }
    }
    return interface_open(id, on_translation) ? 0 : -1;
}
