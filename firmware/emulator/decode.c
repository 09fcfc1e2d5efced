/* Decodes Thumb instructions into what their timing depends on.
 *
 * Encodings: Armv7-M Architecture Reference Manual (DDI 0403E), chapter A5; the names of the
 * tables there stand above the functions. What is not defined there counts as KIND_ALU. */
#include "decode.h"

#define BIT(n) ((uint16_t)(1u << (n)))

static uint32_t bits(uint32_t word, int high, int low)
{
    return word >> low & ((1u << (high - low + 1)) - 1u);
}

static int32_t sign_extended(uint32_t value, int width)
{
    uint32_t sign = 1u << (width - 1);
    return (int32_t)((value ^ sign) - sign);
}

static uint8_t ones(uint32_t word) { return (uint8_t)__builtin_popcount(word); }

bool decode_is_wide(uint16_t half) { return half >= 0xE800; }

bool decode_loads(enum kind kind)
{
    return kind == KIND_LOAD || kind == KIND_LOAD_MULTIPLE || kind == KIND_LOAD_DOUBLE;
}

bool decode_accesses(enum kind kind)
{
    return decode_loads(kind) || kind == KIND_STORE || kind == KIND_STORE_MULTIPLE ||
           kind == KIND_STORE_DOUBLE;
}

static void set(struct instruction *out, enum kind kind, uint16_t writes, uint16_t reads)
{
    out->kind = kind;
    out->writes = writes;
    out->reads = reads;
    if (writes & BIT(PC)) {
        out->kind = KIND_JUMP_REGISTER;
        out->sets_pc = true;
    }
}

static void set_access(struct instruction *out, bool load, uint32_t value, uint16_t address,
                       uint8_t access_bytes)
{
    out->kind = load ? KIND_LOAD : KIND_STORE;
    out->transfers = 1;
    out->access_bytes = access_bytes;
    out->address = address & (uint16_t)~BIT(PC);
    out->reads = out->address;
    if (load) {
        out->writes = BIT(value);
        out->sets_pc = value == PC;
    } else {
        out->reads |= BIT(value);
        out->late = BIT(value) & (uint16_t)~address;
    }
}

static void set_multiple(struct instruction *out, bool load, uint16_t list, uint32_t base,
                         bool write_back)
{
    out->kind = load ? KIND_LOAD_MULTIPLE : KIND_STORE_MULTIPLE;
    out->transfers = ones(list);
    out->access_bytes = 4;
    out->address = BIT(base);
    out->reads = (uint16_t)(BIT(base) | (load ? 0 : list));
    out->updates = write_back && !(load && (list & BIT(base))) ? BIT(base) : NO_REGISTERS;
    out->writes = (uint16_t)((load ? list : 0) | out->updates);
    out->sets_pc = load && (list & BIT(PC));
}

static void set_jump(struct instruction *out, enum kind kind, int32_t target, bool conditional)
{
    out->kind = kind;
    out->target = target + 4;
    out->conditional = conditional;
    out->sets_pc = true;
}

/* ---- 16-bit */

/* A5.2.1, shift (immediate), add, subtract, move, and compare */
static void decode_basic(struct instruction *out, uint32_t half)
{
    uint16_t low = BIT(bits(half, 2, 0)), middle = BIT(bits(half, 5, 3));
    uint16_t high = BIT(bits(half, 10, 8));
    switch (bits(half, 13, 11)) {
    case 0: /* LSL, or MOV if by 0 */
        set(out, bits(half, 10, 6) ? KIND_SHIFT : KIND_ALU, low, middle);
        out->left_shift = true;
        break;
    case 1: case 2:
        set(out, KIND_SHIFT, low, middle);
        break;
    case 3: /* ADD, SUB of a register or 3 bits */
        set(out, KIND_ALU, low,
            (uint16_t)(middle | (bits(half, 10, 10) ? 0 : BIT(bits(half, 8, 6)))));
        break;
    case 4:
        set(out, KIND_ALU, high, NO_REGISTERS);
        break;
    case 5: /* CMP */
        set(out, KIND_ALU, NO_REGISTERS, high);
        break;
    default:
        set(out, KIND_ALU, high, high);
    }
}

