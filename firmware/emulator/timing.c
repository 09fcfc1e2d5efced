/* The timing of the cores.
 *
 * Sources, by Arm's document numbers:
 *   M0   DDI 0432C, Cortex-M0 TRM r0p0, table 3-1
 *   M0+  DDI 0484C, Cortex-M0+ TRM r0p1, table 3-1
 *   M3   DDI 0337I (also 100165), Cortex-M3 TRM r2p1, table 3-1 and section 3.3.2, "Load/store
 *        timings"
 *   M4   DDI 0439D, Cortex-M4 TRM r0p1, tables 3-1, 3-2 and 7-1 and section 3.3.3
 *        Both: how accesses in a row overlap, where the manuals' text leaves it open, as measured
 *        on an STM32F103 and an STM32F407: Jan Oleksiewicz, "pipeline cycle test",
 *        doc/cortex_m3m4.md (github.com/jnk0le/random)
 *   M7   DDI 0489F, Cortex-M7 TRM: no timing; two pipes, their units and latencies: the scheduling
 *        model that Arm contributed to LLVM, llvm/lib/Target/ARM/ARMScheduleM7.td, which
 *        simplifies shifts: those as measured on an STM32H743, doc/cortex_m7.md beside
 *        cortex_m3m4.md
 *   M33  100230, Cortex-M33 TRM: no timing; the cycles measured on an RP2350 for the SLOTHY
 *        project, slothy/targets/arm_v7m/cortex_m33.py, and what goes together there, by
 *        doc/cortex_m33.md beside cortex_m3m4.md
 * Memory without wait states throughout, but for `waits` of struct pipeline. Where the manual gives a range, the comment says which
 * value stands here and why.
 */
#include "timing.h"

#include <stddef.h>
#include <string.h>

#define MAXIMUM(a, b) ((a) > (b) ? (a) : (b))

static const struct core cores[] = {
    {
        .name = "cortex-m0",
        /* MULS takes 1 or 32 cycles, as the chip's maker chose; the fast multiplier is common. */
        .extra = {[KIND_LOAD] = 1, [KIND_STORE] = 1, [KIND_CALL] = 1, [KIND_BARRIER] = 3,
                  [KIND_SYSTEM] = 3},
        .multiple = 1,
        .refill_jump = 2,     /* B 3, BL 4 */
        .refill_register = 2, /* BX, BLX, MOV and ADD to PC: 3 */
        .refill_load = 3,     /* POP with PC: 4 + N */
    },
    {
        .name = "cortex-m0plus",
        .extra = {[KIND_LOAD] = 1, [KIND_STORE] = 1, [KIND_CALL] = 1, [KIND_BARRIER] = 2,
                  [KIND_SYSTEM] = 2},
        .multiple = 1,
        .refill_jump = 1,     /* B 2, BL 3 */
        .refill_register = 1, /* BX, BLX, MOV and ADD to PC: 2 */
        .refill_load = 2,     /* POP with PC: 3 + N */
    },
    {
        .name = "cortex-m3",
        /* Ranges: UMULL, SMULL 3 to 5 and UMLAL, SMLAL 4 to 7 end early for small operands: here
         * the upper ends, since requantization multiplies by mantissas of 31 bits. SDIV, UDIV 2 to
         * 12: the middle. */
        .extra = {[KIND_MAC] = 1, [KIND_LONG_MUL] = 4, [KIND_LONG_MAC] = 6, [KIND_DIVIDE] = 6,
                  [KIND_LOAD] = 1, [KIND_JUMP_TABLE] = 2, [KIND_SYSTEM] = 1},
        .multiple = 1,
        /* P, 1 to 3, "depending on the alignment and width of the target instruction, and whether
         * the processor manages to speculate the address early": 1, one more for a 32-bit target
         * that straddles two words, one more for an address from a register; 3 for one from
         * memory ("three cycles for the pipeline reload", section 3.3.2). */
        .refill_jump = 1,
        .refill_register = 2,
        .refill_load = 3,
        .overlaps_accesses = true,
        .indexed_apart = true,
        .splits_wide_targets = true,
    },
    {
        .name = "cortex-m4",
        .extra = {[KIND_DIVIDE] = 6, [KIND_LOAD] = 1, [KIND_JUMP_TABLE] = 2, [KIND_SYSTEM] = 1,
                  [KIND_FLOAT_PAIR] = 1, [KIND_FLOAT_MAC] = 2, [KIND_FLOAT_DIVIDE] = 13},
        .multiple = 1,
        .refill_jump = 1, /* P and divisions as on Cortex-M3 */
        .refill_register = 2,
        .refill_load = 3,
        .overlaps_accesses = true,
        .splits_wide_targets = true,
    },
    {
        .name = "cortex-m7",
        .extra = {[KIND_DIVIDE] = 6, [KIND_JUMP_TABLE] = 1, [KIND_BARRIER] = 2, [KIND_SYSTEM] = 2,
                  [KIND_FLOAT_DIVIDE] = 13},
        .latency = {[KIND_MUL] = 2, [KIND_MAC] = 2, [KIND_LONG_MUL] = 2, [KIND_LONG_MAC] = 2,
                    [KIND_SATURATE] = 2},
        .mispredicted = 6,
        .predicts = true,
        .dual_issue = true,
    },
    {
        .name = "cortex-m33",
        .extra = {[KIND_DIVIDE] = 6, [KIND_JUMP_TABLE] = 1, [KIND_SYSTEM] = 1,
                  [KIND_FLOAT_MAC] = 2, [KIND_FLOAT_DIVIDE] = 13},
        .latency = {[KIND_LOAD] = 2, [KIND_MUL] = 2, [KIND_MAC] = 2, [KIND_LONG_MUL] = 2,
                    [KIND_LONG_MAC] = 2, [KIND_SIMD] = 2, [KIND_SHIFTED] = 2},
        .refill_jump = 2, /* "TAKEN branch: 3 cycles" */
        .refill_register = 2,
        .refill_load = 2,
        .shifts_left_fast = true,
        .pairs_narrow = true,
    },
};

