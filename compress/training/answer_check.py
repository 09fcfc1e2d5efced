"""Checks of what a task's network answers: its outputs, their shapes, and that it can train."""

from __future__ import annotations

from typing import Any

import torch

from compress.errors import UserError
from compress.inputs import shape_words, wrong_parameters
from compress.task_types.registry import rules_of
from compress.task_types.rules import Rules
from compress.tracing.answers import joined, names_of_answer, parts_of_answer
from compress.tracing.batches import made_batch, parameters_of
from compress.tracing.normalize import copied, normalized
from compress.types import Task

_SAMPLES = 2
# What to do about several outputs where a task has one.
_ONE = (
    "name the type of each (docs/own-network.md, Several outputs), or return the one that the task "
    "judges, or those of one type as one tensor, torch.cat((a, b), 1)"
)


def check_outputs(task: Task) -> None:
    """Check the `outputs` of a task. Raises UserError for what no network can have."""
    where, names = f"task {task.name}: outputs", [output.name for output in task.outputs]
    if not names:
        return
    if len(names) < 2 or len(set(names)) < len(names):
        raise UserError(f"{where} {', '.join(names)}: must be two or more, of different names")
    if task.classes:
        raise UserError(f"{where}: classes are those of each output, leave those of the task empty")
    for output in task.outputs:
        if not output.name.isidentifier():
            raise UserError(f"{where}: name {output.name!r}: must be of letters, digits and _")
        if output.type == "autoencoder":
            raise UserError(
                f"{where}: {output.name} is an autoencoder, which must be the only output: it is "
                "judged by normal and anomalous samples; a regression can learn numbers of x"
            )
        if not output.weight > 0:
            raise UserError(f"{where}: {output.name} has the weight {output.weight}: must be > 0")
        if output.type == "segmentation" and len(output.shape) < 2:
            raise UserError(
                f"{where}: {output.name} is a segmentation: give its shape, (classes, height, "
                "width)"
            )


def check_answer(task: Task) -> None:
    """Check the shape of the answer to two samples, and that the network can be trained.

    Raises UserError, or UnsupportedLayer for a layer without an integer form.
    """
    module = task.net().eval()
    wrong = wrong_parameters(parameters_of(module), task.input_shape)
    if wrong:
        raise UserError(f"task {task.name}: its network's {wrong}")
    try:
        with torch.no_grad():
            answer = module(*made_batch(torch.zeros, _SAMPLES, task.input_shape))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"task {task.name}: its network cannot take two samples of its input_shape, "
            f"{shape_words(task.input_shape)}: {said}"
        ) from error
    wrong = _wrong_outputs(rules_of(task), answer)
    if wrong:
        raise UserError(f"task {task.name}: its network answers {wrong}")
    try:
        joined(
            module.train()(*made_batch(torch.randn, _SAMPLES, task.input_shape))
        ).sum().backward()
        copied(normalized(module))
    except (RuntimeError, ValueError, TypeError) as error:
        said = str(error).partition("\n")[0]
        raise UserError(
            f"task {task.name}: its network cannot be trained on batches of samples or copied "
            f"afterwards: {said}"
        ) from error


def _wrong_outputs(rules: Rules, answer: Any) -> str:
    """What is wrong with the outputs for two samples; '' if nothing is."""
    parts, names = parts_of_answer(answer), rules.output_names
    if not names and isinstance(answer, tuple | list | dict):
        return f"with {len(parts)} outputs in a {type(answer).__name__}: {_ONE}"
    if len(parts) != max(1, len(names)):
        return f"with {len(parts)} outputs, the task has {len(names)}: {', '.join(names)}"
    own = names_of_answer(answer)
    if own and own != names:
        return (
            f"with outputs {', '.join(own)}, those of the task are {', '.join(names)}: they must "
            "have these names, in its order"
        )
    for name, part, shape in zip(names or ("",), parts, rules.output_shapes, strict=True):
        found, wanted = tuple(getattr(part, "shape", ())), (_SAMPLES, *shape)
        if len(found) != len(wanted) or any(
            size not in (None, there) for size, there in zip(wanted, found, strict=True)
        ):
            of = f" as output {name}" if name else ""
            return (
                f"two samples with {found or type(part)}{of}, must be {wanted}: "
                f"{rules.output_words}"
            )
    return ""