/* A5.2.2, data processing */
static void decode_data_processing(struct instruction *out, uint32_t half)
{
    uint16_t low = BIT(bits(half, 2, 0)), middle = BIT(bits(half, 5, 3));
    switch (bits(half, 9, 6)) {
    case 2: case 3: case 4: case 7: /* LSL, LSR, ASR, ROR */
        set(out, KIND_SHIFT, low, low | middle);
        out->left_shift = bits(half, 9, 6) == 2;
        break;
    case 8: case 10: case 11: /* TST, CMP, CMN */
        set(out, KIND_ALU, NO_REGISTERS, low | middle);
        break;
    case 9: case 15: /* RSB, MVN */
        set(out, KIND_ALU, low, middle);
        break;
    case 13:
        set(out, KIND_MUL, low, low | middle);
        break;
    default:
        set(out, KIND_ALU, low, low | middle);
    }
}

/* A5.2.3, special data instructions and branch and exchange */
static void decode_special(struct instruction *out, uint32_t half)
{
    uint16_t source = BIT(bits(half, 6, 3));
    uint16_t target = BIT(bits(half, 7, 7) << 3 | bits(half, 2, 0));
    switch (bits(half, 9, 8)) {
    case 0:
        set(out, KIND_ALU, target, source | target);
        break;
    case 1: /* CMP */
        set(out, KIND_ALU, NO_REGISTERS, source | target);
        break;
    case 2: /* MOV */
        set(out, KIND_ALU, target, source);
        break;
    default: /* BX, BLX */
        set(out, KIND_JUMP_REGISTER, bits(half, 7, 7) ? BIT(14) : NO_REGISTERS, source);
        out->sets_pc = true;
    }
}

/* A5.2.4, load/store single data item */
static void decode_access(struct instruction *out, uint32_t half)
{
    static const uint8_t sizes[8] = {4, 2, 1, 1, 4, 2, 1, 2}; /* STR H B, LDRSB, LDR H B SH */
    uint32_t value = bits(half, 2, 0), base = bits(half, 5, 3), operation = bits(half, 11, 9);
    bool load = bits(half, 11, 11);
    switch (bits(half, 15, 12)) {
    case 5:
        set_access(out, operation >= 3, value, BIT(base) | BIT(bits(half, 8, 6)),
                   sizes[operation]);
        out->offset_register = true;
        break;
    case 6:
        set_access(out, load, value, BIT(base), 4);
        out->offset = (int32_t)bits(half, 10, 6) * 4;
        break;
    case 7:
        set_access(out, load, value, BIT(base), 1);
        out->offset = (int32_t)bits(half, 10, 6);
        break;
    case 8:
        set_access(out, load, value, BIT(base), 2);
        out->offset = (int32_t)bits(half, 10, 6) * 2;
        break;
    default: /* relative to SP */
        set_access(out, load, bits(half, 10, 8), BIT(13), 4);
        out->offset = (int32_t)bits(half, 7, 0) * 4;
    }
}