const struct core *core_find(const char *name)
{
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (strcmp(cores[i].name, name) == 0)
            return &cores[i];
    return NULL;
}

static bool is_data_processing(enum kind kind) { return kind <= KIND_DIVIDE; }

static bool is_multiplication(enum kind kind)
{
    return kind >= KIND_MUL && kind <= KIND_LONG_MAC;
}

/* ---- one instruction at a time */

/* Cortex-M3 and -M4. A load takes an address cycle and a data cycle; the address cycle of a load or
 * a store right behind it may be that data cycle, unless the address needs what is loaded. A store
 * to base and immediate takes its address cycle only, since the next instruction is executed
 * during its data cycle; but "nothing can be pipelined after the store": a load has to wait for
 * that data cycle. A store to base and register takes both cycles. */
static uint32_t access_cost(const struct core *core, const struct pipeline *pipeline,
                            const struct instruction *in)
{
    const struct instruction *last = &pipeline->last;
    uint32_t cost = 1u + core->extra[in->kind];
    if (in->kind == KIND_STORE && in->offset_register)
        cost++;
    bool apart = core->indexed_apart && in->updates;
    if (last->kind == KIND_LOAD && !(last->writes & in->address) && !apart)
        cost--;
    return cost;
}

/* Cycles that a load waits for the data cycle of the store before it. */
static uint32_t store_wait(const struct core *core, const struct pipeline *pipeline,
                           const struct instruction *in)
{
    const struct instruction *last = &pipeline->last;
    bool stores = last->kind == KIND_STORE && !last->offset_register;
    return core->overlaps_accesses && stores && decode_loads(in->kind);
}

/* Whether an access does not follow right behind another. Several transfers and doubles "cannot be
 * pipelined with preceding or following instructions". */
static bool is_first_access(const struct pipeline *pipeline, const struct instruction *in)
{
    const struct instruction *last = &pipeline->last;
    if (last->kind == KIND_LOAD)
        return last->writes & in->address || in->transfers > 1;
    return last->kind != KIND_STORE || (in->transfers > 1 && decode_loads(in->kind));
}

