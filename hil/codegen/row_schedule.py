"""The order in which the layers of a segment make their rows, and how many rows must be kept.

The last layer is asked for its next row. A layer that lacks rows of an input asks the layer that
makes them, of several inputs the first that lacks any: nothing is computed twice, and nothing
before it is needed. Of a tensor between two layers a ring of rows is kept: contiguous, the oldest
first, padding included. Where it is full, the rows behind the oldest `step` move up. `row_stream.c`
does the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hil.segment import Ring, RowInput, RowLayer, Segment


def order_of(layers: Sequence[RowLayer], heights: Mapping[int, int]) -> tuple[int, ...]:
    """The position of the layer that makes a row, row after row; `heights` are rows of tensors."""
    maker = {layer.output: position for position, layer in enumerate(layers)}
    made = [0] * len(layers)
    order = []
    last = len(layers) - 1
    while made[last] < layers[last].rows:
        position = last
        while (asked := _asked(layers[position], made, maker, heights)) is not None:
            position = asked
        # Rows of padding below are there when the last one above them is.
        made[position] += 1
        order.append(position)
        # The output of a mean is one row, which is there after its last turn.
    return tuple(order)


def _asked(
    layer: RowLayer, made: Sequence[int], maker: Mapping[int, int], heights: Mapping[int, int]
) -> int | None:
    """The position of the layer that has to make a row before `layer` can; None if none has to."""
    for one in layer.inputs:
        if one.tensor in maker:
            number = made[maker[layer.output]]
            needed = number * one.stride - one.top + one.filter_rows
            if made[maker[one.tensor]] < min(needed, heights[one.tensor]):
                return maker[one.tensor]
    return None


def schedule(
    layers: Sequence[RowLayer], heights: Mapping[int, int], over: Mapping[int, int]
) -> Segment:
    """The schedule of a segment; layers are in the graph's order.

    `over` maps a tensor to the tensor of equal rows over whose rows its layer may write.
    """
    order = order_of(layers, heights)
    maker = {layer.output: position for position, layer in enumerate(layers)}
    readers: dict[int, list[tuple[int, RowInput]]] = {}
    for position, layer in enumerate(layers):
        for one in layer.inputs:
            readers.setdefault(one.tensor, []).append((position, one))
    last = layers[-1].output
    shared = {tensor: tensor for tensor in readers} | {
        output: source
        for output, source in over.items()
        if output in readers and source in maker and len(readers[source]) == 1
    }
    rings = {}
    for tensor in readers:
        if tensor in maker:
            root = _root(shared, tensor)
            family = [one for one in readers if _root(shared, one) == root]
            rings[tensor] = _ring(tensor, root, layers, order, maker, readers, family)
    sources = {
        tensor: (max(one.top for _, one in pairs), max(one.bottom for _, one in pairs))
        for tensor, pairs in readers.items()
        if tensor not in maker
    }
    lead_rows = {
        tensor: _lead_rows(tensor, top, layers, order, readers[tensor], maker[last])
        for tensor, (top, _) in sources.items()
    }
    return Segment(tuple(layers), order, rings, sources, lead_rows)


def _root(shared: Mapping[int, int], tensor: int) -> int:
    while shared[tensor] != tensor:
        tensor = shared[tensor]
    return tensor


def _oldest(
    pairs: Sequence[tuple[int, RowInput]], layers: Sequence[RowLayer], made: Sequence[int], top: int
) -> int | None:
    """The first row, padding included, that a reader still needs; None if none does."""
    needed = [
        made[position] * one.stride - one.top + top
        for position, one in pairs
        if made[position] < layers[position].rows
    ]
    return min(needed) if needed else None


def _ring(
    tensor: int,
    root: int,
    layers: Sequence[RowLayer],
    order: Sequence[int],
    maker: Mapping[int, int],
    readers: Mapping[int, list[tuple[int, RowInput]]],
    family: Sequence[int],
) -> Ring:
    """The smallest ring for the tensors of a family, in which each writes over the one before."""
    pairs = [pair for one in family for pair in readers[one]]
    top = max(one.top for _, one in pairs)
    bottom = max(one.bottom for _, one in pairs)
    events = _events(maker[root], top, layers, order, pairs)
    rows = max(one.filter_rows for _, one in pairs)
    while True:
        for step in range(rows, 0, -1):
            if _holds(events, rows, step):
                first, last = (layers[position].index for position in events.alive)
                return Ring(tensor, root, rows, step, top, bottom, first, last)
        rows += 1


@dataclass(frozen=True, slots=True)
class _Events:
    """What happens to a ring: rows that are added, each with the oldest row still needed then.

    `alive` are the first and the last of the layers that run while it holds rows that are needed.
    """

    added: tuple[tuple[int, int], ...]  # (rows added by then, oldest needed)
    alive: tuple[int, int]
    top: int


def _events(
    root: int,
    top: int,
    layers: Sequence[RowLayer],
    order: Sequence[int],
    pairs: Sequence[tuple[int, RowInput]],
) -> _Events:
    """The events of a ring to which the layer at position `root` adds rows."""
    windows: dict[int, list[RowInput]] = {root: []}
    for position, one in pairs:
        windows.setdefault(position, []).append(one)
    made = dict.fromkeys(windows, 0)

    def oldest() -> int:
        """The first row, padding included, that a reader still needs; the newest if none does."""
        needed = [
            made[position] * one.stride - one.top + top
            for position, one in pairs
            if made[position] < layers[position].rows
        ]
        return min(needed, default=total)

    total, since = top, 0 if top else None  # padding above is there from the start on
    added: list[tuple[int, int]] = []
    ran: list[int] = []
    for turn, position in enumerate(order):
        if position not in windows:
            continue
        since = turn if since is None else since
        for one in windows[position]:  # rows of padding below are added when they are asked for
            needed = made[position] * one.stride - one.top + top + one.filter_rows
            while total < needed:
                total += 1
                added.append((total, oldest()))
        if position == root:
            total += 1
            added.append((total, min(oldest(), total - 1)))
        made[position] += 1
        if oldest() >= total:
            ran += order[since : turn + 1]
            since = None
    if since is not None:
        ran += order[since:]
    return _Events(tuple(added), (min(ran), max(ran)), top)


def _holds(events: _Events, rows: int, step: int) -> bool:
    """True if a ring of so many rows that drops `step` when it is full never drops a needed one."""
    first = 0
    if events.top > rows:
        return False
    for total, oldest in events.added:
        if total - first > rows:
            first += step
            if first > oldest or total - first > rows:
                return False
    return True


def _lead_rows(
    tensor: int,
    top: int,
    layers: Sequence[RowLayer],
    order: Sequence[int],
    pairs: Sequence[tuple[int, RowInput]],
    last: int,
) -> tuple[tuple[int, int], ...]:
    """After each row of the output: the rows written, and those of the source that are free."""
    made = [0] * len(layers)
    found = []
    for position in order:
        if position == last:
            # A row is written while its own window is still needed.
            oldest = _oldest(pairs, layers, made, top)
            if oldest is not None:
                written = 1 if layers[last].sums else made[last] + 1
                found.append((written, oldest))
        made[position] += 1
    return tuple(found)
