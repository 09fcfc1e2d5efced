"""The cycle model's decoder and tables, against the manuals' examples and against objdump.

firmware/emulator/decode.c and timing.c are compiled for the host into a small driver; code comes
from the cross assembler. Cycles are counted by hand from the sources that timing.c names.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from helpers.checkout import ROOT
from hil.board import load_board
from hil.codegen.build import kernel_archive
from hil.cycle_model import MODELED_CORES
from hil.emulator.plugin import SOURCES

DRIVER = ROOT / "tests" / "c" / "timing_driver.c"
LR, PC = 14, 15
MOV_R8_R8 = b"\xc0\x46"  # objdump calls it nop


class Line(NamedTuple):
    """The driver's answer about one instruction."""

    kind: int
    size: int
    reads: int
    writes: int
    conditional: int
    target: int
    cycles: int
    refill: int
    refill_split: int


def enumerators() -> list[str]:
    text = (SOURCES / "decode.h").read_text()
    body = re.sub(r"/\*.*?\*/", "", re.search(r"enum kind \{(.*?)\}", text, re.S)[1], flags=re.S)  # type: ignore[index]
    return [name.strip().removeprefix("KIND_").lower() for name in body.split(",")]


KIND_NAMES = enumerators()


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("timing") / "driver"
    sources = [DRIVER, SOURCES / "decode.c", SOURCES / "timing.c"]
    flags = ["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{SOURCES}"]
    subprocess.run(["cc", *flags, "-o", program, *sources], check=True)
    return program