/* What `waits` and `last_is_first` are after `in`. */
static void note_access(struct pipeline *pipeline, const struct instruction *in)
{
    bool first = decode_accesses(in->kind) && is_first_access(pipeline, in);
    bool delayed = decode_accesses(in->kind) && pipeline->last_is_first;
    pipeline->last_is_first = first && in->kind == KIND_STORE;
    pipeline->waits = delayed || (first && in->kind != KIND_STORE);
}

static uint32_t cost_of(const struct core *core, const struct pipeline *pipeline,
                        const struct instruction *in)
{
    switch (in->kind) {
    case KIND_LOAD_MULTIPLE: case KIND_STORE_MULTIPLE:
    case KIND_LOAD_DOUBLE: case KIND_STORE_DOUBLE: {
        uint32_t words_at_once = core->dual_issue ? 2 : 1;
        return core->multiple + (in->transfers + words_at_once - 1u) / words_at_once;
    }
    case KIND_LOAD: case KIND_STORE:
        if (core->overlaps_accesses)
            return access_cost(core, pipeline, in);
        break;
    case KIND_IT: /* "can be folded onto a preceding 16-bit Thumb instruction" (M3 and M4) */
        if (core->overlaps_accesses && pipeline->last.size_bytes == 2)
            return 0;
        break;
    default:
        break;
    }
    return 1u + core->extra[in->kind];
}

/* Cortex-M33: "only two 16-bit instructions can dual issue", and the second of them is an IT, a NOP
 * or a branch. */
static bool pairs(const struct core *core, const struct pipeline *pipeline,
                  const struct instruction *in)
{
    const struct instruction *last = &pipeline->last;
    if (!core->pairs_narrow || in->size_bytes != 2 || last->size_bytes != 2 || last->paired ||
        last->sets_pc)
        return false;
    bool compares = in->kind == KIND_JUMP && in->reads; /* CBZ: nothing is told about it */
    return in->kind == KIND_IT || in->kind == KIND_NOP || in->kind == KIND_JUMP_REGISTER ||
           (in->kind == KIND_JUMP && !compares);
}

/* Registers whose new value an address or a shifted operand need not wait for: bases written back
 * ("bypassable out of EX1", LLVM) and shifts by themselves, which "can enter the early ALU"
 * (measured, doc/cortex_m7.md). */
static uint16_t early_results(const struct instruction *in)
{
    return in->kind == KIND_SHIFT ? in->writes : in->updates;
}

/* First cycle in which all operands are there. */
static uint32_t operands_ready(const struct core *core, const struct pipeline *pipeline,
                               const struct instruction *in)
{
    uint32_t ready = 0;
    for (int i = 0; i < 16; i++) {
        if (!(in->reads >> i & 1))
            continue;
        uint32_t at = pipeline->ready[i];
        if (core->dual_issue) {
            if ((in->address | in->early) >> i & 1)
                at += at > 0 && !(pipeline->early >> i & 1);
            else if (in->late >> i & 1)
                at -= at > 0;
        } else if (in->late >> i & 1) {
            at -= at > 0;
        }
        ready = MAXIMUM(ready, at);
    }
    /* "Any load or store that generates an address dependent on the result of a preceding data
     * processing operation stalls the pipeline for an additional cycle" (M3 and M4) */
    if (core->overlaps_accesses && in->address && is_data_processing(pipeline->last.kind) &&
        (pipeline->last.writes & in->address))
        ready = MAXIMUM(ready, pipeline->now + 1);
    return ready;
}

static uint32_t latency_of(const struct core *core, const struct instruction *in)
{
    uint32_t latency = core->latency[in->kind];
    if (core->shifts_left_fast && in->kind == KIND_SHIFTED && in->left_shift)
        latency = 1;
    if (core->dual_issue && in->kind == KIND_LOAD)
        latency = in->access_bytes < 4 ? 2 : 1;
    return latency;
}

/* ---- two at a time (Cortex-M7) */

static bool issues_alone(enum kind kind)
{
    switch (kind) {
    case KIND_DIVIDE: case KIND_LOAD_MULTIPLE: case KIND_STORE_MULTIPLE: case KIND_LOAD_DOUBLE:
    case KIND_STORE_DOUBLE: case KIND_JUMP_TABLE: case KIND_BARRIER: case KIND_SYSTEM:
        return true;
    default:
        return false;
    }
}