/* A5.2.5, miscellaneous 16-bit instructions */
static void decode_miscellaneous(struct instruction *out, uint32_t half)
{
    uint16_t low = BIT(bits(half, 2, 0)), middle = BIT(bits(half, 5, 3));
    switch (bits(half, 11, 8)) {
    case 0x0: /* ADD, SUB SP */
        set(out, KIND_ALU, BIT(13), BIT(13));
        break;
    case 0x1: case 0x3: case 0x9: case 0xB: /* CBZ, CBNZ */
        set_jump(out, KIND_JUMP, (int32_t)(bits(half, 9, 9) << 6 | bits(half, 7, 3) << 1), true);
        out->reads = low;
        break;
    case 0x2:
        set(out, KIND_EXTEND, low, middle);
        break;
    case 0x4: case 0x5: /* PUSH */
        set_multiple(out, false, (uint16_t)(bits(half, 7, 0) | bits(half, 8, 8) << 14), 13, true);
        break;
    case 0x6: /* CPS */
        set(out, KIND_ALU, NO_REGISTERS, NO_REGISTERS);
        break;
    case 0xA: /* REV, REV16, REVSH */
        set(out, KIND_BITS, low, middle);
        break;
    case 0xC: case 0xD: /* POP */
        set_multiple(out, true, (uint16_t)(bits(half, 7, 0) | bits(half, 8, 8) << 15), 13, true);
        break;
    case 0xF:
        out->kind = bits(half, 3, 0) ? KIND_IT : KIND_NOP;
        if (out->kind == KIND_IT)
            out->guarded = (uint8_t)(4 - __builtin_ctz(bits(half, 3, 0)));
        break;
    default:
        out->kind = KIND_SYSTEM;
    }
}

static void decode_narrow(struct instruction *out, uint32_t half)
{
    switch (bits(half, 15, 12)) {
    case 0x0: case 0x1: case 0x2: case 0x3:
        decode_basic(out, half);
        break;
    case 0x4:
        if (bits(half, 11, 11)) /* LDR (literal) */
            set_access(out, true, bits(half, 10, 8), NO_REGISTERS, 4);
        else if (bits(half, 10, 10))
            decode_special(out, half);
        else
            decode_data_processing(out, half);
        break;
    case 0x5: case 0x6: case 0x7: case 0x8: case 0x9:
        decode_access(out, half);
        break;
    case 0xA: /* ADR, ADD from SP */
        set(out, KIND_ALU, BIT(bits(half, 10, 8)), bits(half, 11, 11) ? BIT(13) : NO_REGISTERS);
        break;
    case 0xB:
        decode_miscellaneous(out, half);
        break;
    case 0xC:
        set_multiple(out, bits(half, 11, 11), (uint16_t)bits(half, 7, 0), bits(half, 10, 8), true);
        break;
    case 0xD:
        if (bits(half, 11, 8) >= 0xE) /* UDF, SVC */
            out->kind = KIND_SYSTEM;
        else
            set_jump(out, KIND_JUMP, sign_extended(bits(half, 7, 0) << 1, 9), true);
        break;
    default:
        set_jump(out, KIND_JUMP, sign_extended(bits(half, 10, 0) << 1, 12), false);
    }
}

/* ---- 32-bit: `first` and `second` half-word */

/* A5.3.1 and A5.3.3: operation in bits 8..5 of the first half-word */
static void decode_operation(struct instruction *out, uint32_t first, uint32_t second,
                             enum kind kind, uint16_t operand)
{
    uint32_t operation = bits(first, 8, 5), n = bits(first, 3, 0), d = bits(second, 11, 8);
    bool moves = (operation == 2 || operation == 3) && n == PC; /* MOV, MVN */
    bool compares = d == PC && bits(first, 4, 4); /* TST, TEQ, CMN, CMP */
    set(out, kind, compares ? NO_REGISTERS : BIT(d),
        (uint16_t)(operand | (moves ? 0 : BIT(n))) & (uint16_t)~BIT(PC));
}

/* A5.3.11, data processing (shifted register) */
static void decode_shifted(struct instruction *out, uint32_t first, uint32_t second)
{
    uint32_t amount = bits(second, 14, 12) << 2 | bits(second, 7, 6), type = bits(second, 5, 4);
    uint32_t operation = bits(first, 8, 5);
    uint16_t operand = BIT(bits(second, 3, 0));
    bool moves = operation == 2 && bits(first, 3, 0) == PC;
    enum kind kind = KIND_ALU;
    if (operation == 6) /* PKH */
        kind = KIND_SIMD;
    else if (amount || type)
        kind = moves ? KIND_SHIFT : KIND_SHIFTED;
    decode_operation(out, first, second, kind, operand);
    out->left_shift = type == 0;
    if (out->kind == KIND_SHIFTED || (out->kind == KIND_SIMD && amount))
        out->early = operand;
}

