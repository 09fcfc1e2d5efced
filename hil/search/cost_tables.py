"""Costs of a sub-network before it is built: layers measured on the board, interpolated by shape.

A few networks of other widths are profiled on the board. A layer's cost is then a model of the
channels that it reads (i) and writes (o),

    cost = c0 + c1 * i + c2 * o + c3 * i * o,  coefficients >= 0,

fitted to that layer's own measurements by relative least squares. i and o follow exactly from the
widths of the dependency groups, of which they are linear functions, found from the same networks.
A network's count is the sum over its layers and what the harness adds; its arena is the largest
need of any layer. The error is that of networks which were built afterwards (`table_error`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from hil.figures import LayerFigures
from hil.types import Estimate, Floats

Widths = tuple[int, ...]
_TERMS = 4
_BITS = 64  # of a product of int8 with int8, in `Estimate.bops`


@dataclass(frozen=True, slots=True)
class Profiled:
    """A network that was profiled: the channels of its groups, dropped blocks, layers, count.

    `count` is the whole network's, in the unit of the board's counter.
    """

    widths: Widths
    drop: tuple[int, ...]
    layers: tuple[LayerFigures, ...]
    count: int


@dataclass(frozen=True, slots=True)
class LayerFactors:
    """What a layer costs with weights of other bits: its count and stored bytes relative to int8.

    `scratch` is the memory that it needs beside, in bytes per byte of int8 weights: kernels expand
    packed weights.
    """

    count: float = 1.0
    weight_bytes: float = 1.0
    scratch: float = 0.0


_AS_INT8 = LayerFactors()


@dataclass(frozen=True, slots=True)
class PredictedCosts:
    """The costs that a table predicts of a sub-network; its weights are int8 without factors."""

    count: float
    estimate: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class LayerModel:
    """The models of one layer.

    `inputs` and `outputs` are float64 (groups + 1,), the channels as a linear function of the
    groups' widths and 1; `live_bytes` is one, too. `macs`, `count` and `weight_bytes` hold the
    coefficients of the `_TERMS`.
    """

    name: str
    inputs: Floats
    outputs: Floats
    macs: Floats
    count: Floats
    weight_bytes: Floats
    live_bytes: Floats

    @classmethod
    def of(cls, name: str, widths: Sequence[Widths], seen: Sequence[LayerFigures]) -> Self:
        """The model of a layer that was seen in networks of these widths, one for each."""
        rows = _with_one(np.array(widths, np.float64))
        inputs = _exact(rows, [layer.inputs for layer in seen])
        outputs = _exact(rows, [layer.outputs for layer in seen])
        terms = _terms(rows @ inputs, rows @ outputs)
        return cls(
            name=name,
            inputs=inputs,
            outputs=outputs,
            macs=_relative(terms, [layer.macs for layer in seen]),
            count=_relative(terms, [layer.count for layer in seen]),
            weight_bytes=_relative(terms, [layer.weight_bytes for layer in seen]),
            live_bytes=_relative(rows, [layer.live_bytes for layer in seen]),
        )

    def predict(self, row: Floats) -> tuple[float, float, float, float]:
        """MACs, count, weight bytes and live bytes for the groups' widths and 1."""
        terms = _terms(row @ self.inputs, row @ self.outputs)[0]
        costs = (terms @ self.macs, terms @ self.count, terms @ self.weight_bytes)
        return *map(float, costs), float(row @ self.live_bytes)  # type: ignore[return-value]


