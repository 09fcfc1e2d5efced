"""Measurement of a library's form of a network: its arena is given when it runs."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from compress.scratch import scratch_folder
from compress.types import Samples
from hil.board import without_limits
from hil.codegen.build import build
from hil.codegen.render import context_of, render, template
from hil.measure.measure import BoardRunner
from hil.types import Board, Measurement, Plan, Program

_HEADER = "network.h"


def library_program(plan: Plan, board: Board) -> Program:
    """The firmware that measures, around the C text of a library's form of the plan."""
    program = render(plan, board)
    context = context_of(plan, board)
    text = template("model.c").render({**context, "library": True, "header": _HEADER})
    files = {
        **program.files,
        "model.c": text + template("library/harness.c").render(context),
        _HEADER: template("library/harness.h").render(context),
    }
    digest = hashlib.sha256(f"{program.sha256}\0library\0{files['model.c']}".encode()).hexdigest()
    return replace(program, files=files, sha256=digest)


def measure_library(plan: Plan, board: Board, runner: BoardRunner, samples: Samples) -> Measurement:
    """What the board counts. Raises Mismatch where an output differs, OverBudget, BenchError."""
    with scratch_folder() as folder:
        image = build(library_program(plan, board), without_limits(board), folder)
        return runner.measure(image, plan, samples)
