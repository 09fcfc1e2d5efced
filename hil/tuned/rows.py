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
# Cycles of Cortex-M4, about, for what weights of four bits need of the inputs of a row of windows.
# Each window's inputs: of a window, a row of it, two words. A table: of a row of windows, a row of
# the table, a column of it, one input more, a column of three inputs, a window.
_WINDOW_CYCLES, _WINDOW_ROW_CYCLES, _TWO_WORDS_CYCLES = 8, 7, 5
_TABLE_CYCLES, _TABLE_ROW_CYCLES, _COLUMN_CYCLES, _INPUT_CYCLES = 110, 90, 14, 1.25
_COLUMN_OF_THREE_CYCLES, _SUM_CYCLES = 12, 13


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
        yield _with_table(layer, ring) if bits == 4 and _table_pays(ring) else layer


def _table_pays(ring: RowRing) -> bool:
    """True if a table of sums costs less than to add up the inputs of each window."""
    depth = ring.channels_in
    column = _COLUMN_OF_THREE_CYCLES if depth == 3 else _COLUMN_CYCLES + _INPUT_CYCLES * depth
    rows = ring.stride[0] * (_TABLE_ROW_CYCLES + column * ring.columns)
    table = _TABLE_CYCLES + rows + _SUM_CYCLES * ring.out_columns
    window_row = _WINDOW_ROW_CYCLES + _TWO_WORDS_CYCLES * ring.run_words / 2
    window = _WINDOW_CYCLES + window_row * ring.filter_rows
    return ring.columns > 0 and table < window * ring.out_columns


def _with_table(layer: PanelLayer, ring: RowRing) -> PanelLayer:
    """The layer as conv_rows_s4.c runs it, which adds up each pixel once."""
    entries = ring.padded_columns + 1
    members = {
        "row.columns": ring.columns,
        "row.depth": ring.channels_in,
        "row.zeros": 8 * ring.zero_point * ring.channels_in,
        "row.before": ring.left + 1,
        "row.behind": ring.padded_columns - ring.left - ring.columns,
        "sums.count": ring.out_columns,
        "sums.width": 4 * ring.taps,
        "sums.step": 4 * ring.stride[1],
        "entries": entries,
    }
    row = np.arange(2 * ring.run_words) < ring.run  # without what fills an odd row up
    return replace(
        layer,
        function="conv_rows_s4",
        fields=(*layer.fields, *(Field(name, value) for name, value in members.items())),
        # One word more is read behind the table.
        scratch_bytes=layer.scratch_bytes + 4 * ((ring.filter_rows + 1) * entries + 1),
        real=np.tile(row, ring.filter_rows),
        raised=8 * ring.zero_point * ring.filter_rows * ring.run,
    )


KERNELS = panel_kernels("conv_rows", _layers)