@dataclass(frozen=True, slots=True, eq=False)
class CostTable:
    """The models of a network's layers, fitted to `networks` profiled ones.

    The whole count is `scale` times the sum of the layers' and `offset`. `absent` holds, for each
    removable block that a profiled network lacked, the names of the layers that went with it.
    """

    layers: tuple[LayerModel, ...]
    scale: float
    offset: float
    absent: Mapping[int, frozenset[str]]
    networks: int

    @classmethod
    def of(cls, profiled: Sequence[Profiled]) -> Self:
        """Fit to profiled networks, of which at least one must be whole, without dropped blocks.

        Raises ValueError without one.
        """
        whole = [one for one in profiled if not one.drop]
        if not whole:
            raise ValueError("no profiled network has all blocks")
        names = [layer.name for layer in whole[0].layers]
        models = []
        for name in names:
            pairs = [(one.widths, _layer(one, name)) for one in profiled]
            known = [(widths, layer) for widths, layer in pairs if layer is not None]
            models.append(LayerModel.of(name, *zip(*known, strict=True)))
        absent = {
            one.drop[0]: frozenset(names) - {layer.name for layer in one.layers}
            for one in profiled
            if len(one.drop) == 1
        }
        sums = [float(sum(layer.count for layer in one.layers)) for one in profiled]
        scale, offset = _line(sums, [one.count for one in profiled])
        return cls(tuple(models), scale, offset, absent, len(profiled))

    def predict(
        self,
        widths: Widths,
        drop: Sequence[int] = (),
        factors: Mapping[str, LayerFactors] | None = None,
    ) -> PredictedCosts:
        """The costs of the sub-network with these channels and without these blocks.

        `factors`, by name of the layer, multiply those of layers whose weights are not int8.
        """
        row, known = np.array((*widths, 1.0)), factors or {}
        gone: set[str] = set().union(*(self.absent.get(block, frozenset()) for block in drop))
        present = [layer for layer in self.layers if layer.name not in gone]
        totals, arena = np.zeros(3), 0.0
        for layer in present:
            factor = known.get(layer.name, _AS_INT8)
            macs, count, stored, live = layer.predict(row)
            totals += (macs, count * factor.count, stored * factor.weight_bytes)
            arena = max(arena, live + stored * factor.scratch)
        macs, count, weight_bytes = map(float, totals)
        return PredictedCosts(
            count=self.scale * count + self.offset,
            estimate=Estimate(
                macs=round(macs),
                bops=_BITS * round(macs),
                weight_bytes=round(weight_bytes),
                arena_bytes=round(arena),
                layers=len(present),
            ),
        )


@dataclass(frozen=True, slots=True)
class TableError:
    """The relative error of a predicted cost, over `networks` built after the table was made."""

    root_mean_square: float
    largest: float
    networks: int

    @property
    def text(self) -> str:
        return (
            f"{100 * self.root_mean_square:.1f} % rms, {100 * self.largest:.1f} % max "
            f"over {self.networks} networks"
        )


def table_error(
    predicted: Sequence[float] | Floats, measured: Sequence[float] | Floats
) -> TableError:
    """The errors of predictions relative to what was measured, at least one."""
    errors = np.array(predicted) / np.array(measured) - 1.0
    return TableError(float(np.sqrt(np.mean(errors**2))), float(np.abs(errors).max()), len(errors))


def _layer(network: Profiled, name: str) -> LayerFigures | None:
    return next((layer for layer in network.layers if layer.name == name), None)


def _with_one(widths: Floats) -> Floats:
    return np.hstack([widths, np.ones((len(widths), 1))])


def _terms(inputs: Floats, outputs: Floats) -> Floats:
    """1, i, o and i * o, float64 (networks, `_TERMS`)."""
    i, o = np.atleast_1d(inputs), np.atleast_1d(outputs)
    return np.stack([np.ones_like(i), i, o, i * o], axis=1)


def _exact(rows: Floats, values: Sequence[int]) -> Floats:
    """The linear function that channels are of the widths (least norm where others agree, too)."""
    found: Floats = np.linalg.lstsq(rows, np.array(values, np.float64), rcond=None)[0]
    return found


def _relative(rows: Floats, values: Sequence[int]) -> Floats:
    """Coefficients >= 0 with the least sum of squared relative errors; 0 if all values are 0."""
    from scipy.optimize import nnls  # type: ignore[attr-defined]  # slow to import

    measured = np.array(values, np.float64)
    if not measured.any():
        return np.zeros(rows.shape[1])
    shares = rows / np.maximum(measured, 1.0)[:, None]
    scale = np.maximum(np.abs(shares).max(axis=0), 1e-30)
    coefficients, _ = nnls(shares / scale, measured / np.maximum(measured, 1.0))
    fitted: Floats = coefficients / scale
    return fitted


def _line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of the line with the least relative errors; (1, mean gap) for one x."""
    if len(set(x)) < 2:
        return 1.0, float(np.mean(np.array(y) - np.array(x)))
    weights = 1.0 / np.array(y, np.float64)
    slope, intercept = np.polyfit(x, y, 1, w=weights)
    return float(slope), float(intercept)
