"""The scale of a metric: how its values become shares where more is better, and back.

A search compares shares, people read values. Where more is better the share is the value itself,
else the skill score 1 - value / reference (Murphy 1988, Monthly Weather Review 116, page 2417),
`reference` being the value of the best constant answer on the validation split: 1 is perfect, 0 no
better than a constant, negative worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from compress.types import Better

_TITLES = {
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "mae": "MAE",
    "rmse": "RMSE",
    "r2": "R²",
    "auc": "AUC",
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixel accuracy",
}
# Metrics that people read in percent.
_IN_PERCENT = ("accuracy", "balanced_accuracy", "f1", "mean_iou", "pixel_accuracy")


@dataclass(frozen=True, slots=True)
class MetricScale:
    """The name and direction of a metric, and its `reference` (above 0) where less is better."""

    name: str
    better: Better = "higher"
    reference: float | None = None

    @property
    def title(self) -> str:
        """The name as people see it: "accuracy", "MAE", of one of several outputs "angle MAE"."""
        output, _, name = self.name.rpartition(".")
        return f"{output} {_TITLES.get(name, name)}".lstrip()

    @property
    def in_percent(self) -> bool:
        """True if values are shown in percent."""
        return self.name.rpartition(".")[2] in _IN_PERCENT

    def share(self, value: float) -> float:
        """The share where more is better. Raises ValueError if it takes an unknown reference."""
        return value if self.better == "higher" else 1.0 - value / self._reference()

    def value(self, share: float) -> float:
        """The inverse of `share`, with its errors."""
        return share if self.better == "higher" else (1.0 - share) * self._reference()

    def text(self, value: float, decimals: int = 1) -> str:
        """A value without the metric's name: "95.1 %" with these decimals, else "0.310"."""
        return f"{100 * value:.{decimals}f} %" if self.in_percent else number_text(value)

    def to_json(self) -> dict[str, Any]:
        """All fields. Keys are only added, never renamed."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> MetricScale:
        """The inverse of `to_json`. Raises KeyError for anything else."""
        return cls(fields["name"], fields["better"], fields["reference"])

    def _reference(self) -> float:
        if self.reference is None:
            raise ValueError(f"the reference of metric {self.name} is not known")
        return self.reference


def number_text(value: float) -> str:
    """A number with three significant digits: "0.0310", "0.957", "1.00", "1234", "1.20e-05"."""
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:#.3g}".removesuffix(".")


ACCURACY = MetricScale("accuracy")
