"""What is wrong with a network's numbers and why, in words: the one home of such remarks.

A `Diagnosis` holds the facts that are known before a search, made by `compress.pipeline.diagnose`
and kept as JSON. Together with the right answers by class of measured networks it gives `Remark`s,
which `hil` shows. This module does not import torch: reports need none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from compress.metrics.scale import ACCURACY, MetricScale, number_text

Kind = Literal["data", "input", "goal", "layer", "gap", "recall"]
# Signal-to-noise ratio below which a layer or an input is remarked on, in dB.
LEAST_SQNR_DB = 25.0
_NAMED = 3  # channels, layers or classes that a remark names


@dataclass(frozen=True, slots=True)
class Remark:
    """A warning in one sentence, and the kind of fact that it is about."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class CoarseInput:
    """An input channel whose variation is lost in the int8 steps of the input.

    `step` is the input's scale, `variation` the standard deviation of the channel over samples and
    positions, `mean` its mean, `low` and `high` its range. All are in the units of the input.
    `input` is the name of one of several inputs.
    """

    channel: int
    step: float
    variation: float
    mean: float
    low: float
    high: float
    input: str = ""

    @property
    def advice(self) -> str:
        """What to do about it, by what makes the channel small against 255 steps."""
        if abs(self.mean) > self.high - self.low:
            return f"subtract the mean ({self.mean:.6g})"
        if self.high - self.low < 255 * self.step / 4:
            return "scale each channel by its own range"
        return f"clip its rare extremes (it reaches from {self.low:.3g} to {self.high:.3g})"


@dataclass(frozen=True, slots=True)
class NoisyLayer:
    """A layer of the int8 baseline whose output has less than `LEAST_SQNR_DB`, and why."""

    layer: str
    sqnr_db: float
    cause: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of a task's data and of its trained float network before a search.

    `samples` are the validation samples of each of the `classes`, `right` those of them that the
    float network classifies correctly; both are empty where samples have no class. Of `layers` only
    those are listed at which the noise begins: layers behind them inherit it.

    `metric` is what networks are judged by, `value` the float network's on the validation split, in
    the metric's unit, `error` the standard error of that, `constant` the value of the best answer
    that is the same for every sample. Runs of versions that knew classifiers only have none of
    these: then the metric is accuracy, and its error and the best constant answer follow from
    `samples` and `right`. `error` is None for accuracy in new runs, too. `others` are the metrics
    of several outputs beside `metric`, by name. `judged` is the number of validation samples that
    all of this is of, those that networks are judged on; None in runs of versions that did not say.
    """

    classes: tuple[str, ...]
    samples: tuple[int, ...]
    right: tuple[int, ...]
    inputs: tuple[CoarseInput, ...] = ()
    layers: tuple[NoisyLayer, ...] = ()
    metric: MetricScale = ACCURACY
    value: float | None = None
    error: float | None = None
    constant: float | None = None
    others: tuple[tuple[str, float], ...] = ()
    judged: int | None = None

    @property
    def accuracy(self) -> float:
        """The float network's metric on the validation split, a share where more is better."""
        if self.value is None:
            return sum(self.right) / sum(self.samples)
        return self.metric.share(self.value)

    @property
    def float_value(self) -> float:
        """The float network's metric on the validation split, in its unit."""
        return self.metric.value(self.accuracy)

    def named(self, share: float) -> str:
        """A share as the value that people read, with the metric's name: "MAE 0.310"."""
        return f"{self.metric.title} {self.metric.text(self.metric.value(share))}"

    @property
    def standard_error(self) -> float:
        """The standard error of the float network's metric, in its unit."""
        if self.error is None:
            return binomial_error(sum(self.right), sum(self.samples))
        return self.error

    @property
    def difference_words(self) -> str:
        """The standard error of a difference of two networks as good as this: "0.75 points".

        Of networks that err independently: an upper limit for those compressed from it.
        """
        error = math.sqrt(2) * self.standard_error
        return f"{100 * error:.2f} points" if self.metric.in_percent else number_text(error)

    @property
    def count(self) -> int | None:
        """The number of validation samples that networks are judged on; None if unknown."""
        return self.judged or sum(self.samples) or None

    @property
    def majority(self) -> tuple[str, float]:
        """The most frequent class of the validation split, and its share of the samples."""
        most = max(self.samples)
        return self.classes[self.samples.index(most)], most / sum(self.samples)

    def recall(self, right: Sequence[int]) -> tuple[float | None, ...]:
        """The share of each class's samples that are `right`; None for a class without samples."""
        pairs = zip(right, self.samples, strict=True)
        return tuple(count / total if total else None for count, total in pairs)

    def to_json(self) -> dict[str, Any]:
        """All fields. Keys are only added, never renamed."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Diagnosis:
        """The inverse of `to_json`. Raises KeyError or TypeError for anything else."""
        return cls(
            classes=tuple(fields["classes"]),
            samples=tuple(fields["samples"]),
            right=tuple(fields["right"]),
            inputs=tuple(CoarseInput(**one) for one in fields["inputs"]),
            layers=tuple(NoisyLayer(**one) for one in fields["layers"]),
            metric=MetricScale.from_json(fields["metric"]) if "metric" in fields else ACCURACY,
            value=fields.get("value"),
            error=fields.get("error"),
            constant=fields.get("constant"),
            others=tuple((name, value) for name, value in fields.get("others", ())),
            judged=fields.get("judged"),
        )


def binomial_error(right: int, total: int) -> float:
    """The standard error of the share `right` / `total`.

    Two right and two wrong answers are added (Agresti and Coull 1998, doi:10.2307/2685469), so that
    it is not 0 where all answers are right.
    """
    share = (right + 2) / (total + 4)
    return math.sqrt(share * (1 - share) / (total + 4))


def recall_fell(before: int, now: int, samples: int) -> bool:
    """True if a class's recall fell by more than the standard error of what it was."""
    return samples > 0 and (before - now) / samples > binomial_error(before, samples)


