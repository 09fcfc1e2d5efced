"""Tracing: a torch.nn.Module as a torch.fx graph of supported operations, with their shapes.

A module of `compress.frontend.capture_modules` stays one operation, other modules are traced into.
"""

from typing import Any

import torch
from torch import fx, nn

from compress.errors import UnsupportedLayer
from compress.frontend.decompose import decompose

# Attributes that a subclass may define without changing what its base class computes.
_HARMLESS = {"__init__", "__repr__", "__doc__", "__module__", "__qualname__", "__annotations__",
             "__constants__", "__slots__", "__static_attributes__", "__firstlineno__",
             "__parameters__", "__orig_bases__", "extra_repr", "reset_parameters"}  # fmt: skip
# Samples of the batch that shapes are taken from: with one, squeeze() would drop the batch.
SAMPLES = 2


class _Tracer(fx.Tracer):
    """Keeps a module of torch.nn, and a subclass of one that computes the same, as one operation.

    A subclass that overrides any method is traced into.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        kind = type(m)
        own: set[str] = set()
        for base in kind.__mro__:
            if base.__module__.startswith("torch.nn.modules") and base is not nn.Module:
                changed = {name for name in own - _HARMLESS if hasattr(base, name)}
                return not changed and base not in (nn.Sequential, nn.ModuleList, nn.ModuleDict)
            if base is nn.Module:
                return False
            own.update(vars(base))
        return False


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


def trace_module(module: nn.Module, input_shape: tuple[int, ...]) -> fx.GraphModule:
    """The module as a torch.fx graph with shapes, which shares its parameters.

    `input_shape` is (C, H, W), (C, L) or (K,). Sets the module to evaluation mode. Raises
    UnsupportedLayer for a module whose Python code depends on tensor values, and for one that
    cannot take a batch of such samples.
    """
    module.eval()
    try:
        traced = fx.GraphModule(module, _Tracer().trace(module), type(module).__name__)
    except (fx.proxy.TraceError, TypeError) as error:
        raise UnsupportedLayer(
            f"{type(module).__name__} cannot be traced by torch.fx: {error}. "
            "Avoid control flow that depends on tensor values"
        ) from error
    decompose(traced)
    try:
        with torch.no_grad():
            _Shapes(traced).run(torch.zeros(SAMPLES, *input_shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        said = str(error).partition("\n")[0]
        raise UnsupportedLayer(
            f"{type(module).__name__} cannot take {SAMPLES} samples of {input_shape}: {said}"
        ) from error
    return traced


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """The shape (N, ...) in torch of a traced tensor."""
    shape: tuple[int, ...] = node.meta["shape"]
    return shape
