"""The smallest image that a search can find for a task."""

from __future__ import annotations

import numpy as np

from compress.errors import OverBudget
from compress.genome import Quantize
from compress.inputs import samples_of_parts, shapes_of
from compress.pruning.blocks import block_names, drop_blocks
from compress.pruning.prune import prune
from compress.quantization.lower import lower
from compress.scratch import scratch_folder
from compress.tflite.exporter import export_tflite
from compress.tracing.normalize import normalized
from compress.types import Graph, Task
from hil.board import without_limits
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.types import Board, Image, Memory


def smallest_image(task: Task, board: Board, ram_bytes: int) -> Image:
    """The image of the smallest candidate of a task, a lower bound for flash and RAM.

    All removable blocks are dropped and every layer is pruned as far as possible. The network is
    untrained and calibrated on noise, since sizes do not depend on the values. Where it needs more
    than `ram_bytes` of RAM, its plan is that of least RAM. Raises OverBudget if even this image
    does not link, UnsupportedLayer if the network cannot be lowered or written as .tflite.
    """
    module, shape = normalized(task.net()), task.input_shape
    module = drop_blocks(module, shape, block_names(module, shape))
    narrow = prune(module, shape, (1e-9,), "l2", "uniform")
    rng = np.random.default_rng(0)
    noise = [rng.normal(size=(8, *one)).astype(np.float32) for one in shapes_of(shape)]
    graph = lower(narrow, Quantize(), samples_of_parts(shape, noise), task.name)
    export_tflite(graph)  # raises for what no candidate could be stored as
    try:
        image = _image(graph, board, "flash")
    except OverBudget:
        return _image(graph, board, "ram")
    return image if image.ram.total <= ram_bytes else _image(graph, board, "ram")


def _image(graph: Graph, board: Board, saves: Memory) -> Image:
    with scratch_folder() as temporary:
        program = render(make_plan(graph, board, saves), board)
        return build(program, without_limits(board), temporary)
