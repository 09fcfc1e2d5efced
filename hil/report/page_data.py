"""The data of a report's plots and of its panel of figures, as one JSON object.

Everything that is shown as text is made here; the script of the page places it, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hil import formatting
from hil.networks.planned_network import PlannedNetwork, network_to_json
from hil.objective.costs import Costs, costs_of, cycles_known
from hil.report import time_profile
from hil.report.confirmation import confirmation_of
from hil.report.findings import TrialRow, counted, trial_row
from hil.report.methods import genes_of, varied_genes
from hil.report.summary import Summary
from hil.types import Measurement, Sizes, Trial

_Figure = tuple[str, str, str]  # name, value, ratio to the int8 network
_NOTICED_SECONDS = 0.5


def page_data(
    summary: Summary, networks: dict[str, PlannedNetwork | str], live: bool
) -> dict[str, Any]:
    """The object; `networks` are the plans by what they are called in the page."""
    planned = {name: one for name, one in networks.items() if isinstance(one, PlannedNetwork)}
    varied = varied_genes(summary.measured)
    return {
        "live": live,
        "axes": _axes(summary),
        "target": _in_unit(summary, summary.accuracy_target),
        "metric": summary.metric.title,
        "trials": [_trial(summary, trial, varied) for trial in summary.measured],
        "failed": [trial.number for trial in summary.trials if trial.measurement is None],
        "last": max((trial.number for trial in summary.trials), default=0),
        "genes": varied,
        "networks": {name: network_to_json(one) for name, one in planned.items()},
        "layers": {name: _layer_figures(one) for name, one in planned.items()},
        "counted": counted(summary),
        "steps": [
            {"name": name, "time": spent, "share": share}
            for name, spent, share in time_profile.rows(summary.profile)
        ],
    }


def _axes(summary: Summary) -> list[dict[str, Any]]:
    """The quantities by which networks can be drawn; only those that some network has."""
    metric, percent = summary.metric.title, " %" if summary.metric.in_percent else ""
    modelled = cycles_known(summary.goal.board) == "modelled"
    better = summary.metric.better
    axes = [
        ("flash", "flash", "KiB", "lower"),
        ("ram", "RAM", "KiB", "lower"),
        ("count", f"{counted(summary)} per inference", "", "lower"),
        ("latency", "time, modelled" if modelled else "time", "ms", "lower"),
        ("energy", "energy, estimate", "µJ", "lower"),
        ("accuracy", f"{metric}, validation", percent, better),
        ("test", f"{metric}, test", percent, better),
        ("score", "score", "", "lower"),
        ("number", "trial", "", ""),
    ]
    values = [_values(summary, trial) for trial in summary.measured]
    return [
        {"key": key, "title": title, "unit": unit, "better": better}
        for key, title, unit, better in axes
        if any(one[key] is not None for one in values)
    ]


def _values(summary: Summary, trial: Trial) -> dict[str, float | None]:
    """The trial's place on each axis; None where it is not known."""
    measured, final = trial.measurement, summary.final(trial)
    costs = None if measured is None else costs_of(measured, summary.goal.board)
    return {
        "flash": None if costs is None else costs.flash_bytes / 1024,
        "ram": None if costs is None else costs.ram_bytes / 1024,
        "count": None if costs is None else costs.count,
        "latency": None if costs is None else costs.latency_ms,
        "energy": None if costs is None else costs.energy_uj,
        "accuracy": _in_unit(summary, trial.accuracy),
        "test": None if final is None else _in_unit(summary, final.accuracy),
        "score": summary.score(trial),
        "number": trial.number,
    }


def _in_unit(summary: Summary, share: float | None) -> float | None:
    """A share as people read the metric: in percent, or in its unit."""
    if share is None:
        return None
    value = summary.metric.value(share)
    return 100 * value if summary.metric.in_percent else value


def _trial(summary: Summary, trial: Trial, varied: Sequence[str]) -> dict[str, Any]:
    row, genes = trial_row(summary, trial), genes_of(trial.genome)
    return {
        "number": trial.number,
        "order": row.stages,
        "genome": [formatting.stage_details(type(trial.genome)((s,))) for s in trial.genome.stages],
        "schedule": _schedule(trial),
        "values": _values(summary, trial),
        "genes": {name: genes[name] for name in varied if name in genes},
        "texts": {
            "accuracy": row.accuracy,
            "test": row.test,
            "flash": f"{row.flash.value} KiB {row.flash.ratio}",
            "RAM": f"{row.ram.value} KiB {row.ram.ratio}",
            counted(summary): f"{row.count.value} {row.count.ratio}",
        },
        "figures": [list(figure) for figure in _figures(summary, trial, row)],
        "front": row.is_on_front,
        "meets": row.meets_target,
        "chosen": row.is_chosen,
        "int8": row.is_baseline,
    }


