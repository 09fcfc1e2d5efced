"""A study: every arm with every seed over one store per seed, so that nothing is run twice.

A trial is a pure function of original network and proposal, and an engine of what it is told:
an arm is replayed from the store up to the first proposal that the store does not have. So a study
goes on where it ended, however it ended, and what one arm has tried answers the others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compress.pipeline.network import Original
from compress.training.train import accuracy
from hil.board import board_sha256
from hil.files import open_folder
from hil.loop.batch import record_outcome
from hil.loop.finals import measure_finals
from hil.objective.goal import Goal
from hil.search.engine import Proposal
from hil.store.run_folder import original_path
from hil.store.store import Final, RunIdentity, Store
from hil.study.arm_replay import ArmBudget, Race
from hil.study.arms import Arm
from hil.study.choices import chosen_numbers
from hil.study.log import adopt_logged_original, adopt_sensitivity, export_log, import_log
from hil.study.result import StudyResult
from hil.terminal import ShowProgress
from hil.trial.candidate import Outcome
from hil.trial.jobs import Jobs, result_of
from hil.trial.pool import LocalPool, Pool
from hil.trial.start import Start
from hil.types import Board, Trial

# The loosest floor that is compared, in points below the float network: what searches aim at.
FLOOR_POINTS = 2.0


@dataclass(frozen=True, slots=True)
class StudySettings:
    """What to compare.

    `folder` has a store per seed; `log` the same evaluations as files that are kept.
    """

    task: str
    board: Board
    folder: Path
    log: Path
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    budget: ArmBudget
    processes: int = 2


@dataclass(slots=True)
class Deadline:
    """When to stop starting trials, on the monotonic clock; `end` also leaves what is running."""

    minutes: float
    began: float = field(default_factory=time.monotonic)
    ended: bool = False

    @property
    def over(self) -> bool:
        return self.ended or time.monotonic() - self.began > 60 * self.minutes

    def end(self) -> None:
        """Now. What is there is still replayed, so that it can be reported."""
        self.ended = True


class Ended(Exception):
    """The deadline was ended while something ran: makes a pool leave its work.

    No KeyboardInterrupt: that is the second Ctrl-C, which leaves the study, too.
    """


def study(settings: StudySettings, deadline: Deadline, show: ShowProgress) -> StudyResult:
    """Run what is missing of the study, seed after seed; the result may be partial.

    `show` is told the share done (0..1) and what is being done. Raises BenchError, Mismatch and
    UserError as a search does, with every finished trial kept.
    """
    open_folder(settings.log)  # before anything is trained
    races: dict[int, list[Race]] = {}
    originals: dict[int, Mapping[str, float]] = {}
    finals: dict[int, Mapping[int, Final]] = {}
    lost: dict[int, frozenset[int]] = {}
    for index, seed in enumerate(settings.seeds):
        place = settings.folder / f"seed-{seed}"

        def show_seed(share: float, text: str, index: int = index, seed: int = seed) -> None:
            show((index + share) / len(settings.seeds), f"seed {seed}: {text}")

        def show_final(_: float, text: str, show_seed: ShowProgress = show_seed) -> None:
            show_seed(0.99, text)

        open_folder(place)
        adopt_logged_original(settings.log, place, seed)
        if deadline.over and not original_path(place).is_file():
            break
        start = Start.prepare(settings.task, settings.board, seed, place)
        original = start.original()
        adopt_sensitivity(settings.log, original, seed)
        identity = RunIdentity(
            settings.task, settings.board.name, seed, board_sha256(settings.board)
        )
        with Store.open(place, identity) as store:
            import_log(settings.log, store, seed)
            originals[seed] = _float_accuracies(store, original)
            goal = Goal.of(settings.board, originals[seed]["val"] - FLOOR_POINTS / 100)
            races[seed] = [
                Race(arm, arm.open(original, goal, seed), settings.budget) for arm in settings.arms
            ]
            store.begin_session(goal.accuracy, "study", goal.to_json(), settings.processes)
            try:
                with LocalPool(settings.processes, start.open) as pool:
                    run_races(races[seed], store, pool, deadline, settings.budget, show_seed)
                    part = _result(settings, {seed: races[seed]}, originals, finals, {})
                    numbers = chosen_numbers(part).get(seed, ())
                    chosen = [trial for trial in store.trials() if trial.number in numbers]
                    lost[seed] = measure_finals(
                        chosen,
                        store,
                        pool,
                        show_final,
                        lambda: deadline.over,
                    )
            except Ended:
                lost[seed] = frozenset()
            finally:
                export_log(settings.log, store, seed)
            reason = "minutes" if deadline.over else "exhausted"
            store.end_session("interrupt" if deadline.ended else reason)
            finals[seed] = {final.number: final for final in store.finals()}
    return _result(settings, races, originals, finals, lost)


def run_races(
    races: list[Race],
    store: Store,
    pool: Pool,
    deadline: Deadline,
    budget: ArmBudget,
    show: ShowProgress,
) -> None:
    """All arms side by side: whatever any of them waits for is tried next, in turn.

    Raises Ended where `deadline` was.
    """
    known = {(trial.genome.key, trial.fidelity): trial for trial in store.trials()}
    jobs = Jobs[Proposal, Outcome]()
    number = store.next_number()

    def find(proposal: Proposal) -> Trial | None:
        return known.get(proposal.key)

    while True:
        missing = [(race, race.advance(find)) for race in races]
        missing.sort(key=lambda pair: pair[0].reached)  # so that all arms get on alike
        under_way = {proposal.key for proposal in jobs.running}
        for proposal in _in_turn([proposals for _, proposals in missing]):
            if len(jobs) >= pool.count or deadline.over:
                break
            if proposal.key not in under_way:
                jobs.add(proposal, pool.trial(number, proposal))
                under_way.add(proposal.key)
                number += 1
        if not jobs:
            return
        ended = jobs.collect()
        if not ended and deadline.ended:
            raise Ended
        for proposal, future in ended:
            outcome = result_of(future)
            record_outcome(store, outcome)
            known[proposal.key] = outcome.trial
        show(*_progress(races, budget))


def _float_accuracies(store: Store, original: Original) -> dict[str, float]:
    """The float network's accuracy by split, measured once per store."""
    if "test" not in store.original_accuracies():
        for split in ("val", "test"):
            samples = getattr(original.data, split)
            store.set_original_accuracy(split, accuracy(original.module, samples))
    return dict(store.original_accuracies())


