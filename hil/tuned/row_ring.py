"""The windows of a convolution on a ring of expanded rows: row_ring.c, conv_rows.c, conv_patches.c.

A row of the padded input is a row of half-words: padding, `used` inputs, padding. Window x of an
output row begins at half-word `start(x)` and is `run_words` words long; where filters have an odd
number of inputs in a row, the last half-word has a weight of 0. Micro-kernels read words. Where a
window begins in the middle of one, it is read from a copy of the row that is one half-word
earlier: in place of the row, or beside it where windows begin at both halves in turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from compress.ops import Conv2D
from compress.types import Graph
from hil.kernel_interface.limits import round_up
from hil.tuned.calls import Field
from hil.tuned.panels import Pairs, natural_order, swapped_order
from hil.tuned.requantize import Channels, channels_of

_MOST = 2**16 - 1  # row_ring counts in uint16_t


@dataclass(frozen=True, slots=True)
class RowRing:
    """A convolution's windows on its rows.

    `lines` and `line_bytes` are the input's rows, `used` the inputs of one that windows reach.
    `before` is the half-word of the first input. A slot of the ring has `copies` of `copy_words`.
    """

    lines: int
    line_bytes: int
    used: int
    channels_in: int
    channels_out: int
    out_rows: int
    out_columns: int
    filter_rows: int
    run: int
    stride: tuple[int, int]
    top: int
    left: int
    zero_point: int

    @property
    def swaps(self) -> bool:
        """True if the four inputs of a word are expanded to (0, 2), (1, 3)."""
        return self.channels_in % 4 == 0

    @property
    def pairs(self) -> int:
        """Pairs of pixels of an output row."""
        return -(-self.out_columns // 2)

    @property
    def columns(self) -> int:
        """Columns of the input that windows reach."""
        return self.used // self.channels_in

    @property
    def taps(self) -> int:
        """Columns of the filter."""
        return self.run // self.channels_in

    @property
    def padded_columns(self) -> int:
        """Columns of the input and of the padding that windows reach."""
        return max(self.left + self.columns, (self.out_columns - 1) * self.stride[1] + self.taps)

    @property
    def run_words(self) -> int:
        return -(-self.run // 2)

    @property
    def _odd(self) -> tuple[bool, bool]:
        """Whether even and odd windows begin in the middle of a word."""
        margin = self.left * self.channels_in
        return margin % 2 == 1, (self.stride[1] * self.channels_in - margin) % 2 == 1

    @property
    def before(self) -> int:
        return max(round_up(self.left * self.channels_in, 2), 2 if any(self._odd) else 0)

    def start(self, window: int) -> int:
        return self.before + (window * self.stride[1] - self.left) * self.channels_in

    @property
    def copies(self) -> int:
        even, odd = self._odd
        return 1 if even == odd else 2

    @property
    def copy_words(self) -> int:
        """The micro-kernels read a second window beside an odd last one."""
        last = self.start(2 * self.pairs - 1) + 2 * self.run_words
        return -(-max(self.before + self.used, last) // 2)

    @property
    def slot_words(self) -> int:
        return self.copies * self.copy_words

    @property
    def copy_of(self) -> tuple[int, int]:
        """The words of a slot at which the row and its shifted copy begin; the first window's
        copy is the first."""
        even, odd = self._odd
        if even == odd:
            return 0, 0
        return (self.copy_words, 0) if even else (0, self.copy_words)

    def offset_bytes(self, window: int) -> int:
        """Where the window begins in a slot."""
        start = self.start(window)
        return 4 * (self.copy_of[start % 2] + start // 2)

    @property
    def next_bytes(self) -> int:
        """From an even window to the next."""
        return self.offset_bytes(1) - self.offset_bytes(0)

    @property
    def step_bytes(self) -> int:
        """From an even window to the next even one."""
        return 4 * self.stride[1] * self.channels_in

    def order(self) -> Pairs:
        """The pairs of taps in the order of their words."""
        taps = self.filter_rows * 2 * self.run_words
        return swapped_order(taps) if self.swaps else natural_order(taps)

    def slots(self, group: int) -> int:
        """Rows that `group` output rows cover."""
        return (group - 1) * self.stride[0] + self.filter_rows

    def is_countable(self, group: int) -> bool:
        """True if row_ring and ring_windows can hold all numbers."""
        numbers = (self.slot_words, self.slots(group), self.run_words, self.step_bytes, self.lines)
        rows = (self.out_rows - 1) * self.stride[0] + self.filter_rows
        columns = (self.padded_columns, self.out_columns)
        return max(*numbers, rows, self.next_bytes, self.stride[0], *columns) <= _MOST

    def lead_bytes(self, writes: Iterable[tuple[int, int]]) -> int:
        """The bytes by which an output has to start before the input that it lies over.

        Each of `writes` is the last output row, of those whose rows were expanded, and the number
        of pixels that are written by then. What is written may not reach the first input row that
        is still to be expanded.
        """
        lead, pixels = 0, self.out_rows * self.out_columns
        reached = min(
            self.lines, (self.out_rows - 1) * self.stride[0] + self.filter_rows - self.top
        )
        for row, count in writes:
            expanded = row * self.stride[0] + self.filter_rows - self.top
            unread = max(expanded, (row + 1) * self.stride[0] - self.top, 0)
            if count < pixels and row + 1 < self.out_rows and unread < reached:
                lead = max(lead, count * self.channels_out - unread * self.line_bytes)
        return lead

    def ring_fields(self, slots: int) -> tuple[Field, ...]:
        """The member `ring` of a layer's record."""
        plain, shifted = self.copy_of
        first_input = self.before // 2
        padding = self.zero_point & 0xFFFF
        members = {
            "expand": "expand_swapped" if self.swaps else "expand_in_order",
            "padding": f"0x{padding << 16 | padding:08x}",
            "line_bytes": self.line_bytes,
            "used_bytes": self.used,
            "lines": self.lines,
            "top": self.top,
            "slots": slots,
            "slot_words": self.slot_words,
            "first_input": plain + first_input,
            "shifted": shifted + first_input if any(self._odd) else 0,
        }
        return tuple(Field(f"ring.{name}", value) for name, value in members.items())

    def window_fields(self) -> tuple[Field, ...]:
        """The member `windows` of a layer's record."""
        members = {
            "out_rows": self.out_rows,
            "out_columns": self.out_columns,
            "stride": self.stride[0],
            "filter_rows": self.filter_rows,
            "run_words": self.run_words,
            "first_word": self.offset_bytes(0) // 4,
            "next_bytes": self.next_bytes,
            "step_bytes": self.step_bytes,
        }
        return tuple(Field(f"windows.{name}", value) for name, value in members.items())


