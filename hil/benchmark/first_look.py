"""A first look at a task on a board before minutes of training: its data, sizes and cycles."""

from __future__ import annotations

from dataclasses import dataclass

from compress.metrics.registry import metric_of
from compress.metrics.scale import ACCURACY
from compress.pipeline.data_facts import data_facts, data_line, data_remarks, precision_line
from compress.pipeline.network import untrained_graph
from compress.scratch import scratch_folder
from compress.training.data_check import check_data
from compress.types import Dataset, Task
from hil import formatting
from hil.benchmark.samples import random_samples
from hil.board import without_limits, without_waits
from hil.codegen.build import build
from hil.codegen.plan import make_plan
from hil.codegen.render import render
from hil.measure.measure import BoardRunner
from hil.objective.costs import cycles_of, latency_ms
from hil.target.open import open_target
from hil.terminal import note, warn
from hil.types import Board, Image, Measurement


@dataclass(frozen=True, slots=True)
class FirstLook:
    """The int8 network of a task with untrained weights on a board.

    `measurement` is of one inference, with memory that never waits; None where no emulated board
    is at hand. Sizes and counts hardly depend on the weights.
    """

    image: Image
    measurement: Measurement | None


def look(task: Task, board: Board) -> FirstLook:
    """Build the untrained network for the board, and run it if the board is emulated.

    Raises UserError for a network that has no integer form.
    """
    graph = untrained_graph(task)
    roomy = without_waits(without_limits(board))
    plan = make_plan(graph, roomy)
    with scratch_folder() as temporary:
        image = build(render(plan, roomy), roomy, temporary)
        if board.backend != "qemu":
            return FirstLook(image, None)
        with BoardRunner(roomy, open_target) as runner:
            return FirstLook(image, runner.measure(image, plan, random_samples(graph, 1)))


def look_line(found: FirstLook, board: Board) -> str:
    """The sizes beside the board's limits, and the time of one inference, in one line."""
    measured = found.measurement
    ram = found.image.ram if measured is None else measured.ram
    line = (
        f"int8 on {board.name}, before training: "
        f"{formatting.kib(found.image.flash.total)} of {formatting.kib(board.flash_limit_bytes)} "
        f"KiB flash, {formatting.kib(ram.total)} of {formatting.kib(board.ram_limit_bytes)} KiB RAM"
    )
    if measured is None:
        return line
    count = f"{formatting.short_count(measured.count)} {formatting.COUNT_NOUNS[measured.counter]}"
    swift = without_waits(board)
    time_ms = latency_ms(cycles_of(measured, swift), swift)
    if time_ms is None:
        return f"{line}, {count}"
    waits = " without its memory's wait states" if board.memory.waits else ""
    clock = formatting.time_clock(board)
    return f"{line}, {count}, {time_ms:.3g} ms (modelled) at {clock}{waits}"


def show_first_look(
    task: Task, data: Dataset, board: Board | None, accuracy: float | None = None
) -> None:
    """Check the data, and print on stderr what is known before training, with warnings.

    `accuracy` is the floor of the search, if there is one. Raises UserError as `check_data` and
    `look`.
    """
    check_data(task, data)
    facts = data_facts(task, data)
    note(data_line(facts))
    judged = metric_of(task).name == ACCURACY.name
    if judged:
        note(precision_line(facts, accuracy))
    for remark in data_remarks(facts, accuracy if judged else None):
        warn(remark)
    if board is not None:
        note(look_line(look(task, board), board))