def _in_turn(wanted: list[list[Proposal]]) -> list[Proposal]:
    """The first that each arm waits for, then the second of each, and so on."""
    longest = max(map(len, wanted), default=0)
    return [one[place] for place in range(longest) for one in wanted if place < len(one)]


def _progress(races: list[Race], budget: ArmBudget) -> tuple[float, str]:
    """Share done, and the arms that still run with their measurements."""
    full = {race.arm.name: sum(t.fidelity == 1.0 for t in race.told) for race in races}
    done = sum(1.0 if race.over else full[race.arm.name] / budget.measurements for race in races)
    going = [f"{race.arm.name} {full[race.arm.name]}" for race in races if not race.over]
    return done / len(races), f"{len(races) - len(going)}/{len(races)} arms, {', '.join(going)}"


def _result(
    settings: StudySettings,
    races: Mapping[int, list[Race]],
    originals: Mapping[int, Mapping[str, float]],
    finals: Mapping[int, Mapping[int, Final]],
    lost: Mapping[int, frozenset[int]],
) -> StudyResult:
    return StudyResult(
        task=settings.task,
        board=settings.board,
        budget_measurements=settings.budget.measurements,
        budget_epochs=settings.budget.epochs,
        seeds=tuple(races),
        not_begun=tuple(seed for seed in settings.seeds if seed not in races),
        traces=tuple(race.trace(seed) for seed, some in races.items() for race in some),
        originals=originals,
        finals=finals,
        lost=lost,
    )
