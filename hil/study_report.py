"""A study as people read it: Markdown with pictures, and the raw figures beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compress.tasks import get_task
from hil import words
from hil.artifacts import write_whole
from hil.plots import write_png
from hil.study_csv import write_csv
from hil.study_floors import FLOORS_POINTS, aims, arm_names, choices, drop_on_test, references
from hil.study_goals import Judged, gaps, judge, p_text, too_few
from hil.study_orders import orders_won
from hil.study_plots import floors_figure, hypervolume_figure, orders_figure
from hil.study_result import StudyResult
from hil.study_stats import LEAST_SEEDS, smallest_p
from hil.study_tables import floor_table, orders_table, p_table, volume_table
from hil.study_volume import REPLAYS, WORST_RATIO, curves
from hil.types import COUNTER_UNITS

_MOST_GAPS = 6


def write_study(result: StudyResult, folder: Path, command: str) -> Path:
    """Write study-TASK-BOARD.md, its three pictures and its traces into `folder`.

    `command` is what made it, as the reader may type it. A study that is not complete is written
    as far as it goes and labeled partial. Returns the path of the Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"study-{result.task}-{result.board.name}"
    chosen, grown = choices(result), curves(result)
    orders = orders_won(result, chosen)
    write_png(hypervolume_figure(result, grown), folder / f"{name}-hypervolume.png")
    write_png(floors_figure(result, chosen), folder / f"{name}-floors.png")
    write_png(orders_figure(orders), folder / f"{name}-orders.png")
    write_csv(result, folder / f"{name}-traces.csv.gz")
    missing = gaps(result)
    parts = [
        f"# Study: {get_task(result.task).title}, on `{result.board.name}`"
        f"{' (partial)' if missing else ''}\n",
        f"Made by `{command}`; raw figures: [{name}-traces.csv.gz]({name}-traces.csv.gz).\n",
        _partial(missing),
        _summary(judge(result, chosen, grown)),
        f"![Smallest costs of each arm]({name}-floors.png)\n",
        f"![Hypervolume]({name}-hypervolume.png)\n",
        "## The smallest costs above each accuracy floor\n",
        _how_to_read(result),
        *(
            f"### At most {floor:g} {'point' if floor <= 1 else 'points'} below float\n\n"
            f"{floor_table(result, chosen, floor)}\n"
            for floor in FLOORS_POINTS
        ),
        "## Which differences are more than chance\n",
        _about_p(result),
        f"{p_table(result, chosen)}\n",
        "## Hypervolume\n",
        f"{volume_table(result, grown)}\n",
        "## Which orders won\n",
        "Initials of prune, sparsify, quantize, distill, in the order applied. “Won” counts the "
        "networks of the best weighted mean, one for each search and seed that reached the "
        "floor; “of the fronts” is the share of the non-dominated networks that keep it.\n",
        f"![Orders that won]({name}-orders.png)\n",
        f"{orders_table(orders)}\n",
        _method(result),
    ]
    path = folder / f"{name}.md"
    write_whole(path, "\n".join(part for part in parts if part).encode())
    return path


def study_to_json(result: StudyResult) -> dict[str, Any]:
    """The same as one JSON object: verdicts, every choice, the volume at the end of the budget.

    Values are in bytes, counts or microjoules; a choice's `number` is null where nothing kept the
    floor, its `test_drop_points` where it was not tested. `gaps` is empty for a complete study.
    """
    chosen, grown = choices(result), curves(result)
    return {
        "task": result.task,
        "board": result.board.name,
        "seeds": list(result.seeds),
        "budget_measurements": result.budget_measurements,
        "budget_epochs": result.budget_epochs,
        "gaps": gaps(result),
        "traces": [
            {
                "arm": trace.arm,
                "kind": trace.kind,
                "seed": trace.seed,
                "measurements": sum(trial.fidelity == 1.0 for trial in trace.trials),
                "screened": sum(trial.fidelity < 1.0 for trial in trace.trials),
                "epochs": sum(t.genome.epochs * t.fidelity for t in trace.trials),
            }
            for trace in result.traces
        ],
        "goals": [asdict(one) for one in judge(result, chosen, grown)],
        "choices": [
            {
                "arm": one.arm,
                "seed": one.seed,
                "floor_points": one.floor_points,
                "aim": one.aim,
                "number": one.trial and one.trial.number,
                "order": one.trial and one.trial.genome.order,
                "value": one.value,
                "ratio": one.ratio,
                "test_drop_points": one.trial and drop_on_test(result, one.seed, one.trial),
            }
            for one in chosen
        ],
        "hypervolume": {
            arm: {str(seed): volume for seed, volume in found.items()}
            for arm, found in (
                (arm, one.at_count(result.budget_measurements)) for arm, one in grown.items()
            )
        },
    }


