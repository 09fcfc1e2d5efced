"""A segment as the C templates see it: tables of its tensors and of its layers for row_stream.c."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.types import Graph
from hil.codegen.layers import Layer
from hil.kernel_interface.call import safe
from hil.segment import RowInput, RowLayer, Segment
from hil.types import Plan


@dataclass(frozen=True, slots=True)
class RowTable:
    """A record of a table in C: its members and a comment."""

    members: tuple[tuple[str, int | str], ...]
    comment: str


@dataclass(frozen=True, slots=True)
class SegmentCode:
    """A segment, its layers and its tables."""

    name: str
    layers: Sequence[Layer]
    tensors: Sequence[RowTable]
    rows: Sequence[RowTable]


def segment_code(plan: Plan, segment: Segment, layers: Sequence[Layer]) -> SegmentCode:
    """What the template renders of a segment; `layers` are those of the plan."""
    homes = [*dict.fromkeys(ring.shared for ring in segment.rings.values())]
    homes += [*segment.sources, segment.output]
    number = {home: i for i, home in enumerate(homes)}
    place = {t: number[ring.shared] for t, ring in segment.rings.items()}
    place |= {t: number[t] for t in (*segment.sources, segment.output)}
    return SegmentCode(
        name=layers[segment.first].segment_name,
        layers=layers[segment.first : segment.last + 1],
        tensors=[_tensor(plan, segment, home) for home in homes],
        rows=[_layer(plan.graph, segment, layer, place) for layer in segment.layers],
    )


def _tensor(plan: Plan, segment: Segment, home: int) -> RowTable:
    graph = plan.graph
    height = graph.tensors[home].shape[1]
    row_bytes = graph.tensors[home].size_bytes // height
    offset = plan.tensors[home].offset_bytes
    ring = segment.rings.get(home)
    names = [home]
    if ring is not None:
        names = [t for t, other in segment.rings.items() if other.shared == home]
        slots, step, top, bottom = ring.rows, ring.step, ring.top, ring.bottom
    else:
        top, bottom = segment.sources.get(home, (0, 0))
        slots, step, offset = top + height + bottom, 0, offset - top * row_bytes
    members: dict[str, int | str] = {
        "rows": f"model_arena + {offset}",
        "row_bytes": row_bytes,
        "slots": slots,
        "step": step,
        "top": top,
        "bottom": bottom,
        # Those who write over each other's rows have one with padding at most: the last.
        "padding": graph.tensors[names[-1]].zero_point,
    }
    comment = " = ".join(safe(graph.tensors[t].name) for t in names)
    return RowTable(tuple(members.items()), comment)


def _layer(graph: Graph, segment: Segment, layer: RowLayer, place: dict[int, int]) -> RowTable:
    maker = {one.output: position for position, one in enumerate(segment.layers)}

    def window(one: RowInput) -> str:
        ring = segment.rings.get(one.tensor)
        top = segment.sources[one.tensor][0] if ring is None else ring.top
        numbers = {
            "tensor": place[one.tensor],
            "maker": maker.get(one.tensor, -1),
            "filter_rows": one.filter_rows,
            "stride": one.stride,
            "first": top - one.top,
            "above": one.top,
        }
        return "{" + ", ".join(f".{name} = {value}" for name, value in numbers.items()) + "}"

    ring = segment.rings.get(layer.output)
    members: dict[str, int | str] = {
        "inputs": "{" + ", ".join(window(one) for one in layer.inputs) + "}",
        "input_count": len(layer.inputs),
        "output": place[layer.output],
        "rows": layer.rows,
        "height": graph.tensors[layer.output].shape[1],
        "adds": int(ring is not None and ring.shared == layer.output),
        "keeps": int(layer.sums),
    }
    return RowTable(tuple(members.items()), f"{layer.index} {safe(graph.ops[layer.index].name)}")
