"""The network of a project: made by a function, or read from the file of a float model."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import fx, nn

from compress.errors import HilError, UserError
from compress.inputs import shape_words, shapes_of, wrong_parameters
from compress.model_files.float_model import FloatModel, float_model_of
from compress.projects.code_files import call_project_function
from compress.projects.keys import CodeRef
from compress.projects.output_values import kind_words
from compress.projects.project import Project, path_of
from compress.projects.weights import load_weights
from compress.task_types.registry import RULES
from compress.tracing.batches import made_batch, parameters_of
from compress.types import Dataset, Split, Task


@dataclass(frozen=True, slots=True, eq=False)
class ProjectNetwork:
    """How a project's network is made, as `Task.net` and `Task.pretrained`, and what to tell of it.

    `file` is the model that was read from a file, None for the network of a function.
    """

    make: Callable[[], nn.Module]
    pretrained: Callable[[nn.Module], None] | None
    notes: tuple[str, ...] = ()
    file: FloatModel | None = None


def network_of(project: Project) -> ProjectNetwork:
    """The network that the key model names, with the weights that it has from the beginning.

    Raises UserError for a model file that cannot be read or has no form here, and for weights
    beside one: it has its own.
    """
    settings = project.settings
    if isinstance(settings.model, CodeRef):
        trained = None
        if settings.weights is not None:
            trained = functools.partial(load_weights, project.file("weights"))
        return ProjectNetwork(functools.partial(_called, project), trained)
    if not isinstance(settings.type, str):
        raise UserError(
            f"model: {settings.model} has one output, but type names those of several "
            f"({kind_words(settings.type)}): give the network as a function, or one type"
        )
    if settings.weights is not None:
        raise UserError(
            f"weights: {settings.model} brings weights of its own: leave weights out, or give the "
            "network as a function"
        )
    held = project.file("model")
    if held.content is None:
        raise TypeError(f"the project has no content of {held.path}")
    try:
        model = float_model_of(held.content, held.path)
    except HilError as error:
        raise UserError(f"model: {error}") from error
    last = _without_probabilities(model.module, RULES[settings.type].probabilities)
    return ProjectNetwork(
        functools.partial(copy.deepcopy, model.module),
        functools.partial(_load, model),
        (_source_note(model), *last),
        model,
    )


def in_layout(data: Dataset, network: ProjectNetwork) -> Dataset:
    """The data with samples in torch's layout; they may lie as the file of the network has them.

    Raises UserError for samples of another shape than the file's.
    """
    model = network.file
    if model is None:
        return data
    splits = []
    for name in ("train", "val", "test"):
        split = getattr(data, name)
        try:
            x = model.network_input(split.x)
        except UserError as error:
            raise UserError(f"data: {name}: {error}, as model {model.name} takes them") from error
        splits.append(Split(x, split.y))
    return Dataset(*splits)


def check_network(project: Project, task: Task) -> None:
    """Check that the network takes two samples, with advice on the order of axes.

    Raises UserError; `compress.pipeline.network.check_net` checks all else.
    """
    module = task.net().eval()
    path = path_of(project.settings.model)
    wrong = wrong_parameters(parameters_of(module), task.input_shape)
    if wrong:
        raise UserError(f"model: {path}: the network's {wrong}")
    try:
        with torch.no_grad():
            module(*made_batch(torch.zeros, 2, task.input_shape))
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, KeyError) as error:
        said = str(error).partition("\n")[0]
        last = any(len(one) == 3 and one[-1] in (1, 3) for one in shapes_of(task.input_shape))
        advice = "; the last axis looks like channels: torch has them first, (N, C, H, W)"
        raise UserError(
            f"model: the network of {path} cannot take samples of "
            f"{shape_words(task.input_shape)} as the data have: {type(error).__name__}: {said}"
            f"{advice if last else ''}"
        ) from error


def _called(project: Project) -> nn.Module:
    """A fresh network. Raises UserError if the function fails or answers something else."""
    found = call_project_function(project, "model")
    if isinstance(found, nn.Module):
        return found
    named = project.settings.model
    function = named.function if isinstance(named, CodeRef) else ""
    raise UserError(
        f"model: {function} of {path_of(named)} gives a {type(found).__name__}, must be a "
        f"torch.nn.Module{': call it, with ()' if isinstance(found, type) else ''}"
    )


def _load(model: FloatModel, module: nn.Module) -> None:
    """Give the network the weights of the file."""
    module.load_state_dict(model.module.state_dict())


def _without_probabilities(
    module: nn.Module, kinds: tuple[type[nn.Module], ...]
) -> tuple[str, ...]:
    """Take a last layer of these kinds out of the network; what to tell of it, if there is one.

    What is trained and judged are logits; the largest stays the largest.
    """
    if not isinstance(module, fx.GraphModule):
        return ()
    (end,) = (node for node in module.graph.nodes if node.op == "output")
    last = end.args[0]
    if not isinstance(last, fx.Node) or last.op != "call_module":
        return ()
    layer = module.get_submodule(str(last.target))
    before = last.args[0]
    if not isinstance(layer, kinds) or not isinstance(before, fx.Node):
        return ()
    last.replace_all_uses_with(before)
    module.graph.erase_node(last)
    module.delete_submodule(str(last.target))
    module.recompile()
    return (
        f"model: its last {type(layer).__name__} is left out, here and on the device: the outputs "
        "are logits, whose order is the same",
    )


def _source_note(model: FloatModel) -> str:
    shape = "x".join(map(str, model.input_shape))
    made = f", made by {model.producer}" if model.producer else ""
    turned = ""
    if model.file_shape != model.input_shape:
        turned = f" (in the file {'x'.join(map(str, model.file_shape))}: the data may lie so, too)"
    return f"model: {model.name}{made}: input {shape}{turned}; its weights are the original's"
