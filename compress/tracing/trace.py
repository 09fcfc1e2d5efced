"""Tracing: a torch.nn.Module as a torch.fx graph of supported operations, with their shapes.

A module of `compress.frontend.capture_modules` stays one operation, other modules are traced into.
"""

from traceback import extract_tb
from typing import Any

import torch
from torch import fx, nn
from torch.nn.utils import rnn

from compress.errors import UnsupportedLayer
from compress.inputs import shape_words, wrong_parameters
from compress.tracing.batches import made_batch
from compress.tracing.decompose import LABEL, WIDE, decompose
from compress.tracing.in_place import make_functional
from compress.tracing.recording import symbolic_trace
from compress.types import InputShape

__all__ = ["LABEL", "SAMPLES", "WIDE", "shape_of", "trace_module"]

# Samples of the batch that shapes are taken from: with one, squeeze() would drop the batch.
SAMPLES = 2


# What a network's Python code may raise when its values are torch.fx's, without numbers.
_UNTRACEABLE = (
    fx.proxy.TraceError, TypeError, NameError, AttributeError, LookupError, RuntimeError, ValueError
)  # fmt: skip


class _Shapes(fx.Interpreter):
    """Records "shape", that of each tensor, and "constant", the value of all that is no activation.

    That is what holds no tensor (sizes), and what is computed from parameters and buffers alone.
    """

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor):
            n.meta["shape"] = tuple(result.shape)
        fixed = n.op != "placeholder" and all("constant" in v.meta for v in n.all_input_nodes)
        size = isinstance(result, torch.Size) or not isinstance(result, torch.Tensor | tuple | list)
        if n.op != "output" and (fixed or size):
            n.meta["constant"] = result
        return result


def trace_module(module: nn.Module, input_shape: InputShape) -> fx.GraphModule:
    """The module as a torch.fx graph with shapes, which shares its parameters.

    The placeholders of several inputs are in their order. Sets the module to evaluation mode.
    Raises UnsupportedLayer for a module whose Python code depends on tensor values, for one that
    cannot take a batch of such samples, and as `make_functional`, after which no operation of the
    graph works in place.
    """
    module.eval()
    try:
        traced = symbolic_trace(module)
    except _UNTRACEABLE as error:
        if any(frame.filename == rnn.__file__ for frame in extract_tb(error.__traceback__)):
            raise UnsupportedLayer(
                f"{type(module).__name__}: packs sequences; give recurrent layers tensors of a "
                "fixed number of steps"
            ) from error
        raise UnsupportedLayer(
            f"{type(module).__name__} cannot be traced by torch.fx: {error}. Avoid control flow "
            "that depends on tensor values, and layers that are made in forward"
        ) from error
    parameters = [str(node.target) for node in traced.graph.nodes if node.op == "placeholder"]
    wrong = wrong_parameters(parameters, input_shape)
    if wrong:
        raise UnsupportedLayer(f"{type(module).__name__}: {wrong}")
    try:
        _return_plain_tuple(traced)
        make_functional(module, traced, input_shape)
        decompose(traced)
        with torch.no_grad():
            _Shapes(traced).run(*made_batch(torch.zeros, SAMPLES, input_shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        said = str(error).partition("\n")[0]
        raise UnsupportedLayer(
            f"{type(module).__name__} cannot take {SAMPLES} samples of {shape_words(input_shape)}: "
            f"{said}"
        ) from error
    return traced


def _return_plain_tuple(traced: fx.GraphModule) -> None:
    """Return the parts of a named tuple as a tuple: torch.fx makes one by an operation."""
    (end,) = (node for node in traced.graph.nodes if node.op == "output")
    made = end.args[0]
    if isinstance(made, fx.Node) and hasattr(made.target, "_fields"):
        end.args = (tuple(made.args),)
        traced.graph.erase_node(made)
        traced.recompile()


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The shape (N, ...) in torch of a traced tensor."""
    shape: tuple[int, ...] = node.meta["shape"]
    return shape
