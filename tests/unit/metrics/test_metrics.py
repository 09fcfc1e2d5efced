"""Metrics are those of scikit-learn, for random outputs with and without ties and rare classes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from compress.errors import UserError
from compress.metrics.judge import standard_error, value_of
from compress.metrics.registry import METRICS, metric_named, metric_of
from compress.metrics.scale import ACCURACY, MetricScale, number_text
from compress.tasks import get_task
from compress.types import Array, Metric, TaskType

X = np.zeros((50, 1), np.float32)


def _value(task_type: TaskType, name: str, outputs: Array, y: Array, x: Array = X) -> float:
    return value_of(metric_named(name, task_type), outputs.astype(np.float32), y, x)


@given(st.integers(0, 10_000), st.integers(2, 6))
@settings(max_examples=60, deadline=None)
def test_metrics_of_classes(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    outputs = rng.integers(-3, 4, (50, classes)).astype(np.float32)  # with ties
    y = rng.choice(classes, 50, p=np.arange(1, classes + 1) / sum(range(classes + 1)))
    answers = outputs.argmax(1)
    found = {m.name: value_of(m, outputs, y, X) for m in METRICS["classification"]}
    assert found == pytest.approx(
        {
            "accuracy": sklearn.accuracy_score(y, answers),
            "balanced_accuracy": sklearn.recall_score(
                y, answers, labels=np.unique(y), average="macro"
            ),
            "f1": sklearn.f1_score(y, answers, average="macro"),
        }
    )


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_metrics_of_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outputs = rng.integers(-3, 4, (50, 4)).astype(np.float32)
    y = (rng.uniform(size=(50, 4)) < (0.1, 0.3, 0.5, 0.9)).astype(np.float32)
    y[:2] = [[0] * 4, [1] * 4]
    assert _value("multi_label", "f1", outputs, y) == pytest.approx(
        sklearn.f1_score(y, outputs > 0, average="macro", zero_division=0)
    )
    assert _value("multi_label", "auc", outputs, y) == pytest.approx(
        sklearn.roc_auc_score(y, outputs, average="macro")
    )


@given(st.integers(0, 10_000), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_metrics_of_numbers(seed: int, numbers: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.normal(100, 5, (50, numbers)).astype(np.float32)
    outputs = y + rng.normal(0, 3, y.shape).astype(np.float32)
    found = {m.name: value_of(m, outputs, y, X) for m in METRICS["regression"]}
    assert found == pytest.approx(
        {
            "mae": sklearn.mean_absolute_error(y, outputs),
            "rmse": math.sqrt(sklearn.mean_squared_error(y, outputs)),
            "r2": sklearn.r2_score(y, outputs),
        },
        rel=1e-5,
    )


def test_a_number_that_never_varies_is_explained_if_it_is_exact() -> None:
    y = np.array([[1.0, 1.0], [1.0, 3.0]], np.float32)
    assert _value("regression", "r2", y, y) == 1.0
    assert _value("regression", "r2", y + 1, y) == sklearn.r2_score(y, y + 1)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_metrics_of_reconstructions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(50, 2, 3)).astype(np.float32)
    outputs = np.round(x)  # some errors are equal
    y = np.arange(50) % 3 // 2
    errors = ((outputs.astype(np.float64) - x) ** 2).mean((1, 2))
    assert _value("autoencoder", "auc", outputs, y, x) == pytest.approx(
        sklearn.roc_auc_score(y, errors)
    )
    assert _value("autoencoder", "mse", outputs, y, x) == pytest.approx(errors[y == 0].mean())


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_metrics_of_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(5, 4, 3, 2)).astype(np.float32)
    y = rng.integers(0, 3, (5, 3, 2))
    answers = outputs.argmax(1).ravel()
    assert _value("segmentation", "mean_iou", outputs, y) == pytest.approx(
        sklearn.jaccard_score(y.ravel(), answers, average="macro")
    )
    assert _value("segmentation", "pixel_accuracy", outputs, y) == pytest.approx(
        sklearn.accuracy_score(y.ravel(), answers)
    )


def test_every_type_has_a_default_and_a_task_may_have_its_own() -> None:
    task = get_task("digits")
    assert metric_of(task).name == "accuracy"
    defaults = {kind: metrics[0].name for kind, metrics in METRICS.items()}
    assert defaults == {
        "classification": "accuracy",
        "multi_label": "f1",
        "regression": "mae",
        "autoencoder": "auc",
        "segmentation": "mean_iou",
    }
    own = Metric("mine", "lower", lambda outputs, y, x: 1.0)
    assert metric_of(replace(task, metric=own)) is own
    with pytest.raises(UserError, match="type regression allows mae, rmse, r2, or a function"):
        metric_named("accuracy", "regression")


def test_a_metric_that_is_not_defined_is_refused() -> None:
    y = np.zeros(50, np.int64)
    with pytest.raises(UserError, match="metric auc: its value on 50 samples is nan"):
        _value("autoencoder", "auc", X, y)

    def broken(outputs: Array, y: Array, x: Array) -> float:
        return float(outputs[0, 7])

    with pytest.raises(UserError, match=r"metric mine: IndexError: .* outputs float32 \(50, 1\)"):
        value_of(Metric("mine", "higher", broken), X, y, X)


def test_the_bootstrap_gives_the_known_error_of_a_share_and_is_repeatable() -> None:
    rng = np.random.default_rng(0)
    y = (rng.uniform(size=900) < 0.2).astype(np.int64)
    outputs = np.eye(2, dtype=np.float32)[np.zeros(900, np.int64)]  # right for 80 %
    metric, x = METRICS["classification"][0], np.zeros((900, 1), np.float32)
    found = standard_error(metric, outputs, y, x)
    share = float(np.mean(y == 0))
    assert found == pytest.approx(math.sqrt(share * (1 - share) / 900), rel=0.15)
    assert found == standard_error(metric, outputs, y, x)
    many = (np.tile(outputs, (5, 1)), np.tile(y, 5), np.tile(x, (5, 1)))
    assert standard_error(metric, *many) == pytest.approx(found / math.sqrt(5), rel=0.2)


@given(
    st.floats(-1e3, 1e3, allow_subnormal=False),
    st.sampled_from(["higher", "lower"]),
    st.floats(1e-3, 1e3),
)
def test_shares_and_values_are_inverse(value: float, better: str, reference: float) -> None:
    scale = MetricScale("mae", "higher" if better == "higher" else "lower", reference)
    assert scale.value(scale.share(value)) == pytest.approx(value, abs=1e-9 * reference)
    assert MetricScale.from_json(scale.to_json()) == scale


def test_more_is_better_in_shares() -> None:
    mae = MetricScale("mae", "lower", 4.0)
    assert (mae.share(0.0), mae.share(1.0), mae.share(4.0), mae.share(8.0)) == (1.0, 0.75, 0, -1)
    assert MetricScale("r2").share(0.3) == 0.3
    with pytest.raises(ValueError, match="reference of metric mae"):
        MetricScale("mae", "lower").share(1.0)


def test_texts() -> None:
    assert ACCURACY.text(0.9513) == "95.1 %"
    assert MetricScale("mae", "lower", 1.0).text(0.31) == "0.310"
    assert MetricScale("mae", "lower", 1.0).title == "MAE"
    texts = [number_text(v) for v in (0.957, 1.0, 12.34, 123.4, 1234.5, 1.2e-5, -0.5, 0.0)]
    assert texts == ["0.957", "1.00", "12.3", "123", "1234", "1.20e-05", "-0.500", "0.00"]