def input_remarks(inputs: Sequence[CoarseInput]) -> tuple[Remark, ...]:
    """A remark on each input with channels that vary by few int8 steps."""
    names = dict.fromkeys(one.input for one in inputs)
    return tuple(
        _input_remark(name, [one for one in inputs if one.input == name]) for name in names
    )


def _input_remark(name: str, channels: Sequence[CoarseInput]) -> Remark:
    worst = min(channels, key=lambda one: one.variation)
    listed = _listed([str(one.channel) for one in channels])
    return Remark(
        "input",
        f"an int8 step of the input {name + ' ' if name else ''}is {worst.step:.3g}, but channel "
        f"{listed} varies by {worst.variation:.3g} only (standard deviation): int8 loses most of "
        f"it; {worst.advice} where the task loads its data, and on the device before quantizing",
    )


def goal_remarks(diagnosis: Diagnosis, accuracy: float) -> tuple[Remark, ...]:
    """A remark on a goal, a share, that the same answer for every sample reaches."""
    if diagnosis.error is not None:
        return _constant_remarks(diagnosis, accuracy)
    name, share = diagnosis.majority
    if accuracy > share:
        return ()
    return (
        Remark(
            "goal",
            f"the accuracy goal {_percent(accuracy)} is not above the share of class {name!r} in "
            f"the validation split, {_percent(share)}: always answering {name!r} reaches it; "
            f"raise --accuracy (the float network has {_percent(diagnosis.accuracy)}) and look at "
            "the recall of each class",
        ),
    )


def _constant_remarks(diagnosis: Diagnosis, accuracy: float) -> tuple[Remark, ...]:
    constant = diagnosis.constant
    if constant is None or accuracy > diagnosis.metric.share(constant):
        return ()
    return (
        Remark(
            "goal",
            f"the goal {diagnosis.named(accuracy)} is no better than "
            f"{diagnosis.metric.text(constant)}, which the best answer that is the same for every "
            "sample reaches on the validation split; choose a stricter --floor (the float network "
            f"has {diagnosis.metric.text(diagnosis.float_value)})",
        ),
    )


def layer_remarks(layers: Sequence[NoisyLayer]) -> tuple[Remark, ...]:
    """One remark on each layer at which the int8 baseline gets too noisy."""
    return tuple(
        Remark(
            "layer",
            f"layer {one.layer}: in int8 its signal is only {one.sqnr_db:.1f} dB above the "
            f"quantization noise (usual are more than {LEAST_SQNR_DB:g}): {one.cause}",
        )
        for one in layers
    )


def early_remarks(diagnosis: Diagnosis, accuracy: float | None = None) -> tuple[Remark, ...]:
    """All that can be remarked before a search for networks of this `accuracy`."""
    goal = () if accuracy is None else goal_remarks(diagnosis, accuracy)
    return (*input_remarks(diagnosis.inputs), *goal, *layer_remarks(diagnosis.layers))


def gap_remarks(diagnosis: Diagnosis, accuracy: float) -> tuple[Remark, ...]:
    """A remark if the int8 baseline, of this `accuracy` (a share), lost more than noise.

    More must be lost than the standard error. What other networks may lose, the goal says.
    """
    metric, error = diagnosis.metric, diagnosis.standard_error
    values = metric.value(accuracy), diagnosis.float_value
    if diagnosis.accuracy <= accuracy or abs(values[1] - values[0]) <= error:
        return ()
    now, before = map(metric.text, values)
    return (
        Remark(
            "gap",
            f"the int8 baseline has {now} {metric.title}, the float network {before}: quantization "
            f"alone loses {_distance(metric, abs(values[1] - values[0]))} (standard error "
            f"{_distance(metric, error)}); hil sensitivity shows which layers bear how many bits",
        ),
    )


def baseline_remarks(
    diagnosis: Diagnosis, right: Sequence[int], accuracy: float
) -> tuple[Remark, ...]:
    """All that can be remarked on the int8 baseline.

    It has `right` answers by class (empty if unknown) and this `accuracy` as a share.
    """
    recalls = recall_remarks(diagnosis, "the int8 baseline", right) if right else ()
    return (*gap_remarks(diagnosis, accuracy), *recalls)


def recall_remarks(diagnosis: Diagnosis, name: str, right: Sequence[int]) -> tuple[Remark, ...]:
    """A remark on classes that the network `name`, with `right` answers by class, finds less often.

    Less than the float network, by more than the standard error of its recall.
    """
    fallen: list[tuple[float, str]] = []
    for label, total, before, now in zip(
        diagnosis.classes, diagnosis.samples, diagnosis.right, right, strict=True
    ):
        if recall_fell(before, now, total):
            words = f"{label!r} {_percent(now / total)} instead of {_percent(before / total)}"
            fallen.append(((before - now) / total, words))
    if not fallen:
        return ()
    worst = [words for _, words in sorted(fallen, key=lambda pair: -pair[0])]
    return (
        Remark(
            "recall",
            f"{name} finds some classes less often than the float network, by more than the "
            f"standard error: {_listed(worst)}",
        ),
    )


def _listed(words: list[str]) -> str:
    """The first words, and how many more there are."""
    more = len(words) - _NAMED
    return ", ".join(words[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _distance(metric: MetricScale, distance: float) -> str:
    """The distance of two values of a metric."""
    return f"{100 * distance:.1f} points" if metric.in_percent else number_text(distance)
