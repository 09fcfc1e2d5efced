"""Checks that a task's network can be trained on its batches, and that it has learned something."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

from compress.errors import UserError
from compress.inputs import names_of, parts_of
from compress.task_types.registry import rules_of
from compress.tracing.answers import joined
from compress.tracing.batches import made_batch
from compress.training.train import predict
from compress.types import Dataset, Task


def check_batches(task: Task, data: Dataset, module: nn.Module) -> None:
    """Check that the network can be trained on the smallest batch that training will use.

    Batch normalization over a single value fails. The module is not changed. Raises UserError.
    """
    recipes = {"recipe": task.recipe, "fine_tune": task.fine_tune}
    for name, recipe in recipes.items():
        drawn = min(recipe.samples_per_epoch or len(data.train), len(data.train))
        batch = min(recipe.batch, drawn)
        # The module itself runs: torch cannot copy one whose weights are computed from others.
        state = copy.deepcopy(module.state_dict())
        try:
            with torch.no_grad():
                answer = joined(module.train()(*made_batch(torch.zeros, batch, task.input_shape)))
        except (ValueError, RuntimeError) as error:
            said = str(error).partition("\n")[0]
            raise UserError(
                f"task {task.name}: its network cannot be trained on batches of {batch} "
                f"(batch of {name}, or fewer samples): {said}; batch normalization needs 2 or more"
            ) from error
        module.load_state_dict(state)
        wrong = rules_of(task).wrong_positions(tuple(answer.shape[1:]), data.train)
        if wrong:
            raise UserError(f"task {task.name}: {wrong}")


def check_learned(task: Task, data: Dataset, module: nn.Module, path: Path | None = None) -> None:
    """Check that a trained network is finite and better than answering without looking.

    What that means is the rule of the task's type (`Rules.what_is_unlearned`). `path` is the file
    that the network was read from, None for one trained just now. Raises UserError.
    """
    new = "its network, trained anew," if task.pretrained is None else "its network, as given,"
    where = new if path is None else str(path)
    broken = [name for name, value in module.state_dict().items() if not value.isfinite().all()]
    val = data.val
    answers = predict(module.eval(), val.x)
    if broken or not answers.isfinite().all():
        what = f"its {broken[0]} has values that are" if broken else "its answers are"
        raise UserError(
            f"task {task.name}: {where} diverged: {what} not finite; {_advice(task, data, path)}"
        )
    rules = rules_of(task)
    unlearned = rules.what_is_unlearned(rules.in_numpy(answers.numpy()), val, data.train)
    if unlearned:
        raise UserError(
            f"task {task.name}: {where} has learned nothing: {unlearned}; "
            f"{_advice(task, data, path)}"
        )


def _advice(task: Task, data: Dataset, path: Path | None) -> str:
    if path is not None:
        return "choose another run folder, or put a trained network there"
    spread = _spread(task, data)
    if task.pretrained is not None:
        return (
            "its weights are those of a file: give the weights of a trained network, the classes "
            f"in its order, and the inputs scaled as it was trained (here {spread})"
        )
    return (
        f"it is not kept. Change recipe (learning rate {task.recipe.learning_rate:g}, "
        f"{task.recipe.epochs} epochs) or scale the inputs ({spread})"
    )


def _spread(task: Task, data: Dataset) -> str:
    """The mean and the standard deviation of each input in training, in words."""
    texts = [
        f"mean {x.mean(dtype=np.float64):.3g}, standard deviation {x.std(dtype=np.float64):.3g}"
        for x in parts_of(data.train.x)
    ]
    names = names_of(task.input_shape)
    named = (f"{name}: {text}" for name, text in zip(names, texts, strict=True)) if names else texts
    return "; ".join(named)
