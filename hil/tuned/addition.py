"""Add of int8 tensors, sums and differences: add_affine_s8.c."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np

from compress.arithmetic.fixedpoint import (
    INT8_MAX,
    INT8_MIN,
    Int64Array,
    multiply_by_quantized_multiplier,
)
from compress.operators.binary import operand_repetition
from compress.operators.elementwise import AddParameters, add_parameters
from compress.ops import Add
from compress.types import Graph
from hil.kernel_interface.call import Call
from hil.kernel_interface.limits import activation_types
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.affine import INT8_VALUES, Affine, fit
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp
from hil.types import Board, Step

_DSP = "add_affine_dsp_s8"
_ANY = "add_affine_s8"

# add_affine.S shifts by 20 and multiplies by bytes times 256.
_DSP_SHIFT, _DSP_PLACES = 20, 8
# Shorter rows are faster without a call for each.
_DSP_ELEMENTS = 16
# Sums are int32 with as many fractional bits as they have room for.
_LARGEST_SHIFT = 24
_SUM_BITS = 31


@functools.lru_cache(maxsize=1024)
def _factors(p: AddParameters, dsp: bool) -> Affine | None:
    """The factors of a sum, before its activation; None if there are none that are exact."""
    results, slopes = _results(p), _slopes(p)
    if dsp:
        return fit(results, slopes, _DSP_SHIFT, _DSP_PLACES)
    largest = 2**8 * (abs(slopes[0]) + abs(slopes[1]) + 1)
    # At least 2: `add_parameters` raises for slopes of 2**19 and more.
    shift = min(_LARGEST_SHIFT, _SUM_BITS - int(np.ceil(np.log2(largest))))
    return fit(results, slopes, shift, 0)


def _results(p: AddParameters) -> Int64Array:
    """The reference's result for each pair of bytes, saturated to int8: (256, 256)."""
    left = multiply_by_quantized_multiplier(
        (INT8_VALUES + p.input1_offset) << p.left_shift, p.input1_multiplier, p.input1_shift
    )
    right = multiply_by_quantized_multiplier(
        (INT8_VALUES + p.input2_offset) << p.left_shift, p.input2_multiplier, p.input2_shift
    )
    sums = multiply_by_quantized_multiplier(
        left[:, None] + right, p.output_multiplier, p.output_shift
    )
    return np.clip(sums + p.output_offset, INT8_MIN, INT8_MAX)


def _slopes(p: AddParameters) -> tuple[float, float]:
    """How much the result rises with each operand, but for rounding."""
    total = p.output_multiplier * 2.0 ** (p.left_shift + p.output_shift - 2 * 31)
    return (
        p.input1_multiplier * 2.0**p.input1_shift * total,
        p.input2_multiplier * 2.0**p.input2_shift * total,
    )


def _kernels(graph: Graph, op: Add, board: Board, dsp: bool) -> Iterator[Kernel]:
    if set(activation_types(graph, op)) != {"int8"}:
        return
    if dsp and not (has_dsp(board) and operand_repetition(graph, op).elements >= _DSP_ELEMENTS):
        return
    if _factors(add_parameters(graph, op), dsp) is not None:
        yield Kernel(_DSP if dsp else _ANY)


def _call(graph: Graph, step: Step, op: Add) -> Call:
    p, dsp = add_parameters(graph, op), step.kernel == _DSP
    factors = _factors(p, dsp)
    assert factors is not None, "only layers of its kernel are called"
    repeated = operand_repetition(graph, op)
    members = f"{{{factors.left}, {factors.right}, {factors.constant}}}"
    return job_call(
        graph,
        step,
        op,
        function=step.kernel,
        fields=(
            Field("factors", members),
            *(() if dsp else (Field("shift", factors.shift),)),
            Field("blocks", repeated.blocks),
            Field("repeats", repeated.repeats),
            Field("elements", repeated.elements),
        ),
        operand=graph.tensors[op.right].data if op.constant else None,
        clamp=None if (p.lo, p.hi) == (INT8_MIN, INT8_MAX) else (p.lo, p.hi),
    )


def _weight_bytes(graph: Graph, op: Add) -> int:
    return 0


def _tuned(dsp: bool) -> TunedKernel[Add]:
    return TunedKernel(
        name=_DSP if dsp else _ANY,
        kernels=lambda graph, op, board: _kernels(graph, op, board, dsp),
        call=_call,
        weight_bytes=_weight_bytes,
    )


KERNELS = (_tuned(True), _tuned(False))
