/* Thumb and Thumb-2 instructions, as far as their timing goes: class, registers, branch target. */
#ifndef DECODE_H
#define DECODE_H

#include <stdbool.h>
#include <stdint.h>

enum kind {
    KIND_ALU,             /* moves, arithmetic and logic on registers and immediates */
    KIND_SHIFT,           /* a shift or rotation by itself */
    KIND_SHIFTED,         /* arithmetic or logic with a shifted operand */
    KIND_EXTEND,          /* sign and zero extension, with or without an addition */
    KIND_BITS,            /* bit fields, byte order, leading zeros */
    KIND_SIMD,            /* parallel additions, packing, selection */
    KIND_SATURATE,        /* saturation, saturating addition */
    KIND_MUL,             /* multiplication with a 32-bit result */
    KIND_MAC,             /* the same with a 32-bit accumulator */
    KIND_LONG_MUL,        /* multiplication with a 64-bit result */
    KIND_LONG_MAC,        /* the same with a 64-bit accumulator */
    KIND_DIVIDE,
    KIND_LOAD,            /* one register */
    KIND_STORE,
    KIND_LOAD_MULTIPLE,   /* `transfers` registers: LDM, POP, LDRD, VLDM */
    KIND_STORE_MULTIPLE,
    KIND_LOAD_DOUBLE,
    KIND_STORE_DOUBLE,
    KIND_JUMP,            /* to an address in the instruction */
    KIND_CALL,            /* the same, with link */
    KIND_JUMP_REGISTER,   /* to an address in a register */
    KIND_JUMP_TABLE,      /* TBB, TBH */
    KIND_IT,
    KIND_NOP,
    KIND_BARRIER,
    KIND_SYSTEM,          /* special registers and the like */
    KIND_FLOAT,           /* floating point, one cycle on Cortex-M4 */
    KIND_FLOAT_PAIR,      /* moves between two core and one or two floating-point registers */
    KIND_FLOAT_MAC,
    KIND_FLOAT_DIVIDE,    /* and square root */
    KINDS
};

enum { PC = 15, NO_REGISTERS = 0 };

struct instruction {
    enum kind kind;
    uint8_t size_bytes;   /* 2 or 4 */
    uint8_t transfers;    /* registers loaded or stored */
    uint8_t access_bytes; /* of one transfer: 1, 2 or 4 */
    uint8_t guarded;      /* IT: how many instructions it makes conditional */
    bool conditional;     /* may do nothing */
    bool paired;          /* set by timing_issue: issued with the instruction before it, ... */
    bool after_access;    /* ... which reads or writes memory */
    bool sets_pc;
    bool left_shift;      /* the shift, if any, is to the left */
    bool offset_register; /* the address is the sum of two registers */
    uint16_t reads;       /* core registers, bit n for Rn */
    uint16_t writes;
    uint16_t updates;     /* those of `writes` that are only a base address's write-back */
    uint16_t address;     /* those of `reads` that make the address */
    uint16_t late;        /* those of `reads` needed late only: accumulators, stored values */
    uint16_t early;       /* those of `reads` that are shifted first */
    int32_t offset;       /* of an access with immediate offset, in bytes */
    int32_t target;       /* of KIND_JUMP and KIND_CALL, in bytes from the instruction */
};

/* The instruction at `code`; reads 4 bytes at most, 2 if the first half-word is an instruction. */
struct instruction decode(const uint8_t *code);

/* Whether instructions of this class read memory. */
bool decode_loads(enum kind kind);

/* Whether they read or write it. */
bool decode_accesses(enum kind kind);

/* Whether the instruction that starts with this half-word has another one. */
bool decode_is_wide(uint16_t half);

#endif
