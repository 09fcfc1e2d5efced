"""Rendering of a plan as C text: templates hold the C, `hil.kernels` computes the numbers.

The same plan and board give the same bytes: no date, no path, no host name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from compress.ops import Custom
from hil.codegen.layers import Layer, layer_of
from hil.codegen.row_tables import segment_code
from hil.codegen.states import state_constants, state_copies, states
from hil.files import data_folder
from hil.kernel_interface.call import Instance, c_type, safe
from hil.types import Board, Buffer, Plan, Program

TEMPLATES = data_folder("firmware") / "templates"


def render(plan: Plan, board: Board, *, profile: bool = False) -> Program:
    """Render model.c, model.h, weights.c and link.ld of `plan` for `board`.

    With `profile`, `model_run` reads the counter after every layer (see `hil.measure.profile`).
    `sha256` is taken over the files with model id 0; the id is its first 4 bytes. Raises
    UnsupportedLayer for a layer without a fixed-point form.
    """
    context = {**context_of(plan, board), "profile": profile}
    sources = {**custom_sources(plan), **_instance_sources(context["layers"])}
    digest = hashlib.sha256()
    for name, text in sorted({**_files(context, program_id=0), **sources}.items()):
        digest.update(f"{name}\0{text}\0".encode())
    program_id = int.from_bytes(digest.digest()[:4], "big")
    files = {**_files(context, program_id), **sources}
    return Program(files, digest.hexdigest(), program_id)


def custom_sources(plan: Plan) -> dict[str, str]:
    """The C sources of custom operators, each in a file that is named after its function."""
    return {
        f"custom_{op.definition.function}.c": op.definition.source
        for op in plan.graph.ops
        if isinstance(op, Custom)
    }


def _instance_sources(layers: Sequence[Layer]) -> dict[str, str]:
    """An assembly source for each instance of a tuned micro-kernel: its macros and its source."""
    instances = {i.name: i for layer in layers for i in layer.instances}
    return {
        instance_file(instance): instance_source(instance)
        for _, instance in sorted(instances.items())
    }


def instance_file(instance: Instance) -> str:
    """The name of the file in which a tuned micro-kernel is assembled."""
    return f"kernel_{instance.name}.S"


def instance_source(instance: Instance) -> str:
    """The text of that file: its macros and its source."""
    return template("instance.S").render(instance=instance)


def _files(context: Mapping[str, Any], program_id: int) -> dict[str, str]:
    return {
        name: template(name).render(context, program_id=program_id)
        for name in ("link.ld", "model.c", "model.h", "weights.c")
    }


def template(name: str) -> jinja2.Template:
    """The template of the generated file `name`."""
    return _environment().get_template(f"{name}.j2")


@cache
def _environment() -> jinja2.Environment:
    """One for the process: it keeps compiled templates, since compiling them takes a while."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def context_of(plan: Plan, board: Board) -> dict[str, Any]:
    """What the templates of a plan fill in; without `profile` and for the firmware, no library."""
    graph = plan.graph
    layers = [layer_of(plan, step) for step in plan.steps]
    shapes = {dims.name: dims for layer in layers for dims in layer.shapes}
    return {
        "name": safe(graph.name),
        "header": "model.h",
        "library": False,
        "profile": False,
        "board": board,
        "layers": layers,
        "segments": [segment_code(plan, segment, layers) for segment in plan.segments],
        "macs": sum(step.macs for step in plan.steps),
        "arena_bytes": plan.arena_bytes,
        "tensors_bytes": plan.tensors_bytes,
        "input_bytes": sum(tensor.size_bytes for tensor in graph.input_tensors),
        "output_bytes": sum(tensor.size_bytes for tensor in graph.output_tensors),
        "inputs": _edges(plan, graph.inputs),
        "outputs": _edges(plan, graph.outputs),
        "scores": graph.output_tensors[0].elements,
        "score_type": c_type(graph.output_tensors[0]),
        "states": states(plan),
        "custom_functions": sorted(
            {op.definition.function for op in graph.ops if isinstance(op, Custom)}
        ),
        "state_copies": state_copies(plan),
        "instances": sorted({i.name: i.type for layer in layers for i in layer.instances}.items()),
        "buffers": _buffers(plan),
        "shapes": [shapes[name] for name in sorted(shapes)],
        "some_without_scratch": any(layer.shapes and not layer.step.scratch for layer in layers),
        "constants": [
            # Layers may share one: it has the same name and values.
            *{c.name: c for layer in layers for c in layer.constants}.values(),
            *state_constants(graph),
        ],
    }


def _edges(plan: Plan, indices: tuple[int, ...]) -> list[dict[str, int]]:
    """Inputs or outputs: where each is in the arena and where it starts in the bytes of all."""
    edges, start = [], 0
    for index in indices:
        size_bytes = plan.graph.tensors[index].size_bytes
        edges.append(
            {"offset": plan.tensors[index].offset_bytes, "start": start, "bytes": size_bytes}
        )
        start += size_bytes
    return edges


def _buffers(plan: Plan) -> list[dict[str, Any]]:
    """The arena's buffers in order of lifetime, each once, even if several tensors share it."""
    shared: dict[int, Buffer] = {id(buffer): buffer for buffer in plan.tensors.values()}
    others = [buffer for step in plan.steps for buffer in (step.scratch, step.expanded) if buffer]
    return [
        {
            "place": f"{buffer.offset_bytes:7} {buffer.size_bytes:7}",
            "layers": f"{buffer.first_op}..{buffer.last_op}",
            "name": safe(buffer.name),
        }
        for buffer in sorted(
            [*shared.values(), *others], key=lambda b: (b.first_op, b.last_op, b.offset_bytes)
        )
    ]
