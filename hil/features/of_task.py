"""The front end of a task's network, in integers."""

from __future__ import annotations

from compress.features.integer import IntegerFrontEnd, integers_of
from compress.projects.find import TaskRef, find_task
from compress.types import Graph


def front_end_of(ref: TaskRef | None, graph: Graph) -> IntegerFrontEnd | None:
    """What is computed of a signal before it is the input of `graph`, a network of the task.

    None if the task is not known, declares no front end, or the network has several inputs. Takes
    as long as the task's data take to load. Raises UserError if they are not there.
    """
    if ref is None or len(graph.inputs) != 1:
        return None
    declared = find_task(ref).front_end
    return None if declared is None else integers_of(declared(), graph.input_tensor)