def _schedule(trial: Trial) -> list[str]:
    """How long each stage trained, in the order of the stages; without those that took no time."""
    return [
        f"{cost.stage}: {cost.epochs:g} epochs, "
        f"{formatting.duration(cost.seconds)}{' (kept from another trial)' if cost.cached else ''}"
        for cost in trial.costs
        if cost.epochs or cost.seconds >= _NOTICED_SECONDS
    ]


def _figures(summary: Summary, trial: Trial, row: TrialRow) -> Iterator[_Figure]:
    """All figures of a measured trial."""
    measured = trial.measurement
    if measured is None:
        return
    base = summary.baseline.measurement if summary.baseline else None
    yield f"{summary.metric.title}, validation", row.accuracy, ""
    yield from _test_figures(summary, trial, row)
    yield "on the device", row.device, ""
    odds = summary.odds.get(trial.number)
    if odds is not None:
        yield "probability of keeping the floor", f"{odds.probability:.2f}", ""
    yield from _sizes("flash", measured.flash, base.flash if base else None)
    yield from _sizes("RAM", measured.ram, base.ram if base else None)
    yield from _work(summary, measured, base)
    yield "score", row.score, ""
    if trial.estimate is not None:
        yield "multiply-accumulates", f"{trial.estimate.macs:,}", ""
        yield "layers", str(trial.estimate.layers), ""
    yield "trained", f"{trial.epochs:g} epochs", ""
    for step, seconds in trial.seconds.items():
        yield f"time for {step}", formatting.duration(seconds), ""
    yield "oracles", trial.provenance.oracles or "not recorded", ""
    yield "commit", trial.provenance.git_sha[:12], ""
    yield "program", f"sha256 {trial.program_sha256[:12]}", ""
    yield "outputs", f"sha256 {measured.outputs_sha256[:12]}", ""


def _test_figures(summary: Summary, trial: Trial, row: TrialRow) -> Iterator[_Figure]:
    found = confirmation_of(summary, trial)
    if found is None:
        yield f"{summary.metric.title}, test", "not tried", ""
        return
    interval = f" ({row.test_interval})" if row.test_interval else ""
    yield f"{summary.metric.title}, test", f"{row.test}{interval}", ""
    keeps = "kept" if found.keeps_floor else "not kept"
    yield "floor on the test split", keeps if found.is_certain else f"{keeps}, within the error", ""


def _sizes(memory: str, sizes: Sizes, base: Sizes | None) -> Iterator[_Figure]:
    ratio = formatting.ratio(sizes.total / base.total) if base else ""
    yield memory, f"{sizes.total:,} bytes", ratio
    for part, size in sizes.parts.items():
        before = base.parts.get(part) if base else None
        share = formatting.ratio(size / before) if before else ""
        yield f"{memory}: {part}", f"{size:,}", share


def _work(summary: Summary, measured: Measurement, base: Measurement | None) -> Iterator[_Figure]:
    """Counts, cycles, time and energy of one inference."""
    board = summary.goal.board
    costs = costs_of(measured, board)
    before = costs_of(base, board) if base else None

    def ratio(name: str) -> str:
        mine: float | None = getattr(costs, name)
        theirs: float | None = getattr(before, name) if before else None
        return formatting.ratio(mine / theirs) if mine and theirs else ""

    yield counted(summary), f"{measured.count:,}", ratio("count")
    if measured.count_min != measured.count_max:
        yield "least and most", f"{measured.count_min:,} to {measured.count_max:,}", ""
    yield from _modelled(measured)
    yield from _time_and_energy(costs, ratio("latency_ms"), ratio("energy_uj"))


def _modelled(measured: Measurement) -> Iterator[_Figure]:
    if measured.model_cycles is None:
        return
    error = "error unknown"
    if measured.model_error is not None:
        error = formatting.plus_minus(measured.model_error)
    yield "modelled cycles", f"{measured.model_cycles:,} ({error})", ""
    if measured.wait_cycles is not None:
        yield "cycles waiting for memory", f"{measured.wait_cycles:,}", ""


def _time_and_energy(costs: Costs, time_ratio: str, energy_ratio: str) -> Iterator[_Figure]:
    if costs.latency_ms is not None:
        yield "time", f"{formatting.three_digits(costs.latency_ms)} ms", time_ratio
    if costs.energy_uj is not None:
        yield "energy", f"{formatting.three_digits(costs.energy_uj)} µJ", energy_ratio


def _layer_figures(network: PlannedNetwork) -> list[dict[str, Any]]:
    """What the bars of the layers show."""
    return [
        {
            "name": layer.name,
            "op": layer.op,
            "kernel": layer.kernel,
            "macs": layer.macs,
            "weights": layer.weight_bytes,
            "live": layer.live_bytes,
            "count": layer.count,
        }
        for layer in network.layers
    ]
