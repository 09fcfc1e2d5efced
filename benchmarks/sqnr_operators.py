"""Signal above the quantization noise of random networks around every captured form of layer.

    python benchmarks/sqnr_operators.py [--networks 24] [--write docs/results/sqnr-operators.md]

Prints, or writes, a table by family of forms: the signal-to-quantization-noise ratio (SQNR) of the
form's output and of the network's, in int8 against float. "Before" is with means that keep the
scale of their input, as AVERAGE_POOL_2D does; "now" is with the scales that lowering chooses. Ends
with status 1 if an output below the limit comes without a warning that names a layer.
"""

from __future__ import annotations

import math
import statistics
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
import typer
from operator_forms.networks import SAMPLES, families, form_name, random_network
from torch import nn

from compress.errors import UnsupportedLayer
from compress.genome import Quantize
from compress.integer import reference
from compress.ops import DepthwiseConv2D, Mean, Op, outputs_of
from compress.pipeline.diagnose import coarse_inputs, noisy_layers
from compress.pipeline.diagnosis import LEAST_SQNR_DB, layer_remarks
from compress.quantization.grids import Grids
from compress.quantization.lower import lower, quantize_input
from compress.quantization.sqnr import decibels, layer_sqnr_db
from compress.types import Array, Graph


@dataclass(frozen=True, slots=True)
class Ratio:
    """The SQNR in dB of an output; `named` if it is low and a warning names a layer."""

    sqnr_db: float
    named: bool

    @property
    def low(self) -> bool:
        return self.sqnr_db < LEAST_SQNR_DB


@dataclass(frozen=True, slots=True)
class Measured:
    """The SQNR of a form's output and of its network's, before and now.

    That of the form is measured in the network that ends in it; None where none can, as in a
    flattened map.
    """

    form: str
    seed: int
    layer_before: Ratio | None
    layer: Ratio | None
    network_before: Ratio
    network: Ratio


def measured(family: str, form: object, seed: int) -> Measured:
    made = random_network(family, form, seed)
    layers = _before_and_now(made.until_form, made.x, _form_sqnr_db)
    networks = _before_and_now(made.whole, made.x, _network_sqnr_db)
    if networks is None:
        raise TypeError(f"{form_name(form)}, seed {seed}: the network cannot be lowered")
    return Measured(form_name(form), seed, *(layers or (None, None)), *networks)


def _before_and_now(
    module: nn.Module, x: Array, sqnr_db: Callable[[Graph, nn.Module, Array], float]
) -> tuple[Ratio, Ratio] | None:
    """Both ratios of the module's output; None if the module cannot be lowered.

    They differ only where a mean has a scale of its own now.
    """
    try:
        graph = lower(module, Quantize(), x, "random")
    except UnsupportedLayer:
        return None
    now = Ratio(sqnr_db(graph, module, x), False)
    before = now
    if now.low:
        now = replace(now, named=_named(graph, module, x))
    if any(map(partial(_is_own_mean, graph), graph.ops)):
        with patch.object(Grids, "_own_mean_grid", lambda grids, layer: None):
            old = lower(module, Quantize(), x, "random")
        before = Ratio(sqnr_db(old, module, x), False)
    return before, now


def _is_own_mean(graph: Graph, op: Op) -> bool:
    """True for a mean with an output scale of its own: a MEAN, or equal weights."""
    if not isinstance(op, DepthwiseConv2D):
        return isinstance(op, Mean)
    weights = graph.tensors[op.weights].data
    return weights is not None and weights.min() == weights.max()


def _form_sqnr_db(graph: Graph, module: nn.Module, x: Array) -> float:
    """Of the last operator, as the diagnosis measures it; infinite for an output without noise."""
    last = next(op for op in graph.ops if graph.output in outputs_of(op))
    return layer_sqnr_db(graph, module, x).get(last.name, math.inf)


