"""Distillation: losses compared with their formulas, and training that changes only the student."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.distillation.distill import Distillation, TeacherModel, distillation_loss
from compress.distillation.features import FeatureExtractor, attention_distance, matched_points
from compress.distillation.student import student
from compress.errors import Infeasible
from compress.genome import Distill, Features, Quantize
from compress.quantization.fake_quantize import FakeQuantized
from compress.task_types.registry import rules_of
from compress.tasks import digits, kws
from compress.training.train import Forward, Schedule, fit, predict
from compress.types import Split

SHAPE = (1, 8, 8)
RNG = np.random.default_rng(0)
CLASSES = rules_of(digits.TASK)


@pytest.fixture(scope="module")
def split() -> Split:
    return digits.load().train


@pytest.fixture(scope="module")
def trained(split: Split) -> nn.Module:
    torch.manual_seed(0)
    module = digits.net()
    fit(module, split, Schedule(digits.TASK.recipe, 2, 0))
    return module


def _lesson(
    stage: Distill, teachers: list[TeacherModel], split: Split, quantized: bool = False
) -> tuple[nn.Module, Distillation]:
    torch.manual_seed(1)
    made = student(teachers[0].module, SHAPE, stage)
    return made, Distillation(
        stage, teachers, made, _forward(made, split, quantized), SHAPE, split, CLASSES
    )


def _forward(module: nn.Module, split: Split, quantized: bool) -> Forward:
    return FakeQuantized(module, Quantize(), split.x[:64]) if quantized else module


def _teach(made: nn.Module, lesson: Distillation, split: Split) -> None:
    schedule = Schedule(digits.TASK.fine_tune, 1, 5)
    fit(made, split, schedule, lesson.loss, lesson.forward, extra=lesson.parameters)


def _state(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("teachers", [1, 2])
def test_distillation_loss_is_the_published_formula(teachers: int) -> None:
    """Compares with the formula of Hinton et al. 2015 in NumPy float64."""
    answers, mine = RNG.normal(size=(teachers, 6, 4)), RNG.normal(size=(3, 4))
    labels, chosen = np.array([1, 0, 3]), np.array([5, 0, 2])
    temperature, weight = 4.0, 0.7

    def softened(z: np.ndarray, t: float) -> np.ndarray:
        e = np.exp(z / t)
        return e / e.sum(1, keepdims=True)

    p = sum(softened(z[chosen], temperature) for z in answers) / teachers
    q = softened(mine, temperature)
    divergence = np.mean(np.sum(p * np.log(p / q), axis=1))
    entropy = -np.mean(np.log(softened(mine, 1.0)[np.arange(3), labels]))
    wanted = 0.3 * entropy + 0.7 * 16 * divergence
    loss = distillation_loss(CLASSES, torch.tensor(answers), temperature, weight)
    got = loss(torch.tensor(mine), torch.tensor(labels), torch.tensor(chosen))
    assert float(got) == pytest.approx(wanted)


def test_a_stage_with_two_teachers_has_the_loss_of_their_mean(split: Split) -> None:
    torch.manual_seed(3)
    first, second = digits.net().eval(), digits.net().eval()
    few = Split(split.x[:20], split.y[:20])
    stage = Distill("both", temperature=2.0, weight=1.0)
    teachers = [TeacherModel(first, first), TeacherModel(second, second)]
    lesson = Distillation(stage, teachers, first, first, SHAPE, few, CLASSES)
    x = torch.from_numpy(few.x)
    softened = [torch.softmax(net(x).detach().double() / 2, 1).numpy() for net in (first, second)]
    p, q = (softened[0] + softened[1]) / 2, softened[0]
    got = lesson.loss(lesson.forward(x), torch.from_numpy(few.y), torch.arange(20))
    assert got.item() == pytest.approx(4 * np.mean(np.sum(p * np.log(p / q), 1)), rel=1e-4)


def test_known_logits_are_not_computed_again(trained: nn.Module, split: Split) -> None:
    def refuse(x: Tensor) -> Tensor:
        raise AssertionError("the teacher was run")

    logits = predict(trained, split.x)
    Distillation(
        Distill(), [TeacherModel(trained, refuse, logits)], trained, trained, SHAPE, split, CLASSES
    )
    scratch = Distill(weight=0.0)
    lesson = Distillation(
        scratch, [TeacherModel(trained, refuse)], trained, trained, SHAPE, split, CLASSES
    )
    labels = torch.from_numpy(split.y[:9])
    got = lesson.loss(logits[:9], labels, torch.arange(9))
    assert torch.equal(got, functional.cross_entropy(logits[:9], labels))


def test_attention_distance_is_the_published_formula() -> None:
    """Compares with the formula of Zagoruyko and Komodakis 2017 in NumPy float64.

    The numbers of channels differ, and scaling one network's values changes nothing.
    """
    ours, theirs = RNG.normal(size=(3, 2, 4, 5)), RNG.normal(size=(3, 7, 4, 5))
    wanted = 0.0
    for a, b in zip(ours, theirs, strict=True):
        p, q = ((value**2).sum(0).ravel() for value in (a, b))
        wanted += np.sum((p / np.sqrt(np.sum(p**2)) - q / np.sqrt(np.sum(q**2))) ** 2) / 3
    assert float(attention_distance(torch.tensor(ours), torch.tensor(theirs))) == pytest.approx(
        wanted
    )
    scaled = attention_distance(torch.tensor(3 * ours), torch.tensor(theirs))
    assert float(scaled) == pytest.approx(wanted)


class Pair(nn.Module):
    """Network of two 1x1 convolutions with a given number of channels; the second has stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, channels, 1, bias=False)
        self.second = nn.Conv2d(channels, channels, 1, stride=2, bias=False)
        self.out = nn.Linear(channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        return self.out(torch.relu(self.second(x)).mean((2, 3)))


def test_hint_distance_is_the_mean_squared_error_behind_the_regressor() -> None:
    torch.manual_seed(0)
    teacher, pupil = Pair(3).eval(), Pair(2).eval()
    few = Split(RNG.normal(size=(5, 1, 4, 6)).astype(np.float32), np.zeros(5, np.int64))
    stage = Distill(weight=0.0, features="hints", feature_weight=2.5)
    lesson = Distillation(
        stage, [TeacherModel(teacher, teacher)], pupil, pupil, (1, 4, 6), few, CLASSES
    )
    assert [tuple(p.shape) for p in lesson.parameters] == [(3, 2, 1, 1), (3,)] * 2
    x, y = torch.from_numpy(few.x), torch.from_numpy(few.y)
    logits = lesson.forward(x)

    def maps(module: Pair) -> list[np.ndarray]:
        first, second = (
            m.weight.detach().numpy()[..., 0, 0] for m in (module.first, module.second)
        )
        a = np.maximum(np.einsum("oc,nchw->nohw", first, few.x), 0)
        return [a, np.maximum(np.einsum("oc,nchw->nohw", second, a[:, :, ::2, ::2]), 0)]

    weights = [p.detach().numpy() for p in lesson.parameters]
    errors = []
    for i, (ours, theirs) in enumerate(zip(maps(pupil), maps(teacher), strict=True)):
        mixing, bias = weights[2 * i][..., 0, 0], weights[2 * i + 1]
        hint = np.einsum("oc,nchw->nohw", mixing, ours) + bias[:, None, None]
        errors.append(np.mean((hint - theirs) ** 2))
    wanted = functional.cross_entropy(logits, y).item() + 2.5 * np.mean(errors)
    assert lesson.loss(logits, y, torch.arange(5)).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("features", ["hints", "attention"])
@pytest.mark.parametrize("quantized", [False, True])
def test_gradients_reach_the_student_and_never_the_teacher(
    features: Features, quantized: bool, trained: nn.Module, split: Split
) -> None:
    stage = Distill(weight=0.0, features=features, width=0.5)
    teacher = TeacherModel(trained, _forward(trained, split, quantized))
    made, lesson = _lesson(stage, [teacher], split, quantized)
    for parameter in trained.parameters():
        parameter.grad = None
    x = torch.from_numpy(split.x[:16])
    lesson.forward(x)
    lesson.distance(x).backward()
    gradients = [made.get_submodule(f"{name}.conv").weight.grad for name in ("conv1", "conv3")]
    assert all(g is not None and g.abs().sum() > 0 for g in gradients)
    assert all(p.grad is not None for p in lesson.parameters)
    assert bool(lesson.parameters) == (features == "hints")
    assert all(p.grad is None for p in trained.parameters())


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("features", ["none", "hints", "attention"])
def test_training_leaves_the_teachers_alone(
    features: Features, quantized: bool, trained: nn.Module, split: Split
) -> None:
    """Checks weights and batch-norm statistics, in float and under fake quantization."""
    few = Split(split.x[:128], split.y[:128])
    second = copy.deepcopy(trained)
    teachers = [
        TeacherModel(trained, trained),
        TeacherModel(second, _forward(second, few, quantized)),
    ]
    made, lesson = _lesson(Distill("both", features=features), teachers, few, quantized)
    before, start = [_state(t.module) for t in teachers], _state(made)
    _teach(made, lesson, few)
    assert all(_same(_state(t.module), old) for t, old in zip(teachers, before, strict=True))
    assert not _same(_state(made), start)
    assert not any(layer.training for t in teachers for layer in t.module.modules())


@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize("features", ["hints", "attention"])
@pytest.mark.parametrize("genes", [Distill(width=0.5), Distill(separable=True, fresh=True)])
def test_an_epoch_brings_the_features_nearer(
    features: Features, quantized: bool, genes: Distill, trained: nn.Module, split: Split
) -> None:
    stage = replace(genes, features=features, weight=0.5, feature_weight=3.0)
    made, lesson = _lesson(stage, [TeacherModel(trained, trained)], split, quantized)
    x = torch.from_numpy(split.x[:256])

    def distance() -> float:
        with torch.no_grad():
            lesson.forward(x)
            return float(lesson.distance(x))

    before = distance()
    _teach(made, lesson, split)
    assert distance() < 0.95 * before


def test_an_epoch_brings_the_answers_nearer(trained: nn.Module, split: Split) -> None:
    made, lesson = _lesson(Distill(width=0.5, weight=0.9), [TeacherModel(trained, trained)], split)
    wanted = torch.softmax(predict(trained, split.x) / 4, 1)

    def distance() -> float:
        mine = torch.log_softmax(predict(made, split.x) / 4, 1)
        return float(functional.kl_div(mine, wanted, reduction="batchmean"))

    before = distance()
    _teach(made, lesson, split)
    assert distance() < 0.5 * before


def test_equal_lessons_teach_the_same(trained: nn.Module, split: Split) -> None:
    few = Split(split.x[:200], split.y[:200])
    stage = Distill(features="hints", width=0.5, fresh=True)
    states = []
    for _ in range(2):
        made, lesson = _lesson(stage, [TeacherModel(trained, trained)], few)
        _teach(made, lesson, few)
        states.append(_state(made))
    assert _same(*states)


def _points(module: nn.Module, shape: tuple[int, int, int]) -> FeatureExtractor:
    return FeatureExtractor(module, module, shape)


def test_values_are_those_after_the_activation(trained: nn.Module, split: Split) -> None:
    watched, x = _points(trained, SHAPE), torch.from_numpy(split.x[:7])
    assert list(watched.points) == ["conv1.conv", "conv2.conv", "conv3.conv"]
    assert torch.equal(watched(x), trained(x))
    for length, point in zip((1, 2, 4), watched.points.values(), strict=True):
        assert torch.equal(watched.value(point), trained[:length](x))


def test_values_under_quantization_are_the_rounded_ones(trained: nn.Module, split: Split) -> None:
    faked = FakeQuantized(trained, Quantize(), split.x[:64])
    watched, x = FeatureExtractor(trained, faked, SHAPE), torch.from_numpy(split.x[:64])
    watched(x)
    values = [watched.value(point) for point in watched.points.values()]
    assert all(2 < len(value.unique()) <= 256 for value in values)


class Skip(nn.Module):
    """Network whose addition joins two branches, with an activation behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.branch = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.side = nn.Conv2d(4, 4, 1)
        self.out = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(self.branch(x) + self.side(x))
        return self.out(x.mean((2, 3)))


def test_branches_joined_by_an_addition_share_one_point() -> None:
    points = _points(Skip(), SHAPE).points
    assert list(points) == ["stem", "branch.0", "branch.2"]
    assert points["branch.2"].name == "relu_1"


@pytest.mark.parametrize(
    ("stage", "names"),
    [
        (Distill(width=0.5), ["block1.pointwise", "block3.depthwise", "block4.pointwise"]),
        (Distill(depth=0.5), ["conv", "block1.pointwise", "block4.pointwise"]),
    ],
)
def test_points_are_evenly_spaced_among_those_in_common(stage: Distill, names: list[str]) -> None:
    module, shape = kws.net(), (1, 49, 10)
    teacher, pupil = (_points(m, shape).points for m in (module, student(module, shape, stage)))
    called = [{node: name for name, node in points.items()} for points in (pupil, teacher)]
    found = [
        (called[0][ours], called[1][theirs]) for ours, theirs in matched_points(pupil, teacher)
    ]
    assert found == [(name, name) for name in names]


def test_a_separable_student_is_compared_where_its_second_half_ends(trained: nn.Module) -> None:
    made = student(trained, SHAPE, Distill(separable=True))
    found = matched_points(_points(made, SHAPE).points, _points(trained, SHAPE).points)
    assert [ours.target for ours, _ in found] == ["conv1.relu", "conv2.relu", "conv3.relu"]


def test_networks_without_a_convolution_in_common_are_refused(trained: nn.Module) -> None:
    other = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    teachers = [TeacherModel(trained, trained)]
    empty = Split(np.zeros((2, *SHAPE), np.float32), np.zeros(2, np.int64))
    with pytest.raises(Infeasible, match=r"teacher has conv1\.conv, .*, the student none"):
        Distillation(Distill(features="hints"), teachers, other, other, SHAPE, empty, CLASSES)