def ring_of(graph: Graph, op: Conv2D) -> RowRing | None:
    """The ring of a convolution; None for one in groups or with gaps in its filters."""
    _, height, width, channels = graph.tensors[op.input].shape
    _, out_rows, out_columns, channels_out = graph.tensors[op.output].shape
    _, rows, columns, depth = graph.tensors[op.weights].shape
    has_gaps = (op.dilation[0] > 1 and rows > 1) or (op.dilation[1] > 1 and columns > 1)
    if depth != channels or has_gaps:
        return None
    reach = (out_columns - 1) * op.stride[1] + columns - op.padding.left
    return RowRing(
        lines=height,
        line_bytes=width * channels,
        used=min(width, max(reach, 0)) * channels,
        channels_in=channels,
        channels_out=channels_out,
        out_rows=out_rows,
        out_columns=out_columns,
        filter_rows=rows,
        run=columns * channels,
        stride=op.stride,
        top=op.padding.top,
        left=op.padding.left,
        zero_point=graph.tensors[op.input].zero_point,
    )


def ring_channels(graph: Graph, op: Conv2D, ring: RowRing) -> Channels | None:
    """The channels, with a weight of 0 after each row of an odd number; None without a proof."""
    data = graph.tensors[op.weights].data
    if data is None:
        return None
    rows = data.reshape(len(data), ring.filter_rows, ring.run).astype(np.int64)
    even = np.pad(rows, ((0, 0), (0, 0), (0, ring.run % 2)))
    return channels_of(graph, op, even.reshape(len(data), -1))
