"""Choice of the C kernel that runs an operator on a board."""

from __future__ import annotations

from collections.abc import Iterator

from compress.errors import UnsupportedLayer
from compress.operators.registry import operator_of
from compress.ops import DepthwiseConv2D, Op, Weighted
from compress.types import Graph
from hil.kernel_interface.limits import activation_types, check_activations, no_int16_kernel
from hil.kernel_interface.operator_kernels import Kernel
from hil.kernels.registry import kernels_of
from hil.kernels.weight_storage import stored_weights
from hil.tuned.cores import has_dsp
from hil.tuned_kernels.order import early_kernels
from hil.tuned_kernels.registry import tuned_kernels
from hil.types import Board, KernelSet, Memory


def candidates(
    graph: Graph, op: Op, board: Board, saves: Memory = "flash", kernel_set: KernelSet = "tuned"
) -> Iterator[Kernel]:
    """The kernels that compute `op` on `board` bit-equal to the reference, best first.

    Those of `hil/tuned` come first. Where weights are stored in a form that is smaller than what
    they read, and `saves` names a memory, they come last: the first has the smallest form. Those
    that enlarge weights are there if `saves` is "nothing", those that are worth it only for RAM or
    flash if it is that; short kernels, which are slow, come after all others. The exceptions are
    those of `hil.tuned_kernels.order`.
    Raises UnsupportedLayer, naming the layer, for what none of them takes.
    """
    known = kernels_of(op)
    check_activations(graph, op, converts=operator_of(op).converts, any_extent=known.any_extent)
    known.check(graph, op)
    small = saves != "nothing" and has_smaller_form(graph, op, board)
    listed = _listed(graph, op, board, saves, kernel_set, last=small)
    early = early_kernels(graph, op, board, saves, small) if kernel_set == "tuned" else ()
    if not early:
        yield from listed
        return
    names = {name: rank for rank, name in enumerate(early)}
    yield from sorted(listed, key=lambda kernel: names.get(kernel.name, len(names)))


def _listed(
    graph: Graph, op: Op, board: Board, saves: Memory, kernel_set: KernelSet, last: bool
) -> Iterator[Kernel]:
    """The kernels in the order of the registries; tuned ones come first, or `last`."""
    known = kernels_of(op)
    if kernel_set == "tuned" and not last:
        yield from _tuned(graph, op, board, saves)
    if "int16" not in activation_types(graph, op):
        yield from known.kernels(graph, op, board)
    elif known.int16_kernels is None:
        raise no_int16_kernel(op)
    else:
        yield from known.int16_kernels(graph, op, board)
    if kernel_set == "tuned" and last:
        yield from _tuned(graph, op, board, saves)
    if kernel_set == "tuned" and saves == "flash":
        yield from _tuned(graph, op, board, saves, short=True)


def _tuned(
    graph: Graph, op: Op, board: Board, saves: Memory, short: bool = False
) -> Iterator[Kernel]:
    for tuned in tuned_kernels(op):
        if tuned.saves_flash != short or (tuned.saves_ram and saves != "ram"):
            continue
        if saves == "nothing" or not tuned.enlarges_weights:
            yield from tuned.kernels(graph, op, board)


def all_candidates(
    graph: Graph, op: Op, board: Board, saves: Memory = "flash", kernel_set: KernelSet = "tuned"
) -> tuple[Kernel, ...]:
    """All of `candidates`. Raises UnsupportedLayer if there are none."""
    first = choose(graph, op, board, saves, kernel_set)
    try:
        return tuple(candidates(graph, op, board, saves, kernel_set))
    except UnsupportedLayer:  # of a kernel after the tuned ones
        return (first,)


def choose(
    graph: Graph, op: Op, board: Board, saves: Memory = "flash", kernel_set: KernelSet = "tuned"
) -> Kernel:
    """The first of the candidates for `op`. Raises UnsupportedLayer if there are none."""
    for kernel in candidates(graph, op, board, saves, kernel_set):
        return kernel
    raise UnsupportedLayer(f"{op.name}: no kernel for {type(op).__name__} on {board.core}")


def has_smaller_form(graph: Graph, op: Op, board: Board) -> bool:
    """True if weights are stored in a form, smaller than their type, that has to be expanded.

    It is worth that if it saves a quarter of the bytes of their type; but not for the few weights
    of a DepthwiseConv2D of int8 on cores with DSP instructions, where kernels that read them as
    they are take half the cycles or fewer.
    """
    if not isinstance(op, Weighted):
        return False
    weights = graph.tensors[op.weights]
    if weights.dtype not in ("int8", "int4"):
        return False
    if isinstance(op, DepthwiseConv2D) and weights.dtype == "int8" and has_dsp(board):
        return False
    stored = stored_weights(graph, op)
    plain_bytes = weights.elements // (1 if weights.dtype == "int8" else 2)
    return stored is not None and 4 * stored.size_bytes <= 3 * plain_bytes