/* A5.3.3, data processing (plain binary immediate) */
static void decode_plain_immediate(struct instruction *out, uint32_t first, uint32_t second)
{
    uint16_t n = BIT(bits(first, 3, 0)) & (uint16_t)~BIT(PC), d = BIT(bits(second, 11, 8));
    switch (bits(first, 8, 4)) {
    case 0x04: /* MOVW */
        set(out, KIND_ALU, d, NO_REGISTERS);
        break;
    case 0x0C: /* MOVT */
        set(out, KIND_ALU, d, d);
        break;
    case 0x10: case 0x12: case 0x18: case 0x1A: /* SSAT, USAT */
        set(out, KIND_SATURATE, d, n);
        out->early = n;
        break;
    case 0x14: case 0x1C: /* SBFX, UBFX */
        set(out, KIND_BITS, d, n);
        out->early = n;
        break;
    case 0x16: /* BFI, BFC */
        set(out, KIND_BITS, d, n | d);
        break;
    default: /* ADDW, SUBW */
        set(out, KIND_ALU, d, n);
    }
}

/* A5.3.4, branches and miscellaneous control */
static void decode_control(struct instruction *out, uint32_t first, uint32_t second)
{
    uint32_t sign = bits(first, 10, 10), j1 = bits(second, 13, 13), j2 = bits(second, 11, 11);
    if (bits(second, 12, 12)) { /* B, BL */
        uint32_t i1 = !(j1 ^ sign), i2 = !(j2 ^ sign);
        uint32_t offset = sign << 24 | i1 << 23 | i2 << 22 | bits(first, 9, 0) << 12 |
                          bits(second, 10, 0) << 1;
        bool link = bits(second, 14, 14);
        set_jump(out, link ? KIND_CALL : KIND_JUMP, sign_extended(offset, 25), false);
        out->writes = link ? BIT(14) : NO_REGISTERS;
    } else if (bits(first, 9, 7) != 7) { /* B<cond> */
        uint32_t offset = sign << 20 | j2 << 19 | j1 << 18 | bits(first, 5, 0) << 12 |
                          bits(second, 10, 0) << 1;
        set_jump(out, KIND_JUMP, sign_extended(offset, 21), true);
    } else if (bits(first, 6, 4) == 3) { /* CLREX, DSB, DMB, ISB */
        out->kind = KIND_BARRIER;
    } else if (bits(first, 6, 4) == 2) { /* hints */
        out->kind = KIND_NOP;
    } else { /* MSR, MRS */
        out->kind = KIND_SYSTEM;
        out->writes = bits(first, 5, 5) ? BIT(bits(second, 11, 8)) : NO_REGISTERS;
    }
}

/* A5.3.5 and A5.3.6, load/store multiple, double, exclusive, table branch */
static void decode_multiple(struct instruction *out, uint32_t first, uint32_t second)
{
    bool load = bits(first, 4, 4), write_back = bits(first, 5, 5);
    uint32_t n = bits(first, 3, 0), t = bits(second, 15, 12), t2 = bits(second, 11, 8);
    if (!bits(first, 6, 6)) {
        set_multiple(out, load, (uint16_t)second, n, write_back);
    } else if (bits(first, 8, 8) || write_back) { /* LDRD, STRD */
        out->kind = load ? KIND_LOAD_DOUBLE : KIND_STORE_DOUBLE;
        out->transfers = 2;
        out->access_bytes = 4;
        out->address = BIT(n) & (uint16_t)~BIT(PC);
        out->reads = (uint16_t)(out->address | (load ? 0 : BIT(t) | BIT(t2)));
        out->updates = write_back ? BIT(n) : NO_REGISTERS;
        out->writes = (uint16_t)((load ? BIT(t) | BIT(t2) : 0) | out->updates);
        out->offset = (int32_t)bits(second, 7, 0) * 4;
    } else if (bits(first, 7, 7) && load && bits(second, 7, 5) == 0) { /* TBB, TBH */
        out->kind = KIND_JUMP_TABLE;
        out->address = out->reads =
            (uint16_t)(BIT(n) | BIT(bits(second, 3, 0))) & (uint16_t)~BIT(PC);
        out->sets_pc = true;
    } else { /* exclusive, acquire, release */
        set_access(out, load, t, BIT(n), 4);
    }
}

