"""The run of a study: every arm with every seed, over one store per seed.

A trial is a pure function of the original network and the proposal, and an engine's proposals are a
pure function of the trials it was told. An arm is therefore replayed from the store up to the first
proposal without a stored trial. So a study resumes where it stopped, and no trial is run twice,
even if several arms propose it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from compress.pipeline.network import Original
from compress.projects.find import TaskRef, find_task, identity_of_task
from compress.space.recipes import baseline
from hil.board import board_sha256, without_waits
from hil.files import open_folder
from hil.loop.finals import measure_finals
from hil.loop.trial_jobs import Job, in_jobs, record_outcomes, submitted
from hil.objective.goal import Goal
from hil.search.engine import Proposal
from hil.store.run_folder import original_path
from hil.store.store import Final, RunIdentity, Store
from hil.study.arm_replay import ArmBudget, ArmReplay
from hil.study.arms import Arm
from hil.study.confirmed import chosen_numbers
from hil.study.log import adopt_logged_original, adopt_sensitivity, export_log, import_log
from hil.study.result import StudyResult
from hil.terminal import ShowProgress
from hil.trial.candidate import Outcome
from hil.trial.charges import LookPrices
from hil.trial.jobs import Jobs, result_of
from hil.trial.pool import LocalPool, Pool
from hil.trial.start import Start, check_same_judged, check_startable
from hil.types import Board, Trial

# The accuracy floor of the searches' goal, in points below the float network: the lowest one of the
# report.
FLOOR_POINTS = 2.0


@dataclass(frozen=True, slots=True)
class StudySettings:
    """The task, board, arms, seeds and budget of a study, and its folders.

    `folder` has a store for each seed, `log` the same trials as files (`hil.study.log`).
    """

    task: TaskRef
    board: Board
    folder: Path
    log: Path
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    budget: ArmBudget
    processes: int = 2


@dataclass(slots=True)
class Deadline:
    """The time limit of a study: no trial starts after it; `end` also abandons running ones."""

    minutes: float
    began: float = field(default_factory=time.monotonic)
    ended: bool = False

    @property
    def over(self) -> bool:
        return self.ended or time.monotonic() - self.began > 60 * self.minutes

    def end(self) -> None:
        """End now: finished trials are still replayed and reported."""
        self.ended = True


class Ended(Exception):
    """`Deadline.end` was called while trials ran; leaving the pool with it abandons them.

    Not a KeyboardInterrupt: that comes from a second Ctrl-C, which ends the study without a report.
    """


def study(settings: StudySettings, deadline: Deadline, show: ShowProgress) -> StudyResult:
    """Run the missing trials of the study, seed after seed; the result may be partial.

    `show` is called with the share done (0 .. 1) and a text. Raises BenchError, Mismatch and
    UserError as a search does; every finished trial is kept. Wait states are not modeled: the logs
    that studies grow from have none.
    """
    settings = replace(settings, board=without_waits(settings.board))
    if not settings.folder.exists():  # else its data were loaded before
        check_startable(find_task(settings.task))
    open_folder(settings.log)  # before anything is trained
    replays: dict[int, list[ArmReplay]] = {}
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
            identity_of_task(settings.task), settings.board.name, seed, board_sha256(settings.board)
        )
        with Store.open(place, identity) as store:
            import_log(settings.log, store, seed)
            originals[seed] = _float_accuracies(store, original)
            goal = Goal.of(settings.board, originals[seed]["val"] - FLOOR_POINTS / 100)
            looks = LookPrices.of(original)
            replays[seed] = [
                ArmReplay(arm, arm.open(original, goal, seed), settings.budget, looks)
                for arm in settings.arms
            ]
            store.begin_session(goal.accuracy, "study", goal.to_json(), settings.processes)
            try:
                with LocalPool(settings.processes, start.open) as pool:
                    run_arms(replays[seed], store, pool, deadline, settings.budget, show_seed)
                    part = _result(settings, {seed: replays[seed]}, originals, finals, {})
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
    return _result(settings, replays, originals, finals, lost)


def run_arms(
    replays: list[ArmReplay],
    store: Store,
    pool: Pool,
    deadline: Deadline,
    budget: ArmBudget,
    show: ShowProgress,
) -> None:
    """Run all arms of a seed side by side: the trials they wait for, in turn.

    Raises Ended if `deadline` was ended while trials ran.
    """
    known = {(trial.genome.key, trial.fidelity, trial.repeat): trial for trial in store.trials()}
    jobs = Jobs[Job, list[Outcome]]()
    number = store.next_number()

    def find(proposal: Proposal) -> Trial | None:
        return known.get(proposal.key)

    while True:
        missing = [(replay, replay.advance(find)) for replay in replays]
        missing.sort(key=lambda pair: pair[0].reached)  # the arms that are behind first
        under_way = {proposal.key for job in jobs.running for proposal in job}
        wanted = {p.key: _profiled(p) for p in _in_turn([proposals for _, proposals in missing])}
        waiting = [proposal for key, proposal in wanted.items() if key not in under_way]
        for job in in_jobs(waiting, pool.count):
            if len(jobs) >= pool.count or deadline.over:
                break
            jobs.add(job, submitted(pool, number, job))
            number += len(job)
        if not jobs:
            return
        ended = jobs.collect()
        if not ended and deadline.ended:
            raise Ended
        for job, future in ended:
            outcomes = result_of(future)
            record_outcomes(store, outcomes)
            for proposal, outcome in zip(job, outcomes, strict=True):
                known[proposal.key] = outcome.trial
        show(*_progress(replays, budget))


def _float_accuracies(store: Store, original: Original) -> dict[str, float]:
    """The float network's accuracy by split (shares of 1), measured once per store.

    Raises UserError for a log whose networks were judged on other samples.
    """
    judged = original.judged_share
    check_same_judged(store, original, judged)
    if "test" not in store.original_accuracies():
        store.set_original_accuracy("val", judged)
        store.set_original_accuracy("test", original.test_share)
    return dict(store.original_accuracies())


def _profiled(proposal: Proposal) -> Proposal:
    """The proposal; the baseline's layers are always counted, whichever arm asks for it first.

    Searches on elastic networks need them, and a store has one trial of a genome.
    """
    is_baseline = proposal.genome == baseline() and proposal.fidelity == 1.0
    return replace(proposal, profile=proposal.profile or is_baseline)


def _in_turn(wanted: list[list[Proposal]]) -> list[Proposal]:
    """The first proposal of each arm, then the second of each, and so on."""
    longest = max(map(len, wanted), default=0)
    return [one[place] for place in range(longest) for one in wanted if place < len(one)]


def _progress(replays: list[ArmReplay], budget: ArmBudget) -> tuple[float, str]:
    """The share done, and a text with the unfinished arms and their measurements."""
    full = {replay.arm.name: sum(t.fidelity == 1.0 for t in replay.told) for replay in replays}
    done = sum(
        1.0 if replay.over else full[replay.arm.name] / budget.measurements for replay in replays
    )
    going = [f"{replay.arm.name} {full[replay.arm.name]}" for replay in replays if not replay.over]
    return done / len(
        replays
    ), f"{len(replays) - len(going)}/{len(replays)} arms, {', '.join(going)}"


def _result(
    settings: StudySettings,
    replays: Mapping[int, list[ArmReplay]],
    originals: Mapping[int, Mapping[str, float]],
    finals: Mapping[int, Mapping[int, Final]],
    lost: Mapping[int, frozenset[int]],
) -> StudyResult:
    return StudyResult(
        task=settings.task,
        board=settings.board,
        budget_measurements=settings.budget.measurements,
        budget_epochs=settings.budget.epochs,
        seeds=tuple(replays),
        not_begun=tuple(seed for seed in settings.seeds if seed not in replays),
        traces=tuple(replay.trace(seed) for seed, some in replays.items() for replay in some),
        originals=originals,
        finals=finals,
        lost=lost,
    )
