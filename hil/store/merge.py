"""Add trials from elsewhere to a run: from another store, or from a table (`hil.store.table`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compress.errors import UserError
from hil.store.project_files import copy_project
from hil.store.run_folder import (
    copy_original,
    network_path,
    original_path,
    read_diagnosis,
    save_diagnosis,
    save_network,
)
from hil.store.sqlite import store_errors
from hil.store.store import Final, Store, check_same_run
from hil.types import Trial

Figure = str | int | float | None
MERGE_ELSEWHERE = "merge it into another run"


@dataclass(frozen=True, slots=True)
class Conflict:
    """A proposal with different figures in both runs; the target keeps its own value, `ours`.

    `number` is the trial's number in the target, `their_number` its number in the source.
    """

    number: int
    their_number: int
    quantity: str
    ours: Figure
    theirs: Figure


@dataclass(frozen=True, slots=True)
class MergeResult:
    """The result of a merge: how many trials were `added`, and how many were `known` before.

    `conflicting` lists the figures of known trials that differ.
    """

    added: int
    known: int
    conflicting: tuple[Conflict, ...]


def merge(target: Store, source: Store) -> MergeResult:
    """Add the trials of `source` that `target` lacks, with networks, finals and accuracies.

    New trials get numbers after those of the target. A target without a session takes the goal of
    the source's last session. Raises UserError, with nothing written, if the two are not runs of
    the same task, board and seed, or started from different original networks.
    """
    if target.folder.resolve() == source.folder.resolve():
        raise UserError(f"{source.folder} cannot be merged into itself")
    check_same_run(source.folder, source.identity, target.identity, MERGE_ELSEWHERE)
    if original_path(source.folder).is_file():
        copy_original(original_path(source.folder), target.folder)
    copy_project(source.folder, target.folder)
    diagnosis = read_diagnosis(source.folder)
    if diagnosis is not None and read_diagnosis(target.folder) is None:
        save_diagnosis(target.folder, diagnosis)
    with target.transaction():
        merged = merge_trials(
            target, source.trials(), source.finals(), source.original_accuracies(), source
        )
        asked = source.sessions()
        if asked and not target.sessions():
            target.add_goal(asked[-1].accuracy_target, asked[-1].goal)
    return merged


def merge_trials(
    target: Store,
    trials: Sequence[Trial],
    finals: Sequence[Final],
    originals: Mapping[str, float],
    networks: Store | None = None,
) -> MergeResult:
    """Add trials, finals and accuracies to `target`, all or nothing.

    Network files are copied from the store `networks`. The new trials keep their numbers if none
    is taken. Finals of a known trial are added if its figures are equal; its network is copied if
    the program is equal and `target` has no network for it.
    """
    found = [(trial, target.find(trial.genome, trial.fidelity, trial.repeat)) for trial in trials]
    known = [(trial, ours) for trial, ours in found if ours is not None]
    conflicts = tuple(c for trial, ours in known for c in _conflicts(ours, trial))
    other = {conflict.their_number for conflict in conflicts}
    numbers = {trial.number: ours.number for trial, ours in known if trial.number not in other}
    added = [trial for trial, ours in found if ours is None]
    shift = _shift(target, added)
    if networks is not None:
        _copy_networks(networks, target, added, shift, known)
    with target.transaction():
        for trial in added:
            numbers[trial.number] = trial.number + shift
            target.add(replace(trial, number=trial.number + shift))
        for final in finals:
            if final.number in numbers:
                target.add_final(replace(final, number=numbers[final.number]))
        for split, accuracy in originals.items():
            target.set_original_accuracy(split, accuracy)
    return MergeResult(len(added), len(known), conflicts)


def _shift(target: Store, added: Sequence[Trial]) -> int:
    """The offset of the new trials' numbers: 0, or so large that they follow the target's."""
    taken = {trial.number for trial in target.trials()}
    if taken.isdisjoint(trial.number for trial in added):
        return 0
    return target.next_number() - min(trial.number for trial in added)


def _conflicts(ours: Trial, theirs: Trial) -> list[Conflict]:
    figures = zip(_figures(ours).items(), _figures(theirs).values(), strict=True)
    return [
        Conflict(ours.number, theirs.number, quantity, here, there)
        for (quantity, here), there in figures
        if here != there
    ]


def _figures(trial: Trial) -> dict[str, Figure]:
    """The figures that must be equal if the same proposal is tried twice."""
    measured = trial.measurement
    return {
        "state": trial.state,
        "accuracy": trial.accuracy,
        "count": measured.count if measured else None,
        "flash_bytes": measured.flash.total if measured else None,
        "ram_bytes": measured.ram.total if measured else None,
    }


def _copy_networks(
    source: Store,
    target: Store,
    added: Sequence[Trial],
    shift: int,
    known: Sequence[tuple[Trial, Trial]],
) -> None:
    pairs = [(trial.number, trial.number + shift) for trial in added]
    for theirs, ours in known:
        same = theirs.program_sha256 == ours.program_sha256
        if same and not network_path(target.folder, ours.number).is_file():
            pairs.append((theirs.number, ours.number))
    for number, new_number in pairs:
        path = network_path(source.folder, number)
        with store_errors(path):
            if path.is_file():
                save_network(target.folder, new_number, path.read_bytes())