def assembled(core: str, text: str, folder: Path) -> bytes:
    source, built, binary = folder / "code.s", folder / "code.o", folder / "code.bin"
    source.write_text(f".syntax unified\n.thumb\n{text}\n")
    fpu = ["-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"] if core == "cortex-m4" else []
    subprocess.run(["arm-none-eabi-as", f"-mcpu={core}", *fpu, "-o", built, source], check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", built, binary], check=True)
    return binary.read_bytes()


def timed(driver: Path, core: str, code: bytes) -> list[Line]:
    done = subprocess.run([driver, core], input=code, capture_output=True, check=True)
    return [Line(*map(int, line.split())) for line in done.stdout.decode().splitlines()]


def registers(mask: int) -> set[int]:
    return {i for i in range(16) if mask >> i & 1}


# ---- cycles of straight-line code, branches not taken

M0_M0PLUS = ("cortex-m0", "cortex-m0plus")
M3_M4 = ("cortex-m3", "cortex-m4")

SEQUENCES: list[tuple[Iterable[str], str, int]] = [
    # DDI 0432C and 0484C, table 3-1
    (M0_M0PLUS, "adds r0, r1; lsls r0, r0, #3; muls r0, r1; nop", 4),
    (M0_M0PLUS, "ldr r0, [r1]; str r0, [r2, #4]; ldrb r0, [r1, r2]", 6),
    (M0_M0PLUS, "ldm r0!, {r1-r4}; stm r1!, {r2, r3}; push {r4, lr}; pop {r4}", 5 + 3 + 3 + 2),
    (("cortex-m0",), "mrs r0, primask; dmb", 8),
    (("cortex-m0plus",), "mrs r0, primask; dmb", 6),
    # DDI 0337I and 0439D, section "Load/store timings": the four examples there
    (M3_M4, "ldr r0, [r1]; ldr r1, [r2]", 3),
    # (the store's data cycle is the third one: the next instruction is executed in it)
    (M3_M4, "ldr r0, [r1, r2]; str r0, [r3, #20]", 3 - 1),
    (M3_M4, "ldr r0, [r1, r2]; str r0, [r3, #20]; ldr r1, [r2]", 3 + 2),  # but for a load
    (M3_M4, "ldr r0, [r1, r2]; str r1, [r3, r2]", 3),
    (M3_M4, "ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]", 4),
    # ... and its rules
    (M3_M4, "ldr r0, [r1]; ldr r2, [r0]", 4),  # needs the loaded address: not pipelined
    (M3_M4, "str r0, [r1, #4]; str r0, [r1, #8]", 2),  # immediate offset: always one cycle
    (M3_M4, "str r0, [r1, r2]; ldr r3, [r4]", 4),  # nothing is pipelined after a store:
    (M3_M4, "str r0, [r1]; ldr r3, [r4]", 2 + 2),  # table 3-1's two cycles of a store are told
    (M3_M4, "str r0, [r1]; nop; ldr r3, [r4]", 1 + 1 + 2),  # ... only by a load right behind it
    (M3_M4, "str r0, [r1]; ldm r2, {r3-r5}", 2 + 4),
    (M3_M4, "str r0, [r1]; push {r3-r5}", 1 + 4),
    (M3_M4, "ldrd r0, r1, [r2]; ldr r3, [r4]", 5),  # LDRD is not pipelined
    (M3_M4, "add r1, r2; ldr r0, [r1]", 4),  # address from data processing: one cycle more
    (M3_M4, "add r1, r2; nop; ldr r0, [r1]", 4),
    (M3_M4, "add r3, r2; ldr r0, [r1]", 3),
    (M3_M4, "ldm r0!, {r1-r4}; push {r4-r6, lr}; pop {r4}", 5 + 5 + 2),
    # base written back: DDI 0337I, "not normally pipelined"; measured: only M3, and on M4 when the
    # second access needs the new base (doc/cortex_m3m4.md of jnk0le/random)
    (("cortex-m3",), "ldr r0, [r1], #4; ldr r2, [r3], #4", 2 + 2),
    (("cortex-m3",), "ldr r0, [r1], #4; ldr r2, [r3, #4]", 2 + 1),
    (("cortex-m3",), "ldr r0, [r1]; str r0, [r3], #4", 2 + 1),
    (("cortex-m4",), "ldr r0, [r1], #4; ldr r2, [r3], #4", 2 + 1),
    (("cortex-m4",), "ldr r0, [r1]; str r0, [r3], #4", 2),
    (M3_M4, "ldr r0, [r1], #4; ldr r2, [r1], #4", 2 + 2),
    (M3_M4, "cmp r0, #0; it eq; moveq r0, #1", 2),  # IT folded into the 16-bit CMP
    (M3_M4, "cmp.w r0, #0x1000; it eq; moveq r0, #1", 3),
    (M3_M4, "beq .+8; cbz r0, .+4", 2),  # not taken
    (M3_M4, "mul r0, r1, r2; movw r1, #4000; ubfx r2, r1, #3, #4; sxtb r3, r0", 4),
    (M3_M4, "mrs r0, primask", 2),
    # MLA 2 / 1, SMULL 3 to 5 / 1, SMLAL 4 to 7 / 1, UDIV 2 to 12
    (("cortex-m3",), "mla r0, r1, r2, r0", 2),
    (("cortex-m3",), "smull r0, r1, r2, r3; smlal r0, r1, r2, r3; udiv r0, r1, r2", 5 + 7 + 7),
    (("cortex-m4",), "smlad r0, r1, r2, r0; smull r0, r1, r2, r3; smlal r0, r1, r2, r3", 3),
    (("cortex-m4",), "ldr r0, [r1], #4; ldr r2, [r3], #4; sxtb16 r4, r0; smlad r5, r4, r2, r5", 5),
    # DDI 0439D, table 7-1
    (("cortex-m4",), "vadd.f32 s0, s1, s2; vmla.f32 s0, s1, s2; vdiv.f32 s0, s1, s2", 1 + 3 + 14),
    (("cortex-m4",), "vldr s0, [r0]; vldr d1, [r0]; vldmia r0!, {s0-s3}", 2 + 3 + 5),
    (("cortex-m4",), "vmov d0, r0, r1; vmov r2, r3, s4, s5", 2 + 2),
    (("cortex-m4",), "vmov s0, r0; vcvt.f32.s32 s0, s0; vmul.f32 s0, s0, s0", 3),
    # SLOTHY's cortex_m33.py: single issue; loads 1, but used after 2; multiplications likewise
    (("cortex-m33",), "ldr r0, [r1]; ldr r2, [r3]; adds r4, r0", 3),
    (("cortex-m33",), "ldr r0, [r1]; adds r4, r0", 3),
    (("cortex-m33",), "mul r0, r1, r2; adds r4, r0", 3),
    (("cortex-m33",), "smlad r0, r1, r2, r0; smlad r0, r3, r4, r0", 2),  # accumulator: 1
    (("cortex-m33",), "mla r0, r1, r2, r3; mla r4, r0, r2, r3", 3),  # factor: 2
    (("cortex-m33",), "add r0, r1, r2, lsl #2; adds r3, r0", 2),  # only LSL is free
    (("cortex-m33",), "add r0, r1, r2, lsr #2; adds r3, r0", 3),
    (("cortex-m33",), "ldrd r0, r1, [r2]; ldm r3!, {r4-r6}", 5),
    # measured on an RP2350 (doc/cortex_m33.md of jnk0le/random): two of 16 bits may go together
    (("cortex-m33",), "subs r7, #1; bne .+8", 1),
    (("cortex-m33",), "sub.w r7, #1; bne .+8", 2),
    (("cortex-m33",), "subs r7, #1; bne.w .+8", 2),
    (("cortex-m33",), "adds r0, r1; adds r2, r3", 2),
    (("cortex-m33",), "cmp r0, #0; it eq; moveq r0, #1", 2),
    (("cortex-m33",), "ldr r0, [r1]; nop; nop", 2),
    # LLVM's ARMScheduleM7.td: two ALUs, one multiplier, one shifter, loads of both banks
    (("cortex-m7",), "adds r0, r1; adds r2, r3; adds r4, r5; adds r6, r7", 2),
    (("cortex-m7",), "adds r0, r1; adds r2, r0", 2),  # depends
    (("cortex-m7",), "smlad r0, r1, r2, r0; smlad r3, r4, r5, r3", 2),  # one multiplier
    (("cortex-m7",), "smlad r0, r1, r2, r0; adds r3, r4", 1),
    (("cortex-m7",), "mul r0, r1, r2; adds r3, r0", 3),  # latency 2
    (("cortex-m7",), "smlad r0, r1, r2, r0; smlad r0, r3, r4, r0", 2),  # accumulator late
    (("cortex-m7",), "ldr r0, [r1]; ldr r2, [r1, #4]", 1),  # other bank
    (("cortex-m7",), "ldr r0, [r1]; ldr r2, [r1, #8]", 2),  # same bank
    (("cortex-m7",), "ldr r0, [r1]; adds r2, r3; adds r4, r0", 2),
    (("cortex-m7",), "ldr r0, [r1]; ldr r2, [r0]", 3),  # load to address
    (("cortex-m7",), "ldrb r0, [r1]; adds r2, r0", 3),  # bytes are slow loads
    (("cortex-m7",), "adds r0, r1; str r0, [r2]", 1),  # stored values are needed late
    # shifts, as measured on an STM32H743 (doc/cortex_m7.md of jnk0le/random)
    (("cortex-m7",), "lsls r0, r1, #2; lsls r2, r3, #2", 1),
    (("cortex-m7",), "add.w r0, r1, r2, lsl #2; lsls r3, r4, #2", 1),
    (("cortex-m7",), "lsls r3, r4, #2; add.w r0, r1, r2, lsl #2", 2),
    (("cortex-m7",), "add.w r0, r1, r2, lsl #2; add.w r3, r4, r5, lsl #2", 2),
    (("cortex-m7",), "lsrs r0, r1, #24; ldr r2, [r3, r0]", 2),  # out of the early ALU
    (("cortex-m7",), "adds r0, r1, #4; ldr r2, [r3, r0]", 3),
    (("cortex-m7",), "ldr r1, [r0], #4; ldr r2, [r0], #4", 2),  # base: out of EX1
    (("cortex-m7",), "adds r0, r1; sxtb16 r2, r3; adds r4, r5", 2),  # SIMD: first slot only
    (("cortex-m7",), "udiv r0, r1, r2; adds r3, r4", 8),
    (("cortex-m7",), "push {r4-r7}; adds r0, r1", 3),
]


@pytest.mark.parametrize(
    ("core", "text", "cycles"),
    [(core, text, cycles) for cores, text, cycles in SEQUENCES for core in cores],
)
def test_sequences_counted_by_hand(
    driver: Path, tmp_path: Path, core: str, text: str, cycles: int
) -> None:
    lines = timed(driver, core, assembled(core, text.replace(";", "\n"), tmp_path))
    assert lines[-1].cycles == cycles


# ---- taken branches: base and refill together, and for a 32-bit target in two words

BRANCHES: list[tuple[str, str, int, int]] = [
    ("cortex-m0", "beq .+8", 3, 3),
    ("cortex-m0", "b .+8", 3, 3),
    ("cortex-m0", "bl .+8", 4, 4),
    ("cortex-m0", "bx lr", 3, 3),
    ("cortex-m0", "pop {r4, pc}", 4 + 2, 4 + 2),
    ("cortex-m0plus", "beq .+8", 2, 2),
    ("cortex-m0plus", "bl .+8", 3, 3),
    ("cortex-m0plus", "bx lr", 2, 2),
    ("cortex-m0plus", "pop {r4, pc}", 3 + 2, 3 + 2),
    ("cortex-m3", "beq .+8", 2, 3),
    ("cortex-m4", "b.w .+8", 2, 3),
    ("cortex-m4", "bl .+8", 2, 3),
    ("cortex-m4", "cbnz r0, .+8", 2, 3),
    ("cortex-m4", "bx lr", 3, 3),
    ("cortex-m4", "ldr pc, [r0]", 5, 5),  # "at least five cycles"
    ("cortex-m4", "pop {r4, pc}", 1 + 2 + 3, 1 + 2 + 3),
    ("cortex-m4", "tbb [pc, r0]", 6, 6),  # "at least six cycles"
    ("cortex-m33", "bne .+8", 3, 3),
    ("cortex-m7", "bne .+8", 1, 1),  # predicted
]


@pytest.mark.parametrize(("core", "text", "cycles", "split"), BRANCHES)
def test_taken_branches(
    driver: Path, tmp_path: Path, core: str, text: str, cycles: int, split: int
) -> None:
    (line,) = timed(driver, core, assembled(core, text, tmp_path))
    assert (line.cycles + line.refill, line.cycles + line.refill_split) == (cycles, split)


@pytest.mark.parametrize(
    ("text", "cycles"),
    [
        ("subs r7, #1; bne .+8", 1 + 2),
        ("sub.w r7, #1; bne .+8", 1 + 3),
        ("ldmia r6!, {r0-r3}; bne .+8", 4 + 1),  # sets no flags: "1 cycle taken"
    ],
)
def test_taken_branches_in_pairs_on_m33(
    driver: Path, tmp_path: Path, text: str, cycles: int
) -> None:
    lines = timed(driver, "cortex-m33", assembled("cortex-m33", text.replace(";", "\n"), tmp_path))
    assert lines[-1].cycles + lines[-1].refill == cycles


def test_an_it_block_makes_branches_conditional(driver: Path, tmp_path: Path) -> None:
    text = "cmp r0, #0\nitt eq\nmoveq r0, #1\npopeq {r4, pc}\nadds r0, r1"
    lines = timed(driver, "cortex-m4", assembled("cortex-m4", text, tmp_path))
    assert [line.conditional for line in lines] == [0, 0, 1, 1, 0]
    assert lines[3].cycles - lines[2].cycles == 1  # not taken
    assert 1 + lines[3].refill == 1 + 2 + 3  # taken


def test_unknown_cores_have_no_timing(driver: Path) -> None:
    assert subprocess.run([driver, "cortex-m55"], input=b"").returncode == 1
    for core in MODELED_CORES:
        assert subprocess.run([driver, core], input=b"").returncode == 0


# ---- the decoder against objdump, on everything in the kernel archive

MNEMONICS = {
    "jump": r"b|b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)|cbn?z",
    "call": "bl",
    "jump_register": "blx|bx",
    "jump_table": "tb[bh]",
    "it": "it[te]*",
    "nop": "nop",
    "load": r"ldr(b|h|sb|sh)?",
    "store": r"str(b|h)?",
    "load_double": "ldrd",
    "store_double": "strd",
    "load_multiple": r"ldm(ia|db)?|pop|v?ldmia|vldmdb|vldr|vpop",
    "store_multiple": r"stm(ia|db)?|push|vstmia|vstmdb|vstr|vpush",
    "mul": r"muls?|smul[bt][bt]|smmulr?|smuadx?",
    "mac": r"mla|mls|smla[bt][bt]|smlaw[bt]|usada?8|smladx?|smlsdx?|smmlar?",
    "long_mul": "[su]mull",
    "long_mac": "[su]mlal|smlal[bt][bt]|smlald|umaal",
    "divide": "[su]div",
    "extend": r"[su]xta?(b|h|b16)",
    "bits": r"[su]bfx|bfi|bfc|rev(16|sh)?|rbit|clz",
    "simd": r"[su](add|sub)(8|16)|pkh(bt|tb)|sel",
    "saturate": r"[su]sat(16)?|q(add|sub|add16|sub16)|uq(add|sub)(8|16)",
    "float": r"vmov.*|vadd.*|vsub.*|vmul.*|vcmp.*|vcvt.*|vmrs|vabs.*|vneg.*",
}
ALU = (
    r"((add|sub|rsb|adc|sbc|and|orr|eor|bic|orn|mov|mvn|neg)s?"
    r"|addw|subw|movw|movt|adr|cmp|cmn|tst|teq)"
)
SHIFTS = r"((lsl|lsr|asr|ror|rrx)s?)"
CONDITION = r"(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
NAMES = {"sl": 10, "fp": 11, "ip": 12, "sp": 13, "lr": 14, "pc": 15}


class Listed(NamedTuple):
    """One instruction as objdump prints it."""

    code: bytes
    mnemonic: str
    operands: str


def listing(core: str) -> list[Listed]:
    archive = kernel_archive(load_board(core.replace("cortex-", "")))
    command = ["arm-none-eabi-objdump", "-d", "-z", "--no-addresses", archive]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) < 3 or parts[2].startswith("."):
            continue
        halves = parts[1].split()
        if not all(re.fullmatch("[0-9a-f]{4}", half) for half in halves):
            continue
        code = b"".join(int(half, 16).to_bytes(2, "little") for half in halves)
        found.append(Listed(code, parts[2].removesuffix(".n").removesuffix(".w"), [*parts, ""][3]))
    return found


