"""Each type of task learns, is compressed in some order, and computes on integers near float."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from compress.errors import UserError
from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from compress.metrics.registry import metric_named
from compress.pipeline.diagnose import diagnose
from compress.pipeline.diagnosis import Diagnosis, baseline_remarks, goal_remarks
from compress.pipeline.judge import judge_of
from compress.pipeline.network import check_net, train_original
from compress.pipeline.pipeline import compress, evaluate
from compress.pipeline.sensitivity import measure_sensitivity
from compress.quantization.lower import dequantize_output, lower, quantize_input
from compress.task_types.registry import RULES, rules_of
from compress.task_types.rules import Rules
from compress.training.data_check import check_data
from compress.types import Array, Dataset, Metric, Split
from helpers.typed_tasks import TASKS, TYPES, data_of, original_for

RNG = np.random.default_rng(0)
# Least accuracy (a share where more is better) of the float network, by type.
LEARNED = {"multi_label": 0.85, "regression": 0.6, "autoencoder": 0.85, "segmentation": 0.7}
ORDERS: dict[str, tuple[Stage, ...]] = {
    "prune, distill, quantize": (
        Prune((0.75,), scope="uniform", criterion="taylor", epochs=1),
        Distill(epochs=1),
        Quantize(epochs=1),
    ),
    "distill, quantize, sparsify": (
        Distill("both", width=0.75, epochs=2),
        Quantize(),
        Sparsify(0.3, epochs=1),
    ),
    "quantize, prune, distill": (
        Quantize(),
        Prune((0.8,), scope="global", criterion="sensitivity", epochs=1),
        Distill("compressed", temperature=2.0, weight=1.0, epochs=1),
    ),
}


def test_every_type_has_rules() -> None:
    assert set(RULES) == {*TYPES, "classification"}


@pytest.mark.parametrize("kind", TYPES)
def test_the_float_network_learns_and_is_better_than_any_constant(kind: str) -> None:
    original = original_for(kind)
    found = diagnose(original)
    assert found.accuracy > LEARNED[kind]
    assert (found.samples, found.right) == ((), ())
    assert found.constant is not None
    assert found.metric.share(found.constant) < found.accuracy
    assert found.error is not None
    assert 0 < found.error < 0.1 * (found.metric.reference or 1.0)
    assert Diagnosis.from_json(found.to_json()) == found


@pytest.mark.parametrize("kind", TYPES)
def test_integers_are_near_float(kind: str) -> None:
    original = original_for(kind)
    x = original.data.val.x
    graph = lower(original.lean, Quantize(), original.calibration, "typed")
    from compress.integer import reference

    outputs = reference.run(graph, quantize_input(graph, x))
    real = original.judge.rules.shaped(dequantize_output(graph, outputs))
    with torch.no_grad():
        wanted = original.module(torch.from_numpy(x)).numpy()
    assert real.shape == wanted.shape
    assert 10 * np.log10(np.var(wanted) / np.mean((real - wanted) ** 2)) > 25
    model = compress(Genome((Quantize(),)), original)
    assert model.accuracy == pytest.approx(original.share(original.data.val), abs=0.03)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", TYPES)
def test_a_compressed_network_keeps_most_of_the_metric(kind: str, order: str) -> None:
    original = original_for(kind)
    model = compress(Genome(ORDERS[order]), original)
    assert model.accuracy > 0.7 * LEARNED[kind]
    assert model.right == ()
    # The device's labels are the largest outputs, and its metric is that of its samples.
    assert np.array_equal(model.samples.labels, model.samples.outputs.argmax(1))
    again = evaluate(model.graph, original.data.val, original.judge, 24)
    assert (again.accuracy, again.device_value) == (model.accuracy, model.device_value)
    assert model.device_value is not None
    chosen = np.linspace(0, len(original.data.val) - 1, 24).round().astype(int)
    few = Split(original.data.val.x[chosen], original.data.val.y[chosen])
    real = original.judge.rules.shaped(dequantize_output(model.graph, model.samples.outputs))
    assert original.judge.value(real, few) == model.device_value


def test_screening_compares_with_the_same_reference() -> None:
    original = original_for("regression")
    screened = compress(Genome((Quantize(),)), original, fidelity=0.0)
    assert screened.accuracy > 0.5


def test_a_regression_reads_in_its_unit() -> None:
    original = original_for("regression")
    found, val = diagnose(original), original.data.val
    model = compress(Genome((Quantize(),)), original)
    mean, median = original.data.train.y.mean(0), np.median(original.data.train.y, 0)
    constants = [float(np.mean(np.abs(val.y - answer))) for answer in (mean, median)]
    assert found.metric.reference == pytest.approx(min(constants))
    value = found.metric.value(model.accuracy)
    assert model.accuracy == pytest.approx(1 - value / min(constants))
    (remark,) = goal_remarks(found, -0.1)
    assert "the goal MAE " in remark.text
    assert "is no better than " in remark.text
    assert goal_remarks(found, 0.1) == ()
    (gap,) = baseline_remarks(found, (), 0.1)
    assert gap.text.startswith(
        f"the int8 baseline has {found.metric.text(0.9 * min(constants))} MAE"
    )
    assert baseline_remarks(found, (), found.accuracy + 0.1) == ()


def test_a_metric_of_the_user_is_what_networks_are_judged_by() -> None:
    def largest_error(outputs: Array, y: Array, x: Array) -> float:
        return float(np.abs(outputs - y).max())

    metric = Metric("largest error", "lower", largest_error)
    original = replace(original_for("regression"), task=replace(TASKS["regression"], metric=metric))
    found = diagnose(original)
    assert (found.metric.name, found.metric.better) == ("largest error", "lower")
    model = compress(Genome((Quantize(),)), original)
    val = original.data.val
    assert found.metric.value(model.accuracy) == pytest.approx(
        judge_of(original.task, original.data).value(_real(model.graph, val.x), val)
    )


def _real(graph: object, x: Array) -> Array:
    from compress.integer import reference

    outputs = reference.run(graph, quantize_input(graph, x))  # type: ignore[arg-type]
    return dequantize_output(graph, outputs)  # type: ignore[arg-type]


def test_huber_is_a_loss_of_regression() -> None:
    task = TASKS["regression"]
    task = replace(task, recipe=replace(task.recipe, huber_delta=2.0))
    outputs, y = torch.tensor([[0.0, 5.0], [1.0, 1.0]]), torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    wanted = (0.5 * 1 + 2.0 * (4 - 1.0)) / 2
    assert rules_of(task).loss(outputs, y, "sum").item() == pytest.approx(wanted)
    assert rules_of(task).loss(outputs, y, "mean").item() == pytest.approx(wanted / 2)


def _outputs(kind: str, samples: int) -> tuple[Rules, torch.Tensor]:
    rules = rules_of(TASKS[kind])
    shape = [size or 8 for size in rules.output_shape]
    return rules, torch.tensor(RNG.normal(size=(samples, *shape)), dtype=torch.float32)


@pytest.mark.parametrize("kind", TYPES)
def test_the_sum_of_losses_is_the_mean_of_all_samples(kind: str) -> None:
    rules, outputs = _outputs(kind, 6)
    train = rules.training_split(data_of(kind).train)
    targets = torch.from_numpy(train.y[:6])
    total, mean = (rules.loss(outputs, targets, how) for how in ("sum", "mean"))  # type: ignore[arg-type]
    assert total.item() == pytest.approx(6 * mean.item(), rel=1e-5)
    each = sum(rules.loss(outputs[i : i + 1], targets[i : i + 1], "mean") for i in range(6))
    assert total.item() == pytest.approx(float(each), rel=1e-5)


@pytest.mark.parametrize("kind", TYPES)
def test_the_soft_loss_is_least_at_the_teacher(kind: str) -> None:
    rules, teacher = _outputs(kind, 6)
    soft = rules.soft_targets(teacher[None], 2.0)
    own = rules.soft_loss(teacher, soft, 2.0)
    assert own.item() == pytest.approx(0.0, abs=1e-6)
    student = (teacher + 0.3).clone().requires_grad_()
    with torch.no_grad():
        student[:, 0] -= 1.0
    loss = rules.soft_loss(student, soft, 2.0)
    assert loss.item() > 0
    (gradient,) = torch.autograd.grad(loss, student)
    assert rules.soft_loss(student - 0.05 * gradient, soft, 2.0) < loss


def test_labels_are_distilled_by_their_probabilities() -> None:
    rules, teacher = _outputs("multi_label", 6)
    _, student = _outputs("multi_label", 6)
    p, q = torch.sigmoid(teacher.double() / 3), torch.sigmoid(student.double() / 3)
    wanted = (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean().item()
    soft = rules.soft_targets(teacher[None], 3.0)
    assert rules.soft_loss(student, soft, 3.0).item() == pytest.approx(wanted, rel=1e-4)
    assert rules.soft_factor(3.0) == 9.0


def test_positions_are_distilled_like_samples_of_a_classifier() -> None:
    rules, teacher = _outputs("segmentation", 4)
    _, student = _outputs("segmentation", 4)
    flat = [one.movedim(1, -1).reshape(-1, 3) / 2 for one in (teacher, student)]
    wanted = functional.kl_div(
        flat[1].log_softmax(1), flat[0].softmax(1), reduction="batchmean"
    ).item()
    soft = rules.soft_targets(teacher[None], 2.0)
    assert rules.soft_loss(student, soft, 2.0).item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", TYPES)
def test_a_network_that_answers_a_constant_has_learned_nothing(kind: str) -> None:
    rules, data = rules_of(TASKS[kind]), data_of(kind)
    for answer in rules.constants(data.train):
        outputs = np.broadcast_to(answer, (len(data.val), *answer.shape))
        assert "that of the best constant answer" in rules.what_is_unlearned(
            outputs, data.val, data.train
        )


def test_an_untrained_network_is_refused(tmp_path: Path) -> None:
    task, data = TASKS["regression"], data_of("regression")
    still = replace(task, recipe=replace(task.recipe, epochs=1, learning_rate=1e-9))
    with pytest.raises(UserError, match=r"has learned nothing: its loss on the valid"):
        train_original(still, data, 0, tmp_path / "original.pt")


@pytest.mark.parametrize(
    ("kind", "make", "words"),
    [
        ("multi_label", lambda y: y.astype(np.int64), r"y is int64 .*must be float32 \(200, 2\)"),
        ("multi_label", lambda y: y + 0.5, "values other than 0 and 1"),
        ("regression", lambda y: y[:, :1], r"y is float32 \(200, 1\); must be float32 \(200, 2\)"),
        ("regression", lambda y: y * np.float32("nan"), "y has values that are not finite"),
        ("autoencoder", lambda y: y + 1, "labels from 1 to 2; must be 0 or 1"),
        ("autoencoder", lambda y: y * 0, "metric auc: its value on 200 samples is nan"),
        ("segmentation", lambda y: y[:, 0, 0], r"y is int64 \(100,\); must be int64 \(100, 8, 8\)"),
        ("segmentation", lambda y: y + 1, "labels from 1 to 3; the task has 3 classes"),
    ],
)
def test_other_labels_are_refused(kind: str, make: object, words: str) -> None:
    data = data_of(kind)
    val = Split(data.val.x, make(data.val.y))  # type: ignore[operator]
    with pytest.raises(UserError, match=f"task typed: val split: .*{words}"):
        check_data(TASKS[kind], replace(data, val=val))


def test_an_autoencoder_is_not_trained_on_anomalies() -> None:
    data = data_of("autoencoder")
    with pytest.raises(UserError, match=r"train split: .* samples are anomalous"):
        check_data(TASKS["autoencoder"], replace(data, train=data.val))


def test_labels_must_have_the_positions_of_the_outputs(tmp_path: Path) -> None:
    def halved() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 3, 1)
        )

    task, data = replace(TASKS["segmentation"], net=halved), data_of("segmentation")
    with pytest.raises(UserError, match=r"labels of \(8, 8\) .* answers with \(3, 4, 4\)"):
        train_original(task, data, 0, tmp_path / "original.pt")
    small = Dataset(
        *(Split(s.x, s.y[:, ::2, ::2].copy()) for s in (data.train, data.val, data.test))
    )
    original = train_original(task, small, 0, tmp_path / "original.pt")
    assert compress(Genome((Quantize(),)), original).accuracy > 0.3


@pytest.mark.parametrize("kind", TYPES)
def test_a_network_must_answer_as_its_type_has_it(kind: str) -> None:
    def wrong() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(5))

    task = TASKS[kind]
    with pytest.raises(UserError, match=r"must be .*: .*"):
        check_net(replace(task, net=wrong))
    check_net(task)


def test_sensitivity_is_that_of_the_metric() -> None:
    found = measure_sensitivity(original_for("segmentation"), 20, 0, None, lambda share: None)
    assert found.metric.name == "mean_iou"
    assert found.keep.title == "mean IoU by keep ratio"
    assert found.baseline == pytest.approx(found.float_accuracy, abs=0.05)


def test_balanced_accuracy_of_a_classifier_keeps_its_recalls() -> None:
    from helpers.networks import original

    start = original("mobile")
    metric = metric_named("balanced_accuracy", "classification")
    judged = replace(start, task=replace(start.task, metric=metric))
    found = diagnose(judged)
    assert sum(found.samples) == len(start.data.val)
    recalls = [r / n for r, n in zip(found.right, found.samples, strict=True) if n]
    assert found.accuracy == pytest.approx(np.mean(recalls))
    assert found.metric.title == "balanced accuracy"
