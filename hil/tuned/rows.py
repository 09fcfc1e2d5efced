"""Conv2D over a ring of expanded rows, on cores with DSP: conv_rows.c, conv_rows_s4.c.

A filter row is one run of words, and no input is copied for each window it lies in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from compress.ops import Conv2D
from compress.types import Graph
from hil.tuned.calls import Field
from hil.tuned.panel_kernel import rows_kernel
from hil.tuned.row_ring import RowRing, ring_channels, ring_of
from hil.tuned.weight_panels import PanelLayer, panel_kernels, weight_bits

# Pairs of pixels for which a panel should be copied to RAM, at least.
_PAIRS_OF_A_COPY = 8
# An LDR reaches as far; the micro-kernels read eight steps of a word from an address.
_FARTHEST_BYTES = 4095 - 8 * 4
# Inputs of a pixel for which it pays to add them up once, and not for each window.
_FEWEST_INPUTS = 4


def _groups(ring: RowRing, in_ram: bool) -> tuple[int, ...]:
    """Output rows at a time: as many as make a copy of the weights worth it, or one."""
    most = min(-(-_PAIRS_OF_A_COPY // ring.pairs), ring.out_rows) if in_ram else 1
    return tuple(dict.fromkeys((most, 1)))


def _layers(graph: Graph, op: Conv2D, in_ram: bool) -> Iterator[PanelLayer]:
    ring = ring_of(graph, op)
    if ring is None or ring.next_bytes > _FARTHEST_BYTES:
        return
    channels = ring_channels(graph, op, ring)
    bits = weight_bits(graph, op)
    if channels is None or bits is None:
        return
    for group in _groups(ring, in_ram):
        if not ring.is_countable(group):
            continue
        ends = [min(row + group, ring.out_rows) for row in range(0, ring.out_rows, group)]
        layer = PanelLayer(
            function="conv_rows",
            channels=channels,
            order=ring.order(),
            micro_kernel=rows_kernel(ring.next_bytes),
            fields=(
                *ring.ring_fields(ring.slots(group)),
                *ring.window_fields(),
                Field("group", group),
            ),
            pairs=group * ring.pairs,
            scratch_bytes=4 * ring.slots(group) * (ring.slot_words + 1),
            lead_bytes=ring.lead_bytes((end - 1, end * ring.out_columns) for end in ends),
            bits=bits,
        )
        adds_pixels = bits == 4 and ring.channels_in >= _FEWEST_INPUTS
        yield _with_sums(layer, ring, ring.slots(group)) if adds_pixels else layer


def _with_sums(layer: PanelLayer, ring: RowRing, slots: int) -> PanelLayer:
    """The layer as conv_rows_s4.c runs it, which adds up each pixel once."""
    members = {
        "depth": ring.channels_in,
        "filter_columns": ring.taps,
        "stride_x": ring.stride[1],
        "left": ring.left,
        "columns": ring.columns,
        "padded_columns": ring.padded_columns,
    }
    row = np.arange(2 * ring.run_words) < ring.run  # without what fills an odd row up
    return replace(
        layer,
        function="conv_rows_s4",
        fields=(*layer.fields, *(Field(name, value) for name, value in members.items())),
        scratch_bytes=layer.scratch_bytes + 4 * (slots * 2 * ring.pairs + ring.padded_columns + 1),
        real=np.tile(row, ring.filter_rows),
    )


KERNELS = panel_kernels("conv_rows", _layers)
