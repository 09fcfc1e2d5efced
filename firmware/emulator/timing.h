/* Cycles of instructions in order, core by core. */
#ifndef TIMING_H
#define TIMING_H

#include <stdbool.h>
#include <stdint.h>

#include "decode.h"

/* The timing of a core; see timing.c for the tables. */
struct core {
    const char *name;
    uint8_t extra[KINDS];     /* cycles beyond one that an instruction takes */
    uint8_t multiple;         /* cycles of several transfers, beyond those for each */
    uint8_t latency[KINDS];   /* cycles from its start to the use of its result, if that is more */
    uint8_t refill_jump;      /* what is added when a jump to an address in the instruction is
                                 taken, ... */
    uint8_t refill_register;  /* ... to one in a register, ... */
    uint8_t refill_load;      /* ... to one loaded from memory */
    uint8_t mispredicted;     /* what is added when the branch predictor is wrong */
    bool predicts;            /* conditional branches have a predictor */
    bool overlaps_accesses;   /* the second of two accesses in a row overlaps the first... */
    bool indexed_apart;       /* ... unless it writes its base register back */
    bool splits_wide_targets; /* one more cycle for a 32-bit target that straddles two words */
    bool shifts_left_fast;    /* only operands shifted to the left come without latency */
    bool dual_issue;
    bool pairs_narrow;        /* a 16-bit branch, IT or NOP goes with a 16-bit one before it */
};

/* The core called `name` ("cortex-m4"), or NULL if its timing is not known. */
const struct core *core_find(const char *name);

/* What is in flight within straight-line code; all zeros is an empty pipeline. */
struct pipeline {
    uint32_t now;        /* cycle from which the next instruction may start */
    uint32_t ready[16];  /* cycle from which a register's value may be used */
    uint16_t early;      /* registers whose value left the first stage of Cortex-M7's two */
    uint32_t issued;     /* cycle in which `last` started */
    uint8_t in_group;    /* instructions started in that cycle */
    uint8_t guarded;     /* instructions still to come in an IT block */
    bool last_is_first;  /* `last` is a store that is the first access, see below */
    bool waits;          /* `last` waits for a memory that delays each first access: one that does
                            not follow right behind another, so that the bus was idle. A store's
                            delay is felt by the access behind it, if there is one. */
    struct instruction last;
};

/* Take the next instruction in; sets its `conditional` in an IT block, `paired` and `after_access`. A branch is taken to be
 * not taken; what it costs more if it is taken is `timing_refill`. */
void timing_issue(const struct core *core, struct pipeline *pipeline,
                  struct instruction *instruction);

/* Cycles more if the branch is taken. `wide_target`: the instruction there straddles two words. */
uint32_t timing_refill(const struct core *core, const struct instruction *branch,
                       bool wide_target);

#endif
