"""Rendering of the firmware that answers MLPerf Tiny's benchmark runner (`firmware/runner.c`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from hil.codegen.render import template
from hil.types import Board, Program


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """The numbers of `firmware/runner.c`.

    `benchmark` is the name that the firmware answers with, `sent_bytes` the size of an input as the
    runner sends it. `table` has the model's int8 input for each byte that may be sent; None for
    inputs that are sent as float32. Scales and zero points are the model's.
    """

    benchmark: str
    sent_bytes: int
    table: tuple[int, ...] | None
    input_scale: float
    input_zero: int
    output_scale: float
    output_zero: int


def with_runner(program: Program, settings: RunnerSettings, board: Board) -> Program:
    """`program` with the runner's firmware in place of ours, its time at the board's clock."""
    text = template("runner.h").render(
        benchmark=settings.benchmark,
        clock_hz=board.time_clock_hz,
        sent_bytes=settings.sent_bytes,
        floats=settings.table is None,
        table=settings.table,
        input_scale=repr(settings.input_scale),
        input_zero=settings.input_zero,
        output_scale=repr(settings.output_scale),
        output_zero=settings.output_zero,
    )
    digest = hashlib.sha256(f"{program.sha256}\0{text}".encode()).hexdigest()
    files = {**program.files, "runner.h": text}
    return replace(program, files=files, sha256=digest, main="runner.c")