def _partial(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    more = len(missing) - _MOST_GAPS
    shown = [*missing[:_MOST_GAPS], *([f"and {more} more gaps"] if more > 0 else [])]
    return f"**Partial**: {'; '.join(shown)}. Nothing below is final.\n"


def _summary(judged: Sequence[Judged]) -> str:
    lines = [f"- **{one.verdict.capitalize()}**: {one.goal}. {_sentence(one)}" for one in judged]
    return "\n".join(["## In short\n", *lines, ""])


def _sentence(one: Judged) -> str:
    return f"{one.numbers[0].upper()}{one.numbers[1:]}."


def _how_to_read(result: StudyResult) -> str:
    text = (
        "Mean ± standard deviation over the seeds, and in brackets the mean ratio to the same "
        "seed's int8 network (everything kept, quantized with min/max ranges). Every cell is a "
        "network of its own: the smallest in that cost among "
        "those that keep the floor on the validation split. “Weighted mean” is the equal-weight "
        "mean of the ratios of model flash, RAM, count and energy, smallest in one network. "
        "“Reached” tells in how many seeds any network kept the floor; in the others the int8 "
        "network counts, ratio 1. “Test drop” is the mean loss on the test split, in points to "
        "the float network's there, of all networks in the row, and “kept” how many of them keep "
        "the floor there, too: choosing on one split flatters, and this says how much. Model "
        "flash is weights and tables; image flash everything that the linker placed.\n"
    )
    lost = sum(map(len, result.lost.values()))
    if lost:
        text += (
            f"\n{words.number_of(lost, 'chosen network')} known from the log alone came out "
            "differently when made again (as may be on another kind of processor), and so "
            "cannot be run on the test split: the drops are those of the others.\n"
        )
    if "energy" not in aims(result):
        text += (
            f"\nEnergy is left out: no power figure or no cycles are known for "
            f"`{result.board.name}`; the weighted mean is that of the other three.\n"
        )
    return text


def _about_p(result: StudyResult) -> str:
    seeds, arms = len(references(result)), len(arm_names(result))
    if seeds < LEAST_SEEDS:
        return f"No test: {too_few(seeds)}. The tables below have dashes.\n"
    least = smallest_p(seeds)
    return (
        "One-sided Wilcoxon signed-rank tests over the seeds, of log ratios; in brackets the p "
        f"after Holm's correction over the arms of the column. With {seeds} seeds the smallest "
        f"possible p is {p_text(least)}, and {p_text(min(1.0, least * (arms - 1)))} is the "
        f"smallest that the first of {arms - 1} arms can have after the correction: where that is "
        "above 0.05, only more seeds can tell.\n"
    )


def _method(result: StudyResult) -> str:
    board, trials = result.board, [trial for trace in result.traces for trial in trace.trials]
    lines = [
        "## How it was done\n",
        f"- Budget of every arm in every seed: {result.budget_measurements} measurements on the "
        f"board and {result.budget_epochs:g} epochs of training, screening included. Seeds: "
        f"{', '.join(map(str, result.seeds))}; each trains a float network of its own, so that "
        "arms are compared within seeds only. Networks are chosen on the validation split; no "
        "search has seen the test split.",
        "- Every measured network ran on the board or its emulator, its outputs equal bit for bit "
        "to the integer reference. Arms share what they have in common: a network that two arms "
        "asked for was made once and counts for both.",
        "- Hypervolume: validation drop from -1 to +2 points, and the ratios of model flash, RAM "
        f"and count to int8 from 0 to {WORST_RATIO:g}, as shares of that box; what lies beyond it "
        "counts nothing. Bands go from the least to the most.",
        f"- Arms whose trials do not depend on each other (random search, the sweeps of fixed "
        f"arms) are replayed in {REPLAYS} random orders of their log in each seed, which has the "
        "distribution of new runs as far as order goes; the networks are the same ones, so that "
        "this adds no seeds, and the tests count each seed once. Searches that learn are real "
        "runs only.",
        "- “Above all of several searches” holds if each single test holds, which needs no "
        "correction; Holm's is shown beside it.",
        "- Limits: one task and one board; int8 counts as available at every floor, whether it "
        "keeps it or not; the smallest of many networks on the validation split is chosen "
        "luckily to some degree, and more so by arms that measure more.",
    ]
    if trials:
        counters = {trial.measurement.counter for trial in trials if trial.measurement}
        counted = ", ".join(COUNTER_UNITS[counter] for counter in sorted(counters))
        made = [trial.provenance for trial in trials]
        versions = [
            sorted({(one.git_sha[:9] + (" with changes" if one.dirty else "")) for one in made}),
            sorted({one.compiler for one in made}),
            sorted({one.flags for one in made}),
            sorted({one.kernels for one in made}),
            sorted({f"QEMU {one.emulator}" if one.emulator else one.probe for one in made}),
            sorted({one.torch for one in made}),
            sorted({one.processor or "a processor not noted" for one in made}),
        ]
        names = ("git", "", "flags", "", "", "torch", "trained on")
        named = zip(names, versions, strict=True)
        texts = [f"{name} {', '.join(found)}".strip() for name, found in named]
        lines.append(f"- `{board.name}`: {board.title}, {board.core}. Count: {counted}.")
        lines.append(f"- {'; '.join(texts)}.")
    if board.energy is not None:
        lines.append(f"- Energy is an estimate, power times time: {board.energy.source}")
    return "\n".join(lines) + "\n"
