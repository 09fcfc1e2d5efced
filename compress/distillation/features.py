"""Inner values of a student and its teacher, compared: hints and attention maps.

Values are read off torch.fx's interpreter, so that it makes no difference whether a network runs
in float or under fake quantization. They are compared where convolutions of the same name end.
"""

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from compress.errors import Infeasible
from compress.frontend.capture import trace_module
from compress.genome import Features
from compress.training.train import Forward

MAX_POINTS = 3


class FeatureExtractor:
    """Runs a network as `forward` does, and keeps its inner values until the next batch.

    `forward` is the module itself or an interpreter of it (`FakeQuantized`). `points` are the
    nodes where its convolutions end, by the convolutions' names, in the order of execution.
    """

    def __init__(
        self, module: nn.Module, forward: Forward, input_shape: tuple[int, int, int]
    ) -> None:
        self._interpreter: fx.Interpreter
        self._forward: Forward
        if isinstance(forward, fx.Interpreter):
            self._interpreter = self._forward = forward
        else:
            self._interpreter = fx.Interpreter(trace_module(module, input_shape))
            self._forward = self._interpreter.run
        self._interpreter.garbage_collect_values = False
        self.points = _points(self._interpreter)

    def __call__(self, x: Tensor) -> Tensor:
        return self._forward(x)

    def value(self, point: fx.Node) -> Tensor:
        """The value (N, C, H, W) that the last batch had at `point`."""
        value: Tensor = self._interpreter.env[point]
        return value


class FeatureDistance:
    """The distance between a student's inner values and a teacher's.

    "hints" (FitNets, arXiv:1412.6550): the student's values go through a 1x1 convolution to the
    teacher's number of channels, and the distance is the mean squared error. These regressors
    (`parameters`) train along. "attention" (arXiv:1612.03928): `attention_distance`. The distance
    is the mean over up to three points (`matched_points`); where maps differ in size, the larger one is
    averaged down. No gradient reaches the teacher.

    Raises Infeasible where the two have no convolution in common.
    """

    def __init__(
        self, features: Features, student: FeatureExtractor, teacher: FeatureExtractor
    ) -> None:
        self.features, self.student, self.teacher = features, student, teacher
        self.pairs = matched_points(student.points, teacher.points)
        self.regressors = [
            nn.Conv2d(_channels(ours), _channels(theirs), 1)
            for ours, theirs in self.pairs
            if features == "hints"
        ]

    @property
    def parameters(self) -> tuple[nn.Parameter, ...]:
        return tuple(p for regressor in self.regressors for p in regressor.parameters())

    def distance(self, x: Tensor) -> Tensor:
        """Scalar, for the batch x (N, C, H, W), which the student must have answered last."""
        with torch.no_grad():
            self.teacher(x)
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


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of attention maps, mean over the batch; values (N, any C, H, W).

    A map is the sum over channels of squared values, as a vector of length 1: Q of
    arXiv:1612.03928, equation 2, with the distance squared, as the paper's own code has it.
    """
    ours, theirs = (
        functional.normalize(value.pow(2).sum(1).flatten(1)) for value in (student, teacher)
    )
    return (ours - theirs).pow(2).sum(1).mean()


def matched_points(
    student: dict[str, fx.Node], teacher: dict[str, fx.Node]
) -> list[tuple[fx.Node, fx.Node]]:
    """The points of (student, teacher) to compare: at most three, evenly spaced, the last too.

    They match by name; what the student has made of a teacher's layer "conv" ("conv.depthwise",
    "conv.pointwise") ends where the last of it does.
    """
    pairs = []
    for name, theirs in teacher.items():
        ours = [node for made, node in student.items() if f"{made}.".startswith(f"{name}.")]
        if ours:
            pairs.append((ours[-1], theirs))
    if not pairs:
        raise Infeasible(
            f"no inner values to compare: the teacher has {', '.join(teacher) or 'no convolution'},"
            f" the student {', '.join(student) or 'none'}"
        )
    count = min(len(pairs), MAX_POINTS)
    return [pairs[(i + 1) * len(pairs) // count - 1] for i in range(count)]


def _points(interpreter: fx.Interpreter) -> dict[str, fx.Node]:
    """Where each convolution ends: after what only changes its values, such as an activation."""
    ends: dict[fx.Node, str] = {}
    for node in interpreter.graph.nodes:
        if _is_convolution(interpreter, node):
            end = node
            while (after := _only_reader(end)) is not None and _keeps_shape(end, after):
                if _is_convolution(interpreter, after):
                    break
                end = after
            ends.setdefault(end, str(node.target))  # an addition ends two of them: once
    return {name: end for end, name in ends.items()}


def _is_convolution(interpreter: fx.Interpreter, node: fx.Node) -> bool:
    if node.op != "call_module":
        return False
    return isinstance(interpreter.submodules[str(node.target)], nn.Conv2d)


def _only_reader(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _keeps_shape(node: fx.Node, after: fx.Node) -> bool:
    if after.op == "output":
        return False
    shapes = [tuple(n.meta["tensor_meta"].shape) for n in (node, after)]
    return shapes[0] == shapes[1]


def _channels(point: fx.Node) -> int:
    return int(point.meta["tensor_meta"].shape[1])


def _same_size(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    height, width = map(min, zip(student.shape[2:], teacher.shape[2:], strict=True))
    if student.shape[2:] == teacher.shape[2:]:
        return student, teacher
    return (
        functional.adaptive_avg_pool2d(student, (height, width)),
        functional.adaptive_avg_pool2d(teacher, (height, width)),
    )
