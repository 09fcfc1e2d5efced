"""Distances between inner features of a student and its teacher: hints and attention maps.

Features are read from torch.fx's interpreter, which works for float and fake-quantized networks
alike. They are compared behind convolutions of the same name.
"""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from compress.errors import Infeasible
from compress.frontend.capture import trace_module
from compress.genome import Features
from compress.tracing.answers import Answer
from compress.tracing.trace import shape_of
from compress.training.train import Forward
from compress.types import InputShape

MAX_POINTS = 3


class FeatureExtractor:
    """Runs a network and keeps its inner values until the next batch.

    `forward` is the module itself or an interpreter of it (`FakeQuantized`). `points` are the
    nodes whose values are compared, by name of their convolution, in the order of execution.
    """

    def __init__(self, module: nn.Module, forward: Forward, input_shape: InputShape) -> None:
        self._interpreter: fx.Interpreter
        self._forward: Forward
        if isinstance(forward, fx.Interpreter):
            self._interpreter = self._forward = forward
        else:
            self._interpreter = fx.Interpreter(trace_module(module, input_shape))
            self._forward = self._interpreter.run
        self._interpreter.garbage_collect_values = False
        self.points = _points(self._interpreter)

    def __call__(self, *x: Tensor) -> Answer:
        return self._forward(*x)

    def value(self, point: fx.Node) -> Tensor:
        """The value (N, C, H, W) that the last batch had at `point`."""
        value: Tensor = self._interpreter.env[point]
        return value


class FeatureDistance:
    """The distance between the features of a student and a teacher.

    "hints" (FitNets, arXiv:1412.6550): mean squared error, after a 1x1 convolution from the
    student's to the teacher's number of channels. These regressors (`parameters`) are trained with
    the student. "attention" (arXiv:1612.03928): `attention_distance`.

    The distance is the mean over up to three points (`matched_points`). Where maps differ in size,
    the larger one is average-pooled to the smaller size. No gradient reaches the teacher.

    Raises Infeasible if the two networks have no convolution in common.
    """

    def __init__(
        self, features: Features, student: FeatureExtractor, teacher: FeatureExtractor
    ) -> None:
        self.features, self.student, self.teacher = features, student, teacher
        self.pairs = matched_points(student.points, teacher.points)
        self.regressors: list[nn.Module] = [
            _regressor(ours, theirs) for ours, theirs in self.pairs if features == "hints"
        ]

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        """The weights and biases of the regressors; none with "attention"."""
        return tuple(p for regressor in self.regressors for p in regressor.parameters())

    def distance(self, *x: Tensor) -> Tensor:
        """The scalar distance for the batch x, a tensor for each input, the student's last one.

        Runs the teacher on x; the student's values are those of its last call.
        """
        with torch.no_grad():
            self.teacher(*x)
        pairs = [
            _same_size(self.student.value(ours), self.teacher.value(theirs))
            for ours, theirs in self.pairs
        ]
        if self.features == "hints":
            found = [
                functional.mse_loss(regressor(ours), theirs)
                for regressor, (ours, theirs) in zip(self.regressors, pairs, strict=True)
            ]
        else:
            found = [attention_distance(ours, theirs) for ours, theirs in pairs]
        return torch.stack(found).mean()


def has_features(module: nn.Module, input_shape: InputShape) -> bool:
    """True if the network has a convolution, behind which features can be compared."""
    return bool(_points(fx.Interpreter(trace_module(module, input_shape))))


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The squared distance of attention maps, averaged over the batch: a scalar.

    Both values are (N, C, H, W) with C of their own. A map is the sum of squares over the channels,
    flattened and normalized to length 1: Q in equation 2 of arXiv:1612.03928. The distance is
    squared as in the authors' code, unlike in the equation.
    """
    ours, theirs = (
        functional.normalize(value.pow(2).sum(1).flatten(1)) for value in (student, teacher)
    )
    return (ours - theirs).pow(2).sum(1).mean()


def matched_points(
    student: dict[str, fx.Node], teacher: dict[str, fx.Node]
) -> list[tuple[fx.Node, fx.Node]]:
    """Pairs of (student, teacher) nodes to compare: at most three, evenly spaced, with the last.

    Nodes match by name. Where the student has split the teacher's layer "conv" ("conv.depthwise",
    "conv.pointwise"), the last of the new layers matches. Raises Infeasible without any match.
    """
    pairs = []
    for name, theirs in teacher.items():
        ours = [node for made, node in student.items() if f"{made}.".startswith(f"{name}.")]
        if ours:
            pairs.append((ours[-1], theirs))
    if not pairs:
        raise Infeasible(
            "no inner features to compare: "
            f"the teacher has {', '.join(teacher) or 'no convolution'}, "
            f"the student {', '.join(student) or 'none'}"
        )
    count = min(len(pairs), MAX_POINTS)
    return [pairs[(i + 1) * len(pairs) // count - 1] for i in range(count)]


def _points(interpreter: fx.Interpreter) -> dict[str, fx.Node]:
    """The node at the end of each convolution's block, by the convolution's name.

    The block extends over the nodes that follow (batch-norm, activation, addition), as long as each
    is the only reader of the one before, keeps its shape and is no convolution. Of two branches
    that one addition joins, the first gives the name.
    """
    ends: dict[fx.Node, str] = {}
    for node in interpreter.graph.nodes:
        if _is_convolution(interpreter, node):
            end = node
            while (after := _only_reader(end)) is not None and _keeps_shape(end, after):
                if _is_convolution(interpreter, after):
                    break
                end = after
            ends.setdefault(end, str(node.target))
    return {name: end for end, name in ends.items()}


def _is_convolution(interpreter: fx.Interpreter, node: fx.Node) -> bool:
    if node.op != "call_module":
        return False
    return isinstance(interpreter.submodules[str(node.target)], nn.Conv2d | nn.Conv1d)


def _only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _keeps_shape(node: fx.Node, after: fx.Node) -> bool:
    if after.op == "output":
        return False
    return shape_of(node) == shape_of(after)


def _channels(point: fx.Node) -> int:
    return shape_of(point)[1]


def _regressor(ours: fx.Node, theirs: fx.Node) -> nn.Module:
    """A convolution of 1x1 from our number of channels to theirs."""
    kind = nn.Conv2d if len(shape_of(ours)) == 4 else nn.Conv1d
    return kind(_channels(ours), _channels(theirs), 1)


def _same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    if student.shape[2:] == teacher.shape[2:]:
        return student, teacher
    size = [*map(min, zip(student.shape[2:], teacher.shape[2:], strict=True))]
    pool: Any = functional.adaptive_avg_pool2d if len(size) == 2 else functional.adaptive_avg_pool1d
    return pool(student, size), pool(teacher, size)