/* A5.3.7 to A5.3.10, load/store single */
static void decode_single(struct instruction *out, uint32_t first, uint32_t second)
{
    bool load = bits(first, 4, 4);
    uint32_t n = bits(first, 3, 0), t = bits(second, 15, 12);
    if (load && t == PC && bits(first, 6, 5) != 2) { /* PLD, PLI */
        out->kind = KIND_NOP;
        return;
    }
    uint16_t address = BIT(n);
    bool immediate = bits(first, 7, 7) || n == PC || bits(second, 11, 11);
    if (!immediate)
        address |= BIT(bits(second, 3, 0));
    set_access(out, load, t, address, (uint8_t)(1u << bits(first, 6, 5)));
    out->offset_register = !immediate;
    if (bits(first, 7, 7))
        out->offset = (int32_t)bits(second, 11, 0);
    else if (n != PC && bits(second, 11, 11)) { /* 8 bits, before or after */
        int32_t offset = (int32_t)bits(second, 7, 0);
        if (bits(second, 10, 10))
            out->offset = bits(second, 9, 9) ? offset : -offset;
        if (bits(second, 8, 8))
            out->updates = BIT(n);
        out->writes |= out->updates;
    }
}

/* A5.3.12 to A5.3.15, data processing (register) */
static void decode_register(struct instruction *out, uint32_t first, uint32_t second)
{
    uint16_t n = BIT(bits(first, 3, 0)) & (uint16_t)~BIT(PC), m = BIT(bits(second, 3, 0));
    uint16_t d = BIT(bits(second, 11, 8));
    if (!bits(first, 7, 7) && !bits(second, 7, 7)) {
        set(out, KIND_SHIFT, d, n | m);
        out->left_shift = bits(first, 6, 5) == 0;
    } else if (!bits(first, 7, 7)) {
        set(out, KIND_EXTEND, d, n | m);
        if (n)
            out->early = m;
    } else if (!bits(second, 7, 7)) {
        set(out, bits(second, 4, 4) ? KIND_SATURATE : KIND_SIMD, d, n | m);
    } else if (bits(first, 6, 4) == 0) { /* QADD, QSUB, QDADD, QDSUB */
        set(out, KIND_SATURATE, d, n | m);
    } else if (bits(first, 6, 4) == 2) { /* SEL */
        set(out, KIND_SIMD, d, n | m);
    } else { /* REV, REV16, RBIT, REVSH, CLZ */
        set(out, KIND_BITS, d, m);
    }
}

/* A5.3.16 and A5.3.17, multiply, long multiply, divide */
static void decode_multiply(struct instruction *out, uint32_t first, uint32_t second)
{
    uint16_t factors = BIT(bits(first, 3, 0)) | BIT(bits(second, 3, 0));
    uint16_t d = BIT(bits(second, 11, 8)), a = BIT(bits(second, 15, 12));
    uint32_t operation = bits(first, 6, 4);
    if (!bits(first, 7, 7)) {
        bool accumulates = a != BIT(PC);
        set(out, accumulates ? KIND_MAC : KIND_MUL, d, (uint16_t)(factors | (accumulates ? a : 0)));
        out->late = accumulates ? a & (uint16_t)~factors : NO_REGISTERS;
    } else if (operation == 1 || operation == 3) {
        set(out, KIND_DIVIDE, d, factors);
    } else if (operation == 0 || operation == 2) {
        set(out, KIND_LONG_MUL, a | d, factors);
    } else {
        set(out, KIND_LONG_MAC, a | d, factors | a | d);
        out->late = (a | d) & (uint16_t)~factors;
    }
}

