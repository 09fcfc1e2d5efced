"""Which orders of methods and which genes did well in a run."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from compress.genome import Genome
from hil import formatting
from hil.report.findings import shown
from hil.report.summary import Summary
from hil.types import Trial

GeneValue = float | str


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One order of stages: how often it was measured, met the goal and is on the front.

    `score` is the best of those that meet the goal, `accuracy` the highest of all, as texts.
    `looked_at` counts the candidates that were screened without a measurement.
    """

    order: str
    looked_at: int
    measured: int
    met: int
    on_front: int
    score: str
    accuracy: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class GeneRow:
    """One gene of one stage, as texts: values tried, those on the front that meet the goal."""

    gene: str
    tried: str
    on_front: str
    chosen: str


def order_rows(summary: Summary) -> list[OrderRow]:
    """The orders that were measured, those that won first: by best score, then by number met."""
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in summary.measured:
        groups[formatting.stage_order(trial.genome)].append(trial)
    looked_at = Counter(formatting.stage_order(trial.genome) for trial in summary.screened)
    ranked = []
    for order, trials in groups.items():
        good = [trial for trial in trials if summary.meets_target(trial)]
        scores = [score for trial in good if (score := summary.score(trial)) is not None]
        accuracies = [trial.accuracy for trial in trials if trial.accuracy is not None]
        row = OrderRow(
            order=order,
            looked_at=looked_at[order],
            measured=len(trials),
            met=len(good),
            on_front=sum(trial in summary.front for trial in trials),
            score=f"{min(scores):.3f}" if scores else "",
            accuracy=shown(summary, max(accuracies)) if accuracies else "",
            is_chosen=summary.chosen in trials,
        )
        ranked.append(((min(scores, default=float("inf")), -len(good), -len(trials)), row))
    return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]


def genes_of(genome: Genome) -> dict[str, GeneValue]:
    """The genes by name, such as "distill: width"; a stage that comes again has its number."""
    found: dict[str, GeneValue] = {}
    seen: Counter[str] = Counter()
    for stage in genome.stages:
        kind = type(stage).__name__.lower()
        seen[kind] += 1
        name = kind if seen[kind] == 1 else f"{kind} {seen[kind]}"
        for field in fields(stage):
            gene, value = _value(field.name.replace("_", " "), getattr(stage, field.name))
            found[f"{name}: {gene}"] = value
    return found


def varied_genes(trials: Iterable[Trial]) -> list[str]:
    """The names of the genes that had more than one value, in the order of their first trial."""
    values: dict[str, set[GeneValue]] = defaultdict(set)
    for trial in trials:
        for name, value in genes_of(trial.genome).items():
            values[name].add(value)
    return [name for name, known in values.items() if len(known) > 1]


def gene_rows(summary: Summary) -> list[GeneRow]:
    """The genes that varied among the measured trials."""
    winners = [trial for trial in summary.front if summary.meets_target(trial)]
    chosen = genes_of(summary.chosen.genome) if summary.chosen else {}
    genes = {trial.number: genes_of(trial.genome) for trial in summary.measured}
    return [
        GeneRow(
            gene=name,
            tried=_range(_column(genes.values(), name)),
            on_front=_range(_column([genes[trial.number] for trial in winners], name)),
            chosen=_text(chosen[name]) if name in chosen else "",
        )
        for name in varied_genes(summary.measured)
    ]


def _value(gene: str, value: object) -> tuple[str, GeneValue]:
    """A gene's name and value; of several shares, such as those of channels kept, the mean."""
    match value:
        case bool():
            return gene, "yes" if value else "no"
        case int() | float():
            return gene, float(value)
        case (float() | int() as only,):
            return gene, float(only)
        case tuple() if value and all(isinstance(one, float) for one in value):
            return f"{gene}, mean", sum(value) / len(value)
        case tuple():
            return gene, " ".join(map(str, value)) or "none"
        case _:
            return gene, str(value)


def _column(genes: Iterable[Mapping[str, GeneValue]], name: str) -> list[GeneValue]:
    return [one[name] for one in genes if name in one]


_MOST_NAMED = 4  # values; of more, only how many they are


def _range(values: list[GeneValue]) -> str:
    """Numbers by their ends, words by their frequency: `0.25 to 1`, `mse (5), max (3)`."""
    numbers = [value for value in values if isinstance(value, float)]
    if numbers and len(numbers) == len(values):
        low, high = min(numbers), max(numbers)
        return _text(low) if low == high else f"{_text(low)} to {_text(high)}"
    named = Counter(map(_text, values)).most_common()
    if len(named) > _MOST_NAMED:
        return f"{len(named)} different"
    return ", ".join(f"{text} ({count})" for text, count in named)


def _text(value: GeneValue) -> str:
    return f"{value:.3g}" if isinstance(value, float) else value
