"""One form of the network as C text: tuned for a core, or plain C for any.

The two differ in kernels, in the layout of weights that these read, and in their arenas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from compress.types import Graph
from hil.codegen.plan import make_plan
from hil.codegen.render import (
    context_of,
    custom_sources,
    instance_file,
    instance_source,
    template,
)
from hil.kernel_interface.limits import round_up
from hil.library.sources import with_assembly
from hil.types import Board, Plan

ARENA_ALIGNMENT = 16
# Some kernels read so far behind a tensor, and multiply by 0 what they find there: tuned.h.
_READ_BEHIND_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """A form of the network: `name` is that of its files, `files` its own sources by name.

    `context` is what the templates fill in, `globals` are the names that its sources define.
    """

    name: str
    plan: Plan
    files: Mapping[str, str]
    context: Mapping[str, Any]
    globals: frozenset[str]

    @property
    def arena_bytes(self) -> int:
        """Bytes that the caller gives: the plan's, and what kernels read behind them."""
        return library_arena_bytes(self.plan)


def library_arena_bytes(plan: Plan) -> int:
    """The arena of a plan in a library, a multiple of its alignment."""
    return round_up(plan.arena_bytes + _READ_BEHIND_BYTES, ARENA_ALIGNMENT)


def portable_plan(graph: Graph, board: Board) -> Plan:
    """The plan for a core of which nothing is known: CMSIS-NN's C and our portable kernels."""
    anywhere = replace(board, features=frozenset())
    return make_plan(graph, anywhere, kernel_set="cmsis-nn")


def make_variant(name: str, plan: Plan, board: Board, what: str) -> Variant:
    """The sources of a plan as a library has them; `what` describes the form in a comment.

    Raises UnsupportedLayer for a layer without a fixed-point form.
    """
    header = f"{name}.h"
    context = {**context_of(plan, board), "library": True, "header": header}
    instances = {i.name: i for layer in context["layers"] for i in layer.instances}
    files = {
        header: template("library/variant.h").render(context, what=what, guard=f"{name.upper()}_H"),
        f"{name}.c": template("model.c").render(context),
        f"{name}_weights.c": template("weights.c").render(context),
        **{
            instance_file(i): with_assembly(instance_source(i))
            for _, i in sorted(instances.items())
        },
        **custom_sources(plan),
    }
    constants = {constant.name for constant in context["constants"]}
    names = frozenset({"network_run", "network_reset", *constants, *instances})
    return Variant(name, plan, files, context, names | set(context["custom_functions"]))


def lacking_macros(board: Board | None) -> frozenset[str]:
    """Macros of CMSIS-NN that a form does not define: that for a board's core, or the portable."""
    features = frozenset() if board is None else board.features
    known = {"mve": "ARM_MATH_MVEI", "dsp": "ARM_MATH_DSP"}
    return frozenset(macro for feature, macro in known.items() if feature not in features)


def core_condition(board: Board) -> str:
    """The C condition under which a compiler makes code for the kind of core of `board`."""
    if "mve" in board.features:
        return "defined(__ARM_FEATURE_MVE)"
    if "dsp" in board.features:
        return "defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)"
    thumb = 1 if board.core.startswith("cortex-m0") else 2
    only = f"defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == {thumb}"
    return only if thumb == 1 else f"{only} && !defined(__ARM_FEATURE_DSP)"


def core_macro(board: Board) -> str:
    """The macro by which assembly knows the core, as in `hil.codegen.build`."""
    return board.core.upper().replace("-", "_").replace("+", "PLUS")