def _network_sqnr_db(graph: Graph, module: nn.Module, x: Array) -> float:
    """Of the answers (N, classes): torch's own against the integer ones."""
    with torch.no_grad():
        wanted = module(torch.from_numpy(x)).double().numpy()
    output = graph.output_tensor
    integers = reference.run(graph, quantize_input(graph, x)).reshape(wanted.shape)
    found = (integers.astype(float) - output.zero_point) * output.scale
    return decibels(float((wanted**2).sum()), float(((wanted - found) ** 2).sum()))


def _named(graph: Graph, module: nn.Module, x: Array) -> bool:
    """True if a warning on the network names a layer at which noise begins."""
    layers = noisy_layers(graph, module, x, {one.input for one in coarse_inputs(x)})
    texts = [remark.text for remark in layer_remarks(layers)]
    return any(one.layer in text for one, text in zip(layers, texts, strict=True))


def row(family: str, found: Sequence[Measured]) -> list[str]:
    """The cells of one family."""
    cells = [family, ", ".join(f"`{name}`" for name in dict.fromkeys(one.form for one in found))]
    for pairs in (
        [(one.layer_before, one.layer) for one in found],
        [(one.network_before, one.network) for one in found],
    ):
        before = [ratio for ratio, _ in pairs if ratio is not None]
        now = [ratio for _, ratio in pairs if ratio is not None]
        cells += [_lowest(before), _lowest(now)]
        low = [ratio for ratio in now if ratio.low]
        named = sum(ratio.named for ratio in low)
        cells += [str(sum(ratio.low for ratio in before)), str(len(low)), str(named)]
    return cells


def _lowest(ratios: Sequence[Ratio]) -> str:
    """The lowest of the ratios and their median."""
    values = [ratio.sqnr_db for ratio in ratios]
    return f"{min(values):.1f} ({statistics.median(values):.1f})" if values else ""


def document(rows: list[list[str]], networks: int, command: str) -> str:
    head = ["family", "forms"]
    for whose in ("form", "network"):
        head += [f"{whose} before", f"{whose} now", "below before", "below now", "named"]
    ruler = ["---", "---", *["---:"] * (len(head) - 2)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ruler, *rows))
    text = f"""\
# Signal above the quantization noise, by operator

Made by `{command}`: {networks} random networks or more for each
family of forms that are captured from torch, one or more of each form. They are lowered to int8
with the default quantization and compared with torch on {SAMPLES} samples, those of calibration:
noise, values from 0 to 1, or short events.

SQNR = 10 log10(sum of squares of the float output / sum of squares of float minus int8 output), in
dB: the lowest of the networks and, in parentheses, the median. "Form" is the output of the form
itself, "network" that of the network around it. "Before" is with means that keep the scale of their
input, as AVERAGE_POOL_2D does; "now" with the scale of their own that lowering gives them where
bits would be lost. "Below" counts outputs under {LEAST_SQNR_DB:g} dB. "Named" are those of now for
which a warning (`hil bench TASK`, `hil evolve`) names the layer where the noise begins: it has to
be all of them. Forms that end in a flattened map have no output of their own.
"""
    return f"{text}\n{table}\n"


def main(networks: int = 24, seed: int = 0, write: Path | None = None) -> None:
    """Measure all families; print the table, or write it as a page."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="torch")
    rows, silent = [], []
    for family, forms in sorted(families().items()):
        found = [
            measured(family, forms[number % len(forms)], seed + number // len(forms))
            for number in range(max(networks, len(forms)))
        ]
        rows.append(row(family, found))
        silent += [
            f"{one.form}, seed {one.seed}: {ratio.sqnr_db:.1f} dB, no layer named"
            for one in found
            for ratio in (one.layer, one.network)
            if ratio is not None and ratio.low and not ratio.named
        ]
        print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    options = f" --networks {networks}" if networks != 24 else ""
    options += f" --seed {seed}" if seed else ""
    text = document(rows, networks, f"python benchmarks/sqnr_operators.py{options}")
    if write is None:
        print(text)
    else:
        write.write_text(text, encoding="utf-8")
    for line in silent:
        print(line, file=sys.stderr)
    raise SystemExit(1 if silent else 0)


if __name__ == "__main__":
    typer.run(main)