static bool first_slot_only(enum kind kind)
{
    return kind == KIND_EXTEND || kind == KIND_BITS || kind == KIND_SIMD || kind == KIND_SATURATE;
}

static bool needs_first_shifter(enum kind kind)
{
    return kind == KIND_SHIFTED || kind == KIND_BITS || kind == KIND_SATURATE;
}

/* "There are shifters in both EX1 and EX2, and some instructions can be flexibly allocated between
 * them" (LLVM): shifts by themselves. Measured (doc/cortex_m7.md beside cortex_m3m4.md): a shift
 * goes with a shift and behind a shifted operand, not before one. */
static bool shifters_collide(enum kind first, enum kind second)
{
    if (first == KIND_SHIFT)
        return second == KIND_SHIFTED;
    return needs_first_shifter(first) && needs_first_shifter(second);
}

/* Two loads go together if they are to different words of a double word: of those with the same
 * base that is known, of others it is not assumed. */
static bool other_bank(const struct instruction *first, const struct instruction *second)
{
    return first->address == second->address && !first->offset_register &&
           !second->offset_register && ((first->offset ^ second->offset) & 4);
}

static bool issue_together(const struct instruction *first, const struct instruction *second)
{
    enum kind a = first->kind, b = second->kind;
    if (issues_alone(a) || issues_alone(b) || first_slot_only(b) || first->sets_pc)
        return false;
    if (is_multiplication(a) && is_multiplication(b))
        return false;
    if (shifters_collide(a, b))
        return false;
    if (a >= KIND_FLOAT && b >= KIND_FLOAT)
        return false;
    if (a == KIND_STORE && b == KIND_STORE)
        return false;
    return a != KIND_LOAD || b != KIND_LOAD || other_bank(first, second);
}

void timing_issue(const struct core *core, struct pipeline *pipeline,
                  struct instruction *instruction)
{
    struct instruction *in = instruction;
    if (pipeline->guarded) {
        in->conditional = true;
        pipeline->guarded--;
    }
    uint32_t ready = operands_ready(core, pipeline, in);
    uint32_t cost = cost_of(core, pipeline, in) + store_wait(core, pipeline, in);
    if (in->conditional && in->sets_pc)
        cost = 1;
    in->paired = pairs(core, pipeline, in);
    in->after_access = in->paired && decode_accesses(pipeline->last.kind);
    if (in->paired)
        cost = 0;
    bool joins = core->dual_issue && pipeline->in_group == 1 && ready <= pipeline->issued &&
                 issue_together(&pipeline->last, in);
    uint32_t start = joins ? pipeline->issued : MAXIMUM(pipeline->now, ready);
    pipeline->in_group = joins ? 2 : 1;
    pipeline->issued = start;
    pipeline->now = MAXIMUM(pipeline->now, start + cost);
    uint32_t result = start + MAXIMUM(cost, latency_of(core, in));
    for (int i = 0; i < 16; i++)
        if (in->writes >> i & 1)
            pipeline->ready[i] = in->updates >> i & 1 ? start + 1 : result;
    pipeline->early = (uint16_t)((pipeline->early & ~in->writes) | early_results(in));
    pipeline->guarded = in->kind == KIND_IT ? in->guarded : pipeline->guarded;
    note_access(pipeline, in);
    pipeline->last = *in;
}

uint32_t timing_refill(const struct core *core, const struct instruction *branch, bool wide_target)
{
    if (!branch->sets_pc)
        return 0;
    uint32_t split = wide_target && core->splits_wide_targets;
    /* What the base cost of a conditional one, which is that of one not taken, leaves out. */
    uint32_t more = 0;
    if (branch->conditional && branch->kind == KIND_LOAD_MULTIPLE)
        more = branch->transfers;
    switch (branch->kind) {
    case KIND_LOAD: case KIND_LOAD_MULTIPLE: case KIND_LOAD_DOUBLE: case KIND_JUMP_TABLE:
        return core->refill_load + more;
    case KIND_JUMP_REGISTER:
        return core->refill_register;
    default: /* "effectively executing in 1 cycle" behind one that sets no flags */
        return core->refill_jump + split - branch->after_access;
    }
}