def expected_kinds(listed: Listed) -> set[str]:
    name, operands = listed.mnemonic, listed.operands
    if listed.code == MOV_R8_R8:
        return {"alu"}
    if re.fullmatch(ALU + CONDITION, name):
        if re.search(r", (lsl|lsr|asr|ror|rrx)", operands):
            return {"shift"} if name.startswith("mov") else {"shifted"}
        return {"alu"}
    if re.fullmatch(SHIFTS + CONDITION, name):
        return {"shift"}
    if (
        re.fullmatch(f"vmov{CONDITION}", name)
        and len(re.findall(r"\b(?:r\d+|ip|lr)\b", operands)) == 2
    ):
        return {"float_pair"}
    kinds = {k for k, pattern in MNEMONICS.items() if re.fullmatch(f"({pattern}){CONDITION}", name)}
    return kinds or {f"no kind is expected of {name} {operands}"}


def named_registers(listed: Listed) -> set[int]:
    text = re.sub(r"[;@<].*", "", listed.operands)
    named: set[int] = {8} if listed.code == MOV_R8_R8 else set()
    for first, last in re.findall(r"\b(r\d+|sl|fp|ip|sp|lr|pc)\b(?:-(\w+))?", text):
        low, high = (
            NAMES.get(name, int(name[1:]) if name.startswith("r") else 0)
            for name in (first, last or first)
        )
        named |= set(range(low, high + 1))
    if re.match("v?push|v?pop", listed.mnemonic):
        named.add(13)
    if listed.mnemonic in ("bl", "blx"):
        named.add(LR)
    return named - {PC}


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_the_decoder_agrees_with_objdump(driver: Path, core: str) -> None:
    listed = listing(core)
    lines = timed(driver, core, b"".join(item.code for item in listed))
    assert len(lines) == len(listed) > 1000
    for item, line in zip(listed, lines, strict=True):
        context = (item.mnemonic, item.operands, item.code.hex())
        assert line.size == len(item.code), context
        assert KIND_NAMES[line.kind] in expected_kinds(item), context
        assert registers(line.reads | line.writes) - {PC} == named_registers(item), context


def test_branch_targets(driver: Path, tmp_path: Path) -> None:
    text = "1: nop\nbeq 1b\nbne.w 1b\nb 2f\nb.w 2f\ncbz r0, 2f\nbl 1b\nnop\n2: nop"
    lines = timed(driver, "cortex-m4", assembled("cortex-m4", text, tmp_path))
    starts = [sum(line.size for line in lines[:i]) for i in range(len(lines))]
    jumps = [
        (start + line.target, line.conditional)
        for start, line in zip(starts, lines, strict=True)
        if KIND_NAMES[line.kind] in ("jump", "call")
    ]
    end = starts[-1]
    assert jumps == [(0, 1), (0, 1), (end, 0), (end, 0), (end, 1), (0, 0)]