/* A5.3.18 and A6, coprocessor and floating-point; their registers are not followed */
static void decode_float(struct instruction *out, uint32_t first, uint32_t second)
{
    bool load = bits(first, 4, 4);
    uint32_t n = bits(first, 3, 0);
    out->kind = KIND_FLOAT;
    if (bits(first, 11, 9) == 6 && bits(first, 8, 5) != 2) { /* VLDM, VSTM, VLDR, VSTR */
        bool one = bits(first, 8, 8) && !bits(first, 5, 5);
        out->kind = load ? KIND_LOAD_MULTIPLE : KIND_STORE_MULTIPLE;
        out->transfers =
            (uint8_t)(one ? 1 + bits(second, 8, 8) : bits(second, 7, 0)); /* words */
        out->access_bytes = 4;
        out->address = out->reads = BIT(n) & (uint16_t)~BIT(PC);
        out->writes = out->updates = !one && bits(first, 5, 5) ? BIT(n) : NO_REGISTERS;
    } else if (bits(first, 11, 9) == 6) { /* VMOV of two core registers */
        uint16_t both = BIT(n) | BIT(bits(second, 15, 12));
        out->kind = KIND_FLOAT_PAIR;
        *(load ? &out->writes : &out->reads) = both;
    } else if (bits(first, 11, 8) == 14 && bits(second, 4, 4)) { /* VMOV, VMRS, VMSR */
        uint32_t t = bits(second, 15, 12);
        if (t != PC)
            *(load ? &out->writes : &out->reads) = BIT(t);
    } else if (bits(first, 11, 8) == 14 && !bits(first, 12, 12)) {
        uint32_t operation = bits(first, 7, 4) & 0xBu;
        bool root = operation == 0xB && n == 1 && bits(second, 7, 6) == 3;
        if (operation == 8 || root)
            out->kind = KIND_FLOAT_DIVIDE;
        else if (operation <= 1 || operation == 9 || operation == 10) /* VMLA, VNMLA, VFMA */
            out->kind = KIND_FLOAT_MAC;
    }
}

static void decode_wide(struct instruction *out, uint32_t first, uint32_t second)
{
    if (bits(first, 10, 10) && bits(first, 12, 11) != 2)
        decode_float(out, first, second);
    else if (bits(first, 12, 11) == 1 && bits(first, 9, 9))
        decode_shifted(out, first, second);
    else if (bits(first, 12, 11) == 1)
        decode_multiple(out, first, second);
    else if (bits(first, 12, 11) == 2 && bits(second, 15, 15))
        decode_control(out, first, second);
    else if (bits(first, 12, 11) == 2 && bits(first, 9, 9))
        decode_plain_immediate(out, first, second);
    else if (bits(first, 12, 11) == 2)
        decode_operation(out, first, second, KIND_ALU, NO_REGISTERS);
    else if (!bits(first, 9, 9))
        decode_single(out, first, second);
    else if (!bits(first, 8, 8))
        decode_register(out, first, second);
    else
        decode_multiply(out, first, second);
}

struct instruction decode(const uint8_t *code)
{
    uint32_t first = code[0] | (uint32_t)code[1] << 8;
    struct instruction out = {.kind = KIND_ALU};
    out.size_bytes = decode_is_wide((uint16_t)first) ? 4 : 2;
    if (out.size_bytes == 2)
        decode_narrow(&out, first);
    else
        decode_wide(&out, first, code[2] | (uint32_t)code[3] << 8);
    return out;
}
