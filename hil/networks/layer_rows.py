"""The layers of the int8 network beside those of the chosen one, as rows of texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from hil import formatting
from hil.networks.planned_network import PlannedLayer, PlannedNetwork


@dataclass(frozen=True, slots=True)
class LayerCell:
    """One layer of one network; "" is what is not known or does not apply."""

    name: str
    what: str
    kernel: str
    cost: str
    beaten: str
    macs: str
    weights: str
    live: str
    count: str


LayerPair = tuple[LayerCell | None, LayerCell | None]


def layer_rows(before: PlannedNetwork | str, after: PlannedNetwork | str) -> list[LayerPair]:
    """Pairs of the layers of one name, in their order; None where a network has none.

    Empty if neither network can be planned again.
    """
    first = before.layers if isinstance(before, PlannedNetwork) else ()
    second = after.layers if isinstance(after, PlannedNetwork) else ()
    return [(_cell(one), _cell(other)) for one, other in _paired(first, second)]


def _paired(
    first: tuple[PlannedLayer, ...], second: tuple[PlannedLayer, ...]
) -> Iterator[tuple[PlannedLayer | None, PlannedLayer | None]]:
    """Layers of one name beside each other; those without a partner in between."""
    common = {layer.name for layer in first} & {layer.name for layer in second}
    waiting = list(second)
    run: list[PlannedLayer] = []
    for layer in first:
        if layer.name not in common:
            run.append(layer)
            continue
        alone: list[PlannedLayer] = []
        while waiting and waiting[0].name != layer.name:
            alone.append(waiting.pop(0))
        yield from zip_longest(run, alone)
        run = []
        yield layer, waiting.pop(0) if waiting else None
    yield from zip_longest(run, waiting)


def _cell(layer: PlannedLayer | None) -> LayerCell | None:
    if layer is None:
        return None
    shape = "\N{MULTIPLICATION SIGN}".join(map(str, layer.shape)) or "1"
    bits = f", {layer.bits} bits" if layer.bits else ""
    rows = ", row by row" if layer.by_rows else ""
    return LayerCell(
        name=layer.name,
        what=f"{layer.op} → {shape}{bits}{rows}",
        kernel="" if layer.kernel == "none" else layer.kernel,
        cost=layer.kernel_cost,
        beaten=", ".join(layer.beaten),
        macs=f"{layer.macs:,}" if layer.macs else "",
        weights=f"{layer.weight_bytes:,}" if layer.weight_bytes else "",
        live=f"{layer.live_bytes:,}",
        count="" if layer.count is None else formatting.short_count(layer.count),
    )
