"""The C text of small fixed graphs, per board, compared with files in the repository.

After an intended change: `HIL_UPDATE_GOLDEN=1 pytest tests/golden`, then read the diff.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.ops import Conv2D, FullyConnected
from compress.types import Graph
from helpers.graph_examples import every_op, mixed
from hil.board import load_board
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.types import Program

FOLDER = Path(__file__).resolve().parent
BOARDS = ("m3", "m4", "m7")


def small_weights() -> Graph:
    """`mixed`, but most weights of an int8 layer and of an int4 layer are zero."""
    graph = mixed()
    thinned = [op for op in graph.ops if isinstance(op, Conv2D | FullyConnected)][1:3]
    tensors = list(graph.tensors)
    for op in thinned:
        weights = tensors[op.weights]
        assert weights.data is not None
        keep = np.arange(weights.elements).reshape(weights.shape) % 7 == 0
        tensors[op.weights] = replace(weights, data=np.where(keep, weights.data, np.int8(0)))
    return replace(graph, name="small_weights", tensors=tuple(tensors))


GRAPHS = {"every_op": every_op, "small_weights": small_weights}
CASES = [*(("every_op", board) for board in BOARDS), ("small_weights", "m4")]


def rendered(graph: Graph, board: str) -> Program:
    return render(make_plan(graph, load_board(board)), load_board(board))


@pytest.mark.parametrize(("name", "board"), CASES)
def test_rendered_files_are_the_golden_ones(name: str, board: str) -> None:
    program = rendered(GRAPHS[name](), board)
    folder = FOLDER / f"{name}_{board}"
    if os.environ.get("HIL_UPDATE_GOLDEN"):
        folder.mkdir(exist_ok=True)
        for name, text in program.files.items():
            (folder / name).write_text(text, encoding="utf-8")
    golden = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert dict(program.files) == golden


def test_same_graph_gives_the_same_bytes_in_another_process() -> None:
    script = (
        "from test_render import rendered\nfrom helpers.graph_examples import every_op\n"
        "print(rendered(every_op(), 'm4').sha256)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{FOLDER}:{FOLDER.parent}", "PYTHONHASHSEED": "7"}
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=FOLDER.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == rendered(every_op(), "m4").sha256


def test_id_and_hash_are_of_the_files_without_the_id() -> None:
    program = rendered(every_op(), "m4")
    header = program.files["model.h"]
    assert f"#define MODEL_ID 0x{program.id:08x}u\n" in header
    without = re.sub(r"MODEL_ID 0x\w+u", "MODEL_ID 0x00000000u", header)
    files = {**program.files, "model.h": without}
    text = "".join(f"{name}\0{files[name]}\0" for name in sorted(files))
    assert program.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert program.id == int(program.sha256[:8], 16)


def test_id_changes_with_one_weight_and_with_the_board() -> None:
    graph = every_op()
    op = graph.ops[0]
    assert isinstance(op, Conv2D)
    weights = graph.tensors[op.weights]
    assert weights.data is not None
    changed = weights.data.copy()
    changed.flat[0] += 1
    tensors = tuple(replace(t, data=changed) if t is weights else t for t in graph.tensors)
    ids = {
        rendered(graph, "m4").id,
        rendered(replace(graph, tensors=tensors), "m4").id,
        rendered(graph, "m3").id,
    }
    assert len(ids) == 3


def test_names_from_outside_cannot_leave_a_comment() -> None:
    graph = every_op()
    name = "evil */ #error \n\\ // /* \u2026"
    ops = (replace(graph.ops[0], name=name), *graph.ops[1:])
    tensors = (replace(graph.tensors[0], name=name), *graph.tensors[1:])
    program = rendered(replace(graph, name=name, ops=ops, tensors=tensors), "m3")
    for text in program.files.values():
        assert text.isascii()
        assert "\\ //" not in text
        comments = re.findall(r"/\*.*?\*/", text, re.DOTALL)
        code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        assert "evil" not in code
        assert all("/*" not in comment[2:] for comment in comments)
