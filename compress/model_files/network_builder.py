"""Builds a torch.fx network operation by operation, with the shape of each value known.

Each operation runs once as it is added, on torch's fake tensors, which have a shape and no values:
so a file that asks for absurd sizes takes no memory. Modules get the names of the file's nodes.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from compress.errors import UnsupportedLayer
from compress.model_files.compose import compose
from compress.model_files.values import Constant, Extents, Value, inverse
from compress.tracing.trace import SAMPLES
from compress.types import Array

_LARGEST_ELEMENTS = 1 << 24  # of an activation of one sample: far more than fits a microcontroller
# What torch, NumPy and protobuf raise for operands that do not fit each other.
_REFUSED = (
    RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError
)  # fmt: skip


class NetworkBuilder:
    """A network under construction.

    `batch` is the number of samples that the file's own shapes have. With `channels_last` maps of
    the file are NHWC and series NLC; the network's are NCHW and NCL in any case.
    `origins` tells of each operation which node of the file it belongs to.
    """

    def __init__(self, batch: int = 1, channels_last: bool = False) -> None:
        self.batch = batch
        self.channels_last = channels_last
        self.origins: dict[fx.Node, str] = {}
        self._root = nn.Module()
        self._graph = fx.Graph()
        self._results: dict[fx.Node, Any] = {}
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._label = ""

    @contextmanager
    def at(self, label: str) -> Iterator[None]:
        """Operations that are added inside belong to the file's node `label`.

        What torch refuses there is raised as UnsupportedLayer with the label.
        """
        self._label = label
        try:
            with torch.no_grad(), _quiet():
                yield
        except _REFUSED as error:
            said = str(error).partition("\n")[0]
            raise UnsupportedLayer(f"{label}: torch cannot compute it: {said}") from error

    @property
    def label(self) -> str:
        """The file's node that is being read, for messages."""
        return self._label

    def input(self, name: str, shape: Extents, order: Extents) -> Value:
        """An input whose samples have this shape in the file; the network's axis j is `order[j]`.

        The file's axis 0 is the batch, which `shape` lacks.
        """
        node = self._graph.placeholder(_identifier(name))
        self._ran(node, self._empty((SAMPLES, *(shape[axis - 1] for axis in order[1:]))))
        self.origins[node] = name
        return Value(node, inverse(order))

    def order(self, rank: int) -> Extents:
        """The axes of a file's tensor in torch's order: N, C, then those of a map or series."""
        if self.channels_last and rank > 2:
            return (0, rank - 1, *range(1, rank - 1))
        return tuple(range(rank))

    def shape(self, value: Value) -> Extents:
        """The shape of a value in the file, with the file's own batch."""
        own = self.node_shape(value.node)
        return tuple(self.batch if axis == 0 else own[axis] for axis in value.axes)

    def node_shape(self, node: fx.Node) -> Extents:
        """The shape that an operation computes for `SAMPLES` samples."""
        return tuple(self._results[node].shape)

    def node(self, value: Value | Constant, order: Extents | None = None) -> fx.Node:
        """The operation that has axis `order[j]` of the file as axis j; `order` None: as it is.

        Raises UnsupportedLayer for a constant, and where the batch would not stay first.
        """
        if isinstance(value, Constant):
            raise UnsupportedLayer(
                f"{self._label}: reads a constant where a value of the network is expected"
            )
        order = tuple(range(value.rank)) if order is None else order
        wanted = tuple(value.axes[axis] for axis in order)
        if wanted == tuple(range(len(wanted))):
            return value.node
        if wanted[0] != 0:
            raise UnsupportedLayer(
                f"{self._label}: has the samples of a batch along axis {value.batch}, must be 0"
            )
        return self.call(torch.permute, value.node, wanted)

    def native(self, value: Value | Constant) -> fx.Node:
        """The operation that has the axes N, C, then those of a map or series."""
        rank = value.rank if isinstance(value, Value) else 0
        return self.node(value, self.order(rank))

    def of_native(self, node: fx.Node) -> Value:
        """The file's value that `node` computes with the axes N, C, and so on."""
        return Value(node, inverse(self.order(len(self.node_shape(node)))))

    def plain(self, node: fx.Node) -> Value:
        """The file's value that `node` computes axis by axis."""
        return Value(node, tuple(range(len(self.node_shape(node)))))

    def call(self, function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> fx.Node:
        """Add a call of a function, or of a tensor's method if `function` is a name."""
        if isinstance(function, str):
            node = self._graph.call_method(function, args, kwargs)
            first, *others = self._values(args)
            with self._fake:
                return self._ran(node, getattr(first, function)(*others, **kwargs))
        node = self._graph.call_function(function, args, kwargs)
        with self._fake:
            return self._ran(node, function(*self._values(args), **self._values(kwargs)))

    def module(self, module: nn.Module, *inputs: fx.Node) -> fx.Node:
        """Add a module, named after the file's node, and a call of it."""
        name = self._free_name(self._label.rpartition(" (")[0])
        module.eval()
        self._root.add_module(name, module)
        with self._fake:
            result = module(*self._values(inputs))
        return self._ran(self._graph.call_module(name, inputs), result)

    def parameter(self, values: Array, name: str) -> fx.Node:
        """A trainable parameter of the network itself."""
        name = self._free_name(name or "constant")
        held = nn.Parameter(torch.from_numpy(np.array(values, np.float32)))
        self._root.register_parameter(name, held)
        node = self._graph.get_attr(name)
        return self._ran(node, self._empty(tuple(held.shape)))

    def module_of(self, node: fx.Node) -> nn.Module | None:
        """The module that an operation calls; None for a function."""
        return self._root.get_submodule(str(node.target)) if node.op == "call_module" else None

    def finish(self, outputs: Sequence[Value]) -> fx.GraphModule:
        """The network with these outputs, without operations that no output depends on.

        Raises UnsupportedLayer for an output whose first axis is not the batch.
        """
        nodes = [self.native(value) if value.rank > 2 else self.node(value) for value in outputs]
        self._graph.output(nodes[0] if len(nodes) == 1 else tuple(nodes))
        compose(self._root, self._graph, self._composed_name)
        made = fx.GraphModule(self._root, self._graph, "Imported")
        made.graph.eliminate_dead_code()
        made.recompile()
        made.delete_all_unused_submodules()
        read = {str(node.target) for node in made.graph.nodes if node.op == "get_attr"}
        for name, _ in list(made.named_parameters(recurse=False)):
            if name not in read:
                delattr(made, name)
        return made.eval()

    def _empty(self, shape: Extents) -> torch.Tensor:
        with self._fake:
            return torch.empty(shape)

    def _composed_name(self, node: fx.Node) -> str:
        return self._free_name(self.origins.get(node, "activation (").rpartition(" (")[0])

    def _values(self, args: Any) -> Any:
        return fx.node.map_arg(args, self._results.__getitem__)

    def _ran(self, node: fx.Node, result: Any) -> fx.Node:
        self.origins[node] = self._label
        if isinstance(result, torch.Tensor) and result.numel() > SAMPLES * _LARGEST_ELEMENTS:
            raise UnsupportedLayer(
                f"{self._label}: makes {result.numel() // SAMPLES:,} values of a sample, at "
                f"most {_LARGEST_ELEMENTS:,}"
            )
        self._results[node] = result
        return node

    def _free_name(self, wanted: str) -> str:
        base = _cleaned(wanted)
        name, number = base, 1
        while hasattr(self._root, name):
            number += 1
            name = f"{base}_{number}"
        return name


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps torch from printing a traceback for shapes that do not fit: the caller tells them."""
    log = logging.getLogger(FakeTensorMode.__module__)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _cleaned(name: str) -> str:
    """`name` of letters, digits and underscores."""
    return re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "layer"


def _identifier(name: str) -> str:
    """`name` as one of Python."""
    cleaned = _cleaned(name)
    return cleaned if cleaned[:1].isalpha() else f"x{cleaned}"
