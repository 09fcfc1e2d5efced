"""torch.fx tracing that keeps in-place arithmetic, and can tell the source line of an operation.

torch.fx records `x += y` as a new sum. Torch changes x itself, which every other name of the same
tensor sees: here it is recorded as what it is, `operator.iadd`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import fx, nn

from compress.recurrent_layers.layer import RecurrentLayer

# The augmented assignments that torch.Tensor executes in place.
AUGMENTED = (
    "iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow",
    "iand", "ior", "ixor", "ilshift", "irshift",
)  # fmt: skip
# Attributes that a subclass may define without changing what its base class computes.
_HARMLESS = {"__init__", "__repr__", "__doc__", "__module__", "__qualname__", "__annotations__",
             "__constants__", "__slots__", "__static_attributes__", "__firstlineno__",
             "__parameters__", "__orig_bases__", "extra_repr", "reset_parameters"}  # fmt: skip
_TORCH = str(Path(torch.__file__).parent)
_OURS = str(Path(__file__).parent)
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


class _Proxy(fx.Proxy):
    """A traced value whose augmented assignments are recorded as in-place operations."""


def _recorded(name: str) -> Callable[[fx.Proxy, Any], Any]:
    def assign(self: fx.Proxy, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", getattr(operator, name), (self, other), {})

    return assign


for _name in AUGMENTED:
    setattr(_Proxy, f"__{_name}__", _recorded(_name))


class Tracer(fx.Tracer):
    """torch.fx's tracer, with in-place arithmetic.

    Keeps a RecurrentLayer, a module of torch.nn, and a subclass of one that computes the same, as
    one operation. A subclass that overrides any method is traced into.
    """

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        kind = type(m)
        if kind is RecurrentLayer:
            return True
        own: set[str] = set()
        for base in kind.__mro__:
            if base.__module__.startswith("torch.nn.modules") and base is not nn.Module:
                changed = {name for name in own - _HARMLESS if hasattr(base, name)}
                return not changed and base not in (nn.Sequential, nn.ModuleList, nn.ModuleDict)
            if base is nn.Module:
                return False
            own.update(vars(base))
        return False


def symbolic_trace(module: nn.Module) -> fx.GraphModule:
    """The module as a torch.fx graph that shares its parameters. Raises as torch.fx's does."""
    tracer = Tracer()
    graph = tracer.trace(module)
    return fx.GraphModule(tracer.root, graph, type(module).__name__)


def source_line(module: nn.Module, node: str) -> str:
    """The place in the network's source that makes the traced node of this name: "a.py, line 3".

    Empty if it is not known. Traces the module again, which is slow: for error messages.
    """
    tracer = Tracer()
    tracer.record_stack_traces = True
    found = next((n for n in tracer.trace(module).nodes if n.name == node), None)
    frames = _FRAME.findall((found.stack_trace if found is not None else None) or "")
    for file, line in reversed(frames):
        if file.startswith(_OURS):
            continue
        if not file.startswith(_TORCH):
            return f"{Path(file).name}, line {line}"
    return ""


def is_foreign(file: str) -> bool:
    """True for a source file that is neither torch's nor of this folder."""
    return not file.startswith((_TORCH, _OURS))
