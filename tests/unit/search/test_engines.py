"""Every engine on a synthetic problem: no training, no board, known results."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

import moocore
import numpy as np
import pytest

from compress.errors import UserError
from compress.genome import Distill, Genome, Prune, Quantize
from compress.space.recipes import baseline, recipes
from compress.space.space import Space
from helpers.trials import infeasible, measured, screened
from hil.board import load_board
from hil.objective.goal import Goal, ObjectiveWeights
from hil.search.adaptive import LadderSearch
from hil.search.engine import BeginsAtRandom, Engine, Proposal
from hil.search.engine_bohb import Bohb, Rung, Screened, brackets, estimated_violation
from hil.search.engine_optuna import objectives
from hil.search.engine_weighted import WeightedIndividual, WeightedSum
from hil.search.nsga2 import Nsga2
from hil.search.registry import ENGINES, open_engine
from hil.types import Trial

SPACE = Space(groups=4, layers=6, epochs=(1, 2), blocks=1)
GOAL = Goal(load_board("m4"), accuracy=0.9, flash_bytes=60_000, ram_bytes=20_000)
MINE = ("nsga2", "weighted", "random", "tpe", "optuna-nsga2", "bohb")
# Channels that each group can do without: what is cut beyond costs accuracy.
_SPARE = (0.75, 0.5, 0.25, 0.0)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compress.pipeline.network.space_of", lambda original: SPACE)


def opened(name: str, seed: int = 0) -> Engine:
    original: Any = None  # only its space is looked at
    return open_engine(name, original, GOAL, seed)


def world(number: int, proposal: Proposal) -> Trial:
    """A trial of the synthetic problem; genomes that drop blocks are infeasible."""
    genome, fidelity = proposal.genome, proposal.fidelity
    if any(isinstance(stage, Prune) and stage.drop for stage in genome.stages):
        return infeasible(number, genome, fidelity=fidelity)
    kept, bits, accuracy = [1.0] * SPACE.groups, [8.0], 0.97
    for stage in genome.stages:
        match stage:
            case Prune():
                keep = stage.keep if len(stage.keep) > 1 else stage.keep * SPACE.groups
                kept = [a * b for a, b in zip(kept, keep, strict=True)]
            case Distill():
                kept = [ratio * stage.width for ratio in kept]
                accuracy += 0.01 if stage.teacher == "original" else -0.01
            case Quantize():
                bits = list(map(float, stage.weight_bits))
                accuracy -= 0.01 * sum(8 - b for b in bits) / len(bits) / (1 + stage.learn_ranges)
    too_few = zip(kept, _SPARE, strict=True)
    accuracy -= 0.3 * sum(max(0.0, 1.0 - ratio - spare) for ratio, spare in too_few)
    accuracy -= 0.05 * (1.0 - fidelity)
    used = {"flash": 15_000 + 30_000 * fmean(kept) * fmean(bits) / 8, "ram": 9e3 + 8e3 * max(kept)}
    macs = int(1e6 * fmean(ratio**2 for ratio in kept))
    if fidelity < 1.0:
        flash, ram = int(used["flash"]), int(used["ram"])
        return screened(
            number, genome, fidelity, accuracy, macs=macs, weight_bytes=flash, arena_bytes=ram
        )
    return measured(
        number,
        genome,
        accuracy=accuracy,
        flash=int(used["flash"]),
        ram=int(used["ram"]),
        count=macs,
    )


def searched(name: str, seed: int, least: int, cut: int | None = None) -> list[Trial]:
    """At least `least` trials of an engine; of batch `cut` only the first half is told."""
    engine, trials, batches = opened(name, seed), list[Trial](), 0
    while len(trials) < least:
        asked = engine.ask()
        tried = asked[: (len(asked) + 1) // 2] if batches == cut else asked
        told = [world(len(trials) + i, proposal) for i, proposal in enumerate(tried)]
        engine.tell(told)
        trials += told
        batches += 1
    return trials


def tried(trials: list[Trial]) -> list[tuple[str, float]]:
    return [(trial.genome.key, trial.fidelity) for trial in trials]


def best(trials: list[Trial]) -> float:
    """The smallest weighted mean of ratios to the baseline over the feasible trials."""
    return min(GOAL.weighted_mean(t, trials[0]) for t in trials if GOAL.violation(t) == 0.0)


def volume(trials: list[Trial]) -> float:
    """The hypervolume of the feasible trials, scaled by an error of 0.1 and the limits."""
    corner = np.array([0.1, GOAL.flash_bytes, GOAL.ram_bytes, 1e6])
    points = [objectives(t) for t in trials if GOAL.violation(t) == 0.0]
    return float(moocore.hypervolume(np.array(points) / corner, ref=np.ones(4)))


def test_an_unknown_engine_is_refused_with_those_that_exist() -> None:
    assert set(MINE) <= set(ENGINES)
    with pytest.raises(UserError, match="weighted, random, tpe"):
        opened("luck")


@pytest.mark.parametrize("name", MINE)
def test_the_baseline_comes_first_and_nothing_is_asked_for_twice(name: str) -> None:
    trials = searched(name, 3, 48)
    assert (trials[0].genome, trials[0].fidelity) == (baseline(), 1.0)
    assert len(set(tried(trials))) == len(trials)
    assert any(trial.state == "infeasible" for trial in trials)


@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize("cut", [None, 0, 2])
def test_the_same_trials_give_the_same_proposals_whatever_was_cut_off(
    name: str, cut: int | None
) -> None:
    trials = searched(name, 5, 32, cut)
    assert tried(trials) == tried(searched(name, 5, 32, cut))
    assert tried(trials) != tried(searched(name, 6, 32, cut))
    assert len(set(tried(trials))) == len(trials)


@pytest.mark.parametrize("name", MINE)
def test_it_goes_on_after_being_told_no_trials(name: str) -> None:
    engine = opened(name)
    asked = [p.key for _ in range(4) for p in (engine.ask(), engine.tell([]))[0]]
    assert len(set(asked)) == len(asked) > 4


@pytest.mark.parametrize("name", ["nsga2", "weighted"])
def test_evolution_finds_a_better_network_than_chance(name: str) -> None:
    """With as many trials as random search, in the mean over the same seeds."""
    learned = fmean(best(searched(name, seed, 800)) for seed in range(6))
    drawn = fmean(best(searched("random", seed, 800)) for seed in range(6))
    assert learned < drawn - 0.02


def test_with_weights_the_adaptive_engine_seeks_the_weighted_mean() -> None:
    """It needs fewer trials than without weights."""
    flash_only = replace(
        GOAL, weights=ObjectiveWeights(accuracy=0.0, flash=1.0, ram=0.0, latency=0.0)
    )

    def found(goal: Goal, seed: int) -> float:
        engine, trials = LadderSearch(SPACE, goal, seed), list[Trial]()
        while sum(trial.fidelity == 1.0 for trial in trials) < 36:
            told = [world(len(trials) + i, one) for i, one in enumerate(engine.ask())]
            engine.tell(told)
            trials += told
        full = [trial for trial in trials if trial.fidelity == 1.0]
        return min(flash_only.weighted_mean(t, full[0]) for t in full if GOAL.violation(t) == 0.0)

    seeds = range(4)
    assert fmean(found(flash_only, s) for s in seeds) < fmean(found(GOAL, s) for s in seeds) - 0.01


def test_tpe_learns_what_is_feasible() -> None:
    def late(name: str) -> list[Trial]:
        return [trial for seed in range(3) for trial in searched(name, seed, 100)[60:]]

    def feasible(trials: list[Trial]) -> float:
        return fmean(GOAL.violation(trial) == 0.0 for trial in trials)

    def unbuildable(trials: list[Trial]) -> float:
        return fmean(trial.state == "infeasible" for trial in trials)

    learned, drawn = late("tpe"), late("random")
    assert feasible(learned) > 2 * feasible(drawn)
    assert unbuildable(learned) < unbuildable(drawn) / 2


@pytest.mark.parametrize("name", ["nsga2", "weighted", "optuna-nsga2", "random"])
def test_a_generation_is_a_batch(name: str) -> None:
    assert len(opened(name).ask()) == 12


def test_tpe_asks_for_four_at_a_time() -> None:
    assert len(opened("tpe").ask()) == 4


@pytest.mark.parametrize("name", ["tpe", "nsga2", "optuna-nsga2"])
def test_results_do_not_change_the_random_start(name: str) -> None:
    def asked(reach: Sequence[float]) -> list[str]:
        engine, keys = opened(name), list[str]()
        while len(keys) < 40:
            batch = engine.ask()
            accuracies = [reach[(len(keys) + i) % len(reach)] for i in range(len(batch))]
            engine.tell(
                [
                    measured(i, p.genome, accuracy=a)
                    for i, (p, a) in enumerate(zip(batch, accuracies, strict=True))
                ]
            )
            keys += [proposal.genome.key for proposal in batch]
        return keys

    engine = opened(name)
    assert isinstance(engine, BeginsAtRandom)
    first, second = asked((0.95, 0.91, 0.97)), asked((0.5, 0.99, 0.92, 0.6, 0.93))
    assert first[: engine.drawn] == second[: engine.drawn]
    assert first[engine.drawn :] != second[engine.drawn :]


def test_only_a_warm_start_knows_the_recipes() -> None:
    known = set(recipes(2))
    plain, warm = (Nsga2(SPACE, GOAL, 0, warm=warm) for warm in (False, True))
    assert not known & {proposal.genome for proposal in plain.ask()}
    assert known < {proposal.genome for proposal in warm.ask()}


def test_the_weighted_sum_follows_the_users_weights() -> None:
    smallest = {}
    for weights in (
        ObjectiveWeights(flash=1, ram=0, latency=0),
        ObjectiveWeights(flash=0, ram=0, latency=1),
    ):
        engine, trials = WeightedSum(SPACE, replace(GOAL, weights=weights), 1), list[Trial]()
        for _ in range(10):
            told = [world(len(trials) + i, one) for i, one in enumerate(engine.ask())]
            engine.tell(told)
            trials += told
        found = engine.population[0].trial.measurement
        assert found is not None
        assert engine.population[0].fitness.values[0] == 0.0
        smallest[weights] = (found.flash.total, found.count)
    (flash, more_count), (more_flash, count) = smallest.values()
    assert flash < more_flash
    assert count < more_count


def test_the_weighted_sum_ranks_feasible_trials_first() -> None:
    reference = measured(0, baseline())

    def one(accuracy: float, flash: int) -> Any:
        trial = measured(1, baseline(), accuracy=accuracy, flash=flash)
        return WeightedIndividual(trial, GOAL, reference).fitness

    assert one(0.95, 50_000) > one(0.89, 10_000)
    assert one(0.95, 20_000) > one(0.95, 30_000)
    assert one(0.89, 30_000) > one(0.80, 10_000)


def test_without_a_measured_baseline_ratios_refer_to_the_first_trial() -> None:
    engine = WeightedSum(SPACE, GOAL, 0)
    first, *others = engine.ask()
    told = [infeasible(0, first.genome)]
    told += [measured(1 + i, one.genome, flash=30_000 - i) for i, one in enumerate(others)]
    engine.tell(told)
    assert engine.reference == told[1]
    assert len(engine.population) == 11


def test_brackets_follow_hyperbands_arithmetic() -> None:
    # R = 9, eta = 3 (Li et al. 2018, table 1 has R = 81): n = 9, ceil(3/2 * 3) = 5, 3.
    ninth, third, full = 1 / 9, 1 / 3, 1.0
    assert brackets(2) == (
        (Rung(9, ninth), Rung(3, third), Rung(1, full)),
        (Rung(5, third), Rung(1, full)),
        (Rung(3, full),),
    )
    # The paper's table 1, R = 81.
    assert [[rung.count for rung in bracket] for bracket in brackets(4)] == [
        [81, 27, 9, 3, 1],
        [34, 11, 3, 1],
        [15, 5, 1],
        [8, 2],
        [5],
    ]


def test_bohb_asks_for_the_rungs_in_turn() -> None:
    engine = opened("bohb")
    sizes = []
    for number in range(12):
        asked = engine.ask()
        sizes.append([(round(1 / p.fidelity)) for p in asked])
        engine.tell([world(100 * number + i, p) for i, p in enumerate(asked) if not dropped(p)])
    one_iteration = [[9] * 9, [3] * 3, [1], [3] * 5, [1], [1] * 3]
    assert sizes == [[1, *one_iteration[0]], *one_iteration[1:], *one_iteration]


def dropped(proposal: Proposal) -> bool:
    return any(isinstance(s, Prune) and s.drop for s in proposal.genome.stages)


def test_bohb_promotes_the_best_of_a_rung_and_never_an_infeasible_one() -> None:
    engine = Bohb(SPACE, GOAL, 0)
    _, *asked = engine.ask()
    told = [
        screened(1 + i, p.genome, p.fidelity, 0.95, macs=10**6 - i, weight_bytes=20_000 - i)
        for i, p in enumerate(asked)
    ]
    told[8] = infeasible(9, asked[8].genome, fidelity=asked[8].fidelity)
    told[7] = replace(told[7], accuracy=0.5)  # smaller than all others, and far below the floor
    engine.tell(told)
    # Of equal accuracy, the later are smaller in weights and MACs: each dominates those before.
    assert {p.genome for p in engine.ask()} == {asked[i].genome for i in (4, 5, 6)}


def test_bohb_goes_on_when_there_is_nothing_to_promote() -> None:
    engine = Bohb(SPACE, GOAL, 0)
    first = engine.ask()
    engine.tell([infeasible(i, p.genome, fidelity=p.fidelity) for i, p in enumerate(first)])
    assert [p.fidelity for p in engine.ask()] == [1 / 3] * 5


def test_estimates_are_compared_with_the_limits() -> None:
    trial = screened(0, baseline(), 1 / 3, 0.81, weight_bytes=90_000, arena_bytes=25_000)
    assert estimated_violation(trial, GOAL) == pytest.approx(0.85 / 1.85)
    lean = screened(1, baseline(), 1 / 3, 0.95, weight_bytes=10_000, arena_bytes=5_000)
    assert estimated_violation(lean, GOAL) == 0.0
    assert Screened(lean, GOAL).fitness.dominates(Screened(trial, GOAL).fitness)
    assert estimated_violation(infeasible(2, baseline()), GOAL) == 1.5


def test_genomes_of_all_engines_hold_a_quantization() -> None:
    for name in MINE:
        for trial in searched(name, 0, 24):
            assert any(isinstance(stage, Quantize) for stage in trial.genome.stages)
            assert Genome.from_json(trial.genome.to_json()) == trial.genome
