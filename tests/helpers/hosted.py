"""Generated programs compiled for the host, with the address and undefined-behavior sanitizers.

The kernels in portable C: those that boards without DSP instructions get, and CMSIS-NN's. What lies
between the buffers of `kernel_calls.watched` is poisoned, so that a byte that is read there, too,
ends the program.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from compress.types import Int8Array
from helpers.kernel_calls import Watched, differences, expected_of
from hil.codegen.build import FIRMWARE, TUNED
from hil.codegen.render import render
from hil.kernels.cmsis_nn import cmsis_nn
from hil.types import Board

HOST = Path(__file__).parent / "host"
_FLAGS = (
    "-std=gnu11",
    "-O1",
    "-g1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-Wno-unused-function",
)
_TIMEOUT_S = 300
# Programs of the host have addresses of 64 bits: these keep some in words of scratch memory, and
# are called by kernels with DSP instructions only.
_FOR_32_BITS = ("row_ring",)


# Kernels with DSP instructions that call no assembly.
DSP_KERNELS = ("average_pool_s8", "depthwise_rows")
_ASSEMBLY = re.compile(r'__asm\("(\w+) %0((?:, %\d)+)(, ror #8)?" : "=r"\((\w+)\) : (.*)\);')
# Pointers in scratch memory that has room for those of 32 bits.
_POINTERS = (
    ("int16_t **const rows = (int16_t **)scratch;", "int16_t *rows[32];"),
    ("(int16_t *)(rows + taps)", "(int16_t *)(scratch + taps)"),
)


def _without_assembly(name: str, folder: Path) -> Path:
    """The source of one of `DSP_KERNELS`, with functions of `host/arm_acle.h` as instructions."""

    def call(match: re.Match[str]) -> str:
        instruction, _, rotated, result, operands = match.groups()
        values = re.findall(r'"r"\(([^()]*)\)', operands)
        values[-1] = f"({values[-1]} >> 8 | {values[-1]} << 24)" if rotated else values[-1]
        return f"{result} = host_{instruction}({', '.join(values)});"

    text, count = _ASSEMBLY.subn(call, (TUNED / f"{name}.c").read_text(encoding="utf-8"))
    assert count
    for old, new in _POINTERS if name == "depthwise_rows" else ():
        assert old in text, old
        text = text.replace(old, new)
    assert "__asm" not in text
    source = folder / f"{name}.c"
    source.write_text(text, encoding="utf-8")
    return source


def _run(command: Sequence[str | Path], **options: object) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(  # type: ignore[call-overload]
        [str(part) for part in command], capture_output=True, timeout=_TIMEOUT_S, **options
    )
    assert done.returncode == 0, done.stderr.decode()[-6000:]
    return done  # type: ignore[no-any-return]


def _includes(*first: Path) -> list[str]:
    folders = [*first, HOST, FIRMWARE, FIRMWARE / "kernels", TUNED, *cmsis_nn().includes]
    return [f"-I{folder}" for folder in folders]


def host_archive(folder: Path) -> Path:
    """All kernels in C, compiled for the host, and `DSP_KERNELS`."""
    emulated = [_without_assembly(name, folder) for name in DSP_KERNELS]
    sources = [*(FIRMWARE / "kernels").glob("*.c"), *TUNED.glob("*.c"), *cmsis_nn().sources]
    sources = [path for path in sources if path.stem not in (*_FOR_32_BITS, *DSP_KERNELS)]
    sources += emulated

    def compiled(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        dsp = ["-D__ARM_FEATURE_DSP=1", "-includearm_acle.h"] if source in emulated else []
        _run(["gcc", *_FLAGS, *dsp, *_includes(), "-c", source, "-o", target])
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(compiled, sources))
    _run(["ar", "rcs", folder / "libkernels.a", *objects])
    return folder / "libkernels.a"


def wrong_on_host(
    watched: Watched, board: Board, inputs: Int8Array, archive: Path, folder: Path
) -> list[str]:
    """What differs from the reference. An error that a sanitizer finds is an AssertionError."""
    plan = watched.plan
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render(plan, board).files.items():
        # Sections of their own would keep the sanitizer from guarding the constants.
        (folder / name).write_text(re.sub(r'section\("[^"]*"\),? ?', "", text), encoding="utf-8")
    program = folder / "program"
    sources = [HOST / "main.c", folder / "weights.c"]
    _run(["gcc", *_FLAGS, *_includes(folder), *sources, archive, "-lm", "-o", program])
    poisoned = poisoned_ranges(watched)
    before = np.random.default_rng(3).integers(0, 256, plan.arena_bytes, np.uint8)
    given = b"".join(
        [
            struct.pack("<2I", len(inputs), len(poisoned)),
            *(struct.pack("<2I", *ends) for ends in poisoned),
            before.tobytes(),
            inputs.tobytes(),
        ]
    )
    done = _run([program], input=given)
    after = np.frombuffer(done.stdout, np.uint8).reshape(len(inputs), -1)
    expected = expected_of(watched, inputs)
    return [
        text
        for number in range(len(inputs))
        for text in differences(watched, before, after[number], expected, number)
    ]


def poisoned_ranges(watched: Watched) -> list[tuple[int, int]]:
    """The canaries, but for what kernels are said to read behind their input (see tuned.h)."""
    beyond = dict(_read_beyond(watched))
    return [(c.start + beyond.get(c.start, 0), c.stop) for c in watched.canaries]


def _read_beyond(watched: Watched) -> Iterable[tuple[int, int]]:
    """Where inputs end of which more bytes are read, and how many."""
    graph, plan = watched.plan.graph, watched.plan
    for step in plan.steps:
        if step.kernel == "dense_scalar":
            buffer = plan.tensors[step.op.input]
            depth = (
                graph.tensors[step.op.weights].elements // graph.tensors[step.op.output].shape[-1]
            )
            if depth % 2:
                yield buffer.offset_bytes + graph.tensors[step.op.input].size_bytes, 1
