"""Kernels that run a layer's panels (conv_panels.c), with the weights in flash or through RAM.

Where flash waits, the weights of a panel are copied to RAM before it is used: `<name>_ram`. A few
pairs of pixels would not make up for the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from compress.ops import Conv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Instance, Words, size_text, stride_text
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp, reads_weights_from_ram
from hil.tuned.nibbles import BoolArray, fit_nibbles, pack_nibbles
from hil.tuned.panel_kernel import four_bits, sums_for
from hil.tuned.panels import (
    PANEL_CHANNELS,
    Pairs,
    fit_panels,
    pack_panels,
    panel_parameters,
    panel_rows,
)
from hil.tuned.requantize import Channels, Int64Array
from hil.types import Board, Step

# A copy costs about as much as two readings from flash that waits.
_FEWEST_PAIRS = 3
_MOST = 2**16 - 1  # conv_panels counts in uint16_t
_PARAMETERS_BYTES = 16  # of a channel: bias, factor, constant, shift


@dataclass(frozen=True, slots=True, eq=False)
class PanelLayer:
    """A layer that runs panels: the C function, its channels, and what else it takes.

    `order` is that of its taps. `pairs` are the pairs of pixels that a panel is used for, once it
    is copied. `scratch_bytes` is what the function needs beside `ram_words`. Weights have 8 or 4
    `bits`. If the function itself adds up what weights of four bits need of its inputs, `real` are
    the taps, (taps,) of bool, that it adds up, and what it finds for a window is `raised` more.
    """

    function: str
    channels: Channels
    order: Pairs
    micro_kernel: Instance
    fields: Sequence[Field]
    pairs: int
    scratch_bytes: int
    lead_bytes: int
    bits: int
    real: BoolArray | None = None
    raised: int = 0

    @property
    def panel_words(self) -> int:
        return len(self.order) * self.bits // 4

    @property
    def is_exact(self) -> bool:
        """True if a panel's channels can share half-words, and its words can be counted."""
        if self.ram_words(in_ram=True) > _MOST:
            return False
        return fit_panels(self.channels) if self.bits == 8 else fit_nibbles(self.channels)

    def ram_words(self, in_ram: bool) -> int:
        """A panel, if it is copied; for weights of four bits a sum of each pixel's inputs."""
        return (self.panel_words if in_ram else 0) + (2 * self.pairs if self.bits == 4 else 0)

    def packed(self) -> Words:
        if self.bits == 8:
            return pack_panels(self.channels.weights, self.order)
        return pack_nibbles(self.channels.weights, self.order, self.real)

    def parameters(self) -> Int64Array:
        """Those of the panels, with what a function finds too much of inputs taken off.

        Biases that leave int32 by that are those of 2**32 less or more: so do the kernels add.
        """
        parameters = panel_parameters(self.channels)
        parameters[:, : PANEL_CHANNELS - 1] -= self.raised
        return parameters.astype(np.int32).astype(np.int64)

    def instances(self) -> tuple[Instance, ...]:
        """The micro-kernel and, for weights of four bits, the one that computes sums for it."""
        if self.bits == 8:
            return (self.micro_kernel,)
        kernel = four_bits(self.micro_kernel)
        return (kernel, sums_for(self.micro_kernel)) if self.real is None else (kernel,)


# The layers as which a kernel may run an operator, fastest first, each with less scratch than the
# one before; none where it does not take it. The bool: the weights go through RAM.
Layers = Callable[[Graph, Conv2D, bool], Iterable[PanelLayer]]


def panel_kernels(
    name: str, layers_of: Layers, *, saves_ram: bool = False
) -> tuple[TunedKernel[Conv2D], ...]:
    """The kernels `<name>_ram`, for boards whose flash waits, and `name`."""
    return tuple(_tuned(name, layers_of, in_ram, saves_ram) for in_ram in (True, False))


def _tuned(name: str, layers_of: Layers, in_ram: bool, saves_ram: bool) -> TunedKernel[Conv2D]:
    full_name = f"{name}_ram" if in_ram else name

    def kernels(graph: Graph, op: Conv2D, board: Board) -> Iterator[Kernel]:
        if not has_dsp(board) or (in_ram and not reads_weights_from_ram(board)):
            return
        for layer in layers_of(graph, op, in_ram):
            if not layer.is_exact:
                return
            if not in_ram or layer.pairs >= _FEWEST_PAIRS:
                size_bytes = _scratch_bytes(layer, in_ram)
                yield Kernel(full_name, size_bytes, lead_bytes=layer.lead_bytes)

    def call(graph: Graph, step: Step, op: Conv2D) -> Call:
        room = 0 if step.scratch is None else step.scratch.size_bytes
        layers = layers_of(graph, op, in_ram)
        layer = next(layer for layer in layers if _scratch_bytes(layer, in_ram) <= room)
        return _call(graph, step, op, layer, in_ram)

    def weight_bytes(graph: Graph, op: Conv2D) -> int:
        layer = next(iter(layers_of(graph, op, in_ram)))
        rows = len(panel_rows(len(layer.channels.bias)))
        return rows * (4 * layer.panel_words // PANEL_CHANNELS + _PARAMETERS_BYTES)

    return TunedKernel(
        name=full_name,
        kernels=kernels,
        call=call,
        weight_bytes=weight_bytes,
        saves_ram=saves_ram,
    )


def even_groups(sizes: Sequence[int], pixels: int) -> tuple[int, ...]:
    """Those of `sizes`, even numbers of pixels, that `pixels` fill, each once."""
    return tuple(dict.fromkeys(min(size, pixels + pixels % 2) for size in sizes))


def _scratch_bytes(layer: PanelLayer, in_ram: bool) -> int:
    return layer.scratch_bytes + 4 * layer.ram_words(in_ram)


def _call(graph: Graph, step: Step, op: Conv2D, layer: PanelLayer, in_ram: bool) -> Call:
    channels = layer.channels
    _, rows, columns, _ = graph.tensors[op.weights].shape
    kernel, *sums = layer.instances()
    fields = (
        Field("panels.kernel", kernel.name),
        *(Field("panels.sums", one.name) for one in sums),
        Field("panels.channels", len(channels.bias)),
        Field("panels.panel_words", layer.panel_words),
        Field("panels.weights_in_ram", int(in_ram)),
        Field("panels.ram_words", layer.ram_words(in_ram)),
    )
    return job_call(
        graph,
        step,
        op,
        function=layer.function,
        fields=(*fields, *layer.fields),
        arrays=(
            ("panels.weights", "uint32_t", layer.packed()),
            ("panels.parameters", "int32_t", layer.parameters()),
        ),
        instances=layer.instances(),
        clamp=channels.clamp,
        window=(f"filter {size_text((rows, columns))}", *stride_text(op.stride)),
    )


def weight_bits(graph: Graph, op: Conv2D) -> int | None:
    """8 or 4; None for weights without data or of another type."""
    weights = graph.tensors[op.weights]
    return None if weights.data is None else {"int8": 8, "int4": 4}.get(weights.dtype)
