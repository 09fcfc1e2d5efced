"""The registry of operator families knows every operator and only macros that exist."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest

from compress.errors import UnsupportedLayer
from compress.ops import OP_TYPES, Custom
from helpers.graph_builder import GraphBuilder
from helpers.graph_examples import every_op, mixed
from hil.board import load_board
from hil.codegen.layers import layer_of
from hil.codegen.plan import make_plan
from hil.codegen.render import TEMPLATES
from hil.kernel_interface.operator_kernels import NO_KERNEL
from hil.kernels import registry
from hil.kernels.choice import candidates, choose
from hil.kernels.registry import FAMILIES, kernels_of

M4 = load_board("m4")


def test_every_operator_is_in_exactly_one_family() -> None:
    registered = Counter(operator.op for family in FAMILIES for operator in family)
    assert registered == Counter(OP_TYPES)


def test_every_call_names_a_macro_of_the_templates() -> None:
    macros = set(re.findall(r"{% macro (\w+)\(", (TEMPLATES / "layers.c.j2").read_text()))
    plan = make_plan(every_op(), M4)
    kinds = {type(step.op): layer_of(plan, step).kind for step in plan.steps}
    assert set(kinds) == set(OP_TYPES) - {Custom}
    assert set(kinds.values()) <= macros | {"view"}


@pytest.mark.parametrize("name", ["m0", "m3", "m4", "m33", "m55"])
def test_the_chosen_kernel_is_the_first_of_the_candidates(name: str) -> None:
    board = load_board(name)
    for graph in (every_op(), mixed()):
        for op in graph.ops:
            kernels = list(candidates(graph, op, board))
            assert choose(graph, op, board) == kernels[0]
            assert len(set(kernels)) == len(kernels)
            names = [kernel.name for kernel in kernels]
            assert NO_KERNEL not in names or names == [NO_KERNEL]


def test_candidates_fall_back_on_the_general_functions() -> None:
    b = GraphBuilder()
    x = b.conv(b.input((5, 5, 3)), 6, (1, 1))
    b.fully_connected(b.depthwise(x, 1, (3, 3)), 4)
    graph = b.finish(len(b.tensors) - 1)
    theirs = [candidates(graph, op, M4, kernel_set="cmsis-nn") for op in graph.ops]
    names = [[kernel.name for kernel in kernels] for kernels in theirs]
    assert names == [
        ["arm_convolve_1x1_s8_fast", "arm_convolve_s8"],
        ["arm_depthwise_conv_3x3_s8", "arm_depthwise_conv_s8_opt", "depthwise_s8"],
        ["arm_fully_connected_s8", "arm_convolve_1x1_s8_fast"],
    ]
    tuned = []
    for op, after in zip(graph.ops, names, strict=True):
        own = [kernel.name for kernel in candidates(graph, op, M4)]
        short = [name for name in own if "_short" in name]
        assert own[len(own) - len(after + short) :] == after + short
        tuned.append(own[: -len(after + short)])
    assert tuned[0]
    assert tuned[-1]
    assert not any(name.startswith("arm_") for kernels in tuned for name in kernels)


def test_a_layer_without_any_candidate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = every_op()
    op = graph.ops[-1]
    without = replace(kernels_of(op), kernels=lambda graph, op, board: ())
    monkeypatch.setitem(registry._BY_TYPE, type(op), without)
    with pytest.raises(UnsupportedLayer, match=f"^{op.name}: no kernel for Softmax on cortex-m4$"):
        choose(graph, op, M4)
