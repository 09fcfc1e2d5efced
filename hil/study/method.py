"""The prose of a study's report: its method, its limits, and how to read the tables."""

from __future__ import annotations

from hil import formatting
from hil.objective.floor import CONFIDENCE
from hil.study.choices import aims, arm_names, references
from hil.study.result import StudyResult
from hil.study.stats import LEAST_SEEDS, smallest_p
from hil.study.verdicts import GOAL_FLOOR_POINTS, p_text, too_few
from hil.study.volume import REPLAYS, WORST_RATIO
from hil.types import COUNTER_UNITS

ABOUT_USE = (
    "Per seed: the mean, and in brackets the minimum and maximum. A network that was looked at had "
    "no training of its own, a screened one a part of it. A network that several arms share counts "
    "for each of them. Epochs are those of the task's data: a stage that several candidates of an "
    "arm begin with counts once, an epoch of an elastic network three times (it trains four "
    "sub-networks a step), a look as a third of training on the samples that it evaluates, of a "
    "sub-network by its size. Seconds are those of all processes, evaluating, building and "
    "emulating included, as if the arm had run alone; they were taken beside other work.\n"
)
ABOUT_CONTROLS = (
    "These arms begin with the same networks to profile and the same elastic network as the "
    "elastic search, pay for it alike, and end alike, except where it says so: *random* builds and "
    "trains sub-networks drawn at random, *uniform* those with one share of the channels for all "
    "groups, *TPE* takes Optuna's TPE on inherited accuracy and predicted costs in place of "
    "NSGA-II; what is built, the tails, successive halving and repeats are those of the elastic "
    "search. *Plain NSGA-II* has none of these: it starts from random shapes and trains its "
    "survivors, best first, by two fixed tails, quantized (8 or 4 bits) and then distilled for the "
    "longest of the search's lengths. “p, elastic above”: one-sided Wilcoxon signed-rank, in "
    "brackets after Holm's correction over the controls.\n"
)


def about_warm_start(table: str) -> str:
    """The paragraph about the warm start with its table (`tables.warm_table`); empty without it."""
    if not table:
        return ""
    return (
        "The adaptive search begins with genomes that it has before it learns anything: known "
        "recipes, and what a quick look at each layer's sensitivity suggests. What these alone "
        f"give, and the whole search, at most {GOAL_FLOOR_POINTS:g} point below float (mean "
        f"ratios to int8, each cost in the networks where it is smallest):\n\n{table}\n"
    )


def how_to_read(result: StudyResult) -> str:
    """The paragraph that explains the columns of the floor tables, and what is missing in them."""
    text = (
        "Mean ± standard deviation over the seeds, and in brackets the mean ratio to the same "
        "seed's int8 network (everything kept, quantized with min/max ranges). Every cell is a "
        "network of its own: the smallest in that cost among "
        "those that keep the floor on the validation split. “Weighted mean” is the equal-weight "
        "mean of the ratios of model flash, RAM, count and energy, smallest in one network. "
        "“Reached” tells in how many seeds any network kept the floor; in the others the int8 "
        "network counts, ratio 1. “Test drop” is the mean loss of all networks in the row on the "
        "test split, in points below the float network, and “kept” is how many of them keep the "
        "floor there, too: this shows how much the choice on the validation split flattered. Model "
        "flash is weights and tables; image flash is everything that the linker placed.\n"
    )
    lost = sum(map(len, result.lost.values()))
    if lost:
        text += (
            f"\n{formatting.number_of(lost, 'chosen network')} known from the log alone came out "
            "differently when recreated (as can happen on another kind of processor, or with "
            "another firmware or package) and cannot be run on the test split: the drops are those "
            "of the others.\n"
        )
    if "energy" not in aims(result):
        text += (
            f"\nEnergy is left out: no power figure or no cycles are known for "
            f"`{result.board.name}`; the weighted mean is that of the other three.\n"
        )
    return text


def about_confirmed() -> str:
    """The paragraph that explains the table of networks chosen by the decision rule."""
    return (
        "For each arm, seed and floor the smallest network, in either cost, of those that keep the "
        f"floor with a probability of at least {CONFIDENCE:g} by the validation split (the "
        "decision rule of a search). “Sure” tells in how many seeds there was one; in the others "
        "int8 counts, ratio 1. In brackets is the ratio with int8 also in place of networks that "
        "do not keep the floor on the test split, which chose nothing; “keep” is how many of the "
        "different networks do.\n"
    )


def about_p(result: StudyResult) -> str:
    """The paragraph about the tests and their smallest possible p, or why there is no test."""
    seeds, arms = len(references(result)), len(arm_names(result))
    if seeds < LEAST_SEEDS:
        return f"No test: {too_few(seeds)}. The tables below have dashes.\n"
    if arms < 2:
        return "No test: there is nothing to compare the one arm with.\n"
    least = smallest_p(seeds)
    return (
        "One-sided Wilcoxon signed-rank tests over the seeds, of log ratios; in brackets the p "
        f"after Holm's correction over the arms of the column. With {seeds} seeds the smallest "
        f"possible p is {p_text(least)}, and {p_text(min(1.0, least * (arms - 1)))} is the "
        f"smallest that the first of {arms - 1} arms can have after the correction: where that is "
        "above 0.05, only more seeds can tell.\n"
    )


def method(result: StudyResult) -> str:
    """The section about the method: budget, rules, limits, and the versions of all tools."""
    board, trials = result.board, [trial for trace in result.traces for trial in trace.trials]
    lines = [
        "## How it was done\n",
        f"- Budget of every arm in every seed: {result.budget_measurements} measurements on the "
        f"board and {result.budget_epochs:g} epochs, counted as is told above, at most; what each "
        "used is in the table there. Seeds: "
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
        f"arms) are replayed in {REPLAYS} random orders of their log in each seed (random search's "
        "first, int8, stays first): every order of independent trials was equally likely. The "
        "networks stay the same, so this adds no seeds, and the tests count each seed once. "
        "Searches that learn have their real run only.",
        "- “Above all of several searches” holds if each single test holds, which needs no "
        "correction; Holm's is shown beside it.",
        "- Limits: one task and one board; int8 counts as available at every floor, whether it "
        "keeps it or not; the smallest of many networks on the validation split owes "
        "something to luck, the more the more networks an arm measures.",
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
        cycles = "" if board.counter != "insn" else " (modelled cycles, memory that never waits)"
        lines.append(f"- Energy is an estimate, power times time{cycles}: {board.energy.source}")
    return "\n".join(lines) + "\n"
