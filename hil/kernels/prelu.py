"""Prelu: our own kernel on int8, which may write over its input."""

from __future__ import annotations

from compress.operators.prelu import alpha_values, prelu_parameters
from compress.ops import Prelu
from compress.types import Graph
from hil.kernel_interface.call import Call, constant, factor
from hil.kernel_interface.operator_kernels import OperatorKernels, always
from hil.types import Step


def _call(graph: Graph, step: Step, op: Prelu) -> Call:
    p = prelu_parameters(graph, op)
    alpha = constant(step, "alpha", "int8_t", alpha_values(graph, op))
    values = {
        "input_offset": p.input_offset,
        "alpha_offset": p.alpha_offset,
        "output_offset": p.output_offset,
        "above": factor(*p.multiplier),
        "below": factor(*p.alpha_multiplier),
        "alpha": alpha.name,
        "repeats": graph.tensors[op.output].elements // alpha.elements,
        "elements": alpha.elements,
    }
    return Call("prelu", values, constants=(alpha,))


OPERATORS = (OperatorKernels(op=Prelu, kernels=always("prelu_s8"), call=_call),)
