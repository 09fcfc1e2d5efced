"""Kernels that run a layer's panels (conv_panels.c), with the weights in flash or through RAM.

Where flash waits, the weights of a panel are copied to RAM before it is used: `<name>_ram`. A few
pairs of pixels would not make up for the copy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from compress.ops import Conv2D
from compress.types import Graph
from hil.kernel_interface.call import Call, Instance
from hil.kernel_interface.operator_kernels import Kernel, TunedKernel
from hil.tuned.calls import Field, job_call
from hil.tuned.cores import has_dsp, reads_weights_from_ram
from hil.tuned.panels import (
    PANEL_CHANNELS,
    Pairs,
    fit_panels,
    pack_panels,
    panel_parameters,
    panel_rows,
)
from hil.tuned.requantize import Channels
from hil.types import Board, Step

# A copy costs about as much as two readings from flash that waits.
_FEWEST_PAIRS = 3
_PARAMETERS_BYTES = 16  # of a channel: bias, factor, constant, shift


@dataclass(frozen=True, slots=True)
class PanelLayer:
    """A layer that runs panels: the C function, its channels, and what else it takes.

    `order` is that of its taps. `pairs` are the pairs of pixels that a panel is used for, once it
    is copied. `scratch_bytes` is what the function needs beside the panel.
    """

    function: str
    channels: Channels
    order: Pairs
    micro_kernel: Instance
    fields: Sequence[Field]
    pairs: int
    scratch_bytes: int
    lead_bytes: int

    @property
    def panel_words(self) -> int:
        return 2 * len(self.order)


def panel_kernels(
    name: str, layer_of: Callable[[Graph, Conv2D, bool], PanelLayer | None]
) -> tuple[TunedKernel[Conv2D], ...]:
    """The kernels `name` and `<name>_ram`.

    `layer_of` returns the layer of an operator, given whether its panels go through RAM, or None
    where the kernel does not take it.
    """
    return tuple(_kernel(name, layer_of, in_ram) for in_ram in (True, False))


def _kernel(
    name: str, layer_of: Callable[[Graph, Conv2D, bool], PanelLayer | None], in_ram: bool
) -> TunedKernel[Conv2D]:
    full_name = f"{name}_ram" if in_ram else name

    def kernel(graph: Graph, op: Conv2D, board: Board) -> Kernel | None:
        if not has_dsp(board) or (in_ram and not reads_weights_from_ram(board)):
            return None
        layer = layer_of(graph, op, in_ram)
        if layer is None or not fit_panels(layer.channels):
            return None
        if in_ram and layer.pairs < _FEWEST_PAIRS:
            return None
        panel_bytes = 4 * layer.panel_words if in_ram else 0
        return Kernel(full_name, layer.scratch_bytes + panel_bytes, lead_bytes=layer.lead_bytes)

    def call(graph: Graph, step: Step, op: Conv2D) -> Call:
        layer = layer_of(graph, op, in_ram)
        assert layer is not None, "only layers of its kernel are called"
        return _call(graph, step, op, layer, in_ram)

    return TunedKernel(name=full_name, kernel=kernel, call=call, weight_bytes=_weight_bytes(layer_of))


def _call(graph: Graph, step: Step, op: Conv2D, layer: PanelLayer, in_ram: bool) -> Call:
    channels = layer.channels
    fields = (
        Field("panels.kernel", layer.micro_kernel.name),
        Field("panels.channels", len(channels.bias)),
        Field("panels.panel_words", layer.panel_words),
        Field("panels.weights_in_ram", int(in_ram)),
    )
    weights = pack_panels(channels.weights, layer.order)
    return job_call(
        graph,
        step,
        op,
        function=layer.function,
        fields=(*fields, *layer.fields),
        arrays=(
            ("panels.weights", "uint32_t", weights),
            ("panels.parameters", "int32_t", panel_parameters(channels)),
        ),
        instances=(layer.micro_kernel,),
        clamp=channels.clamp,
    )


def _weight_bytes(
    layer_of: Callable[[Graph, Conv2D, bool], PanelLayer | None],
) -> Callable[[Graph, Conv2D], int]:
    def weight_bytes(graph: Graph, op: Conv2D) -> int:
        layer = layer_of(graph, op, False)
        assert layer is not None, "only layers of its kernel are counted"
        rows = len(panel_rows(len(layer.channels.bias)))
        return rows * (4 * layer.panel_words // PANEL_CHANNELS + _PARAMETERS_BYTES)

    return weight_bytes
