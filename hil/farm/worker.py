"""The jobs of a farm's workers: train on any machine, measure where the board is.

In one process at most one job trains and at most one uses each board: Dask's resources limit them
(`hil.farm.nodes`).
"""

from __future__ import annotations

import errno
import functools
import hashlib
import socket
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

from compress.cache import cache_folder, content_hash
from compress.errors import HilError, UserError
from compress.pipeline.pipeline import prefix_cache
from compress.projects.find import find_task, identity_of_task, label_of
from compress.projects.project import Project
from compress.training.data_check import data_sha256
from hil.farm.journal import Journal
from hil.farm.source_fingerprint import code_id
from hil.farm.trainings import training_told
from hil.measure.measure import BoardRunner
from hil.measure.provenance import processor, provenance
from hil.search.engine import Proposal
from hil.store.run_folder import failure_folder
from hil.store.store import Final
from hil.store.trial_json import trial_from_json, trial_to_json
from hil.target.open import open_target, open_waiting_target
from hil.trial.candidate import Context, Outcome, Prepared, measure_final, measure_prepared, prepare
from hil.trial.inherited import look_at
from hil.trial.start import Start
from hil.types import Provenance, Trial

_T = TypeVar("_T")

_MOST_CONTEXTS = 8
_DIGITS = 12  # of a hash that is shown

_lock = threading.Lock()
_contexts: OrderedDict[str, Context] = OrderedDict()
_provenance = functools.cache(provenance)


@dataclass(frozen=True, slots=True)
class Ticket:
    """The part of a job that is the same for all jobs of a search.

    `start` is the start of the search. `code` (`code_id`) and `data_sha256` must be equal on the
    worker. `session` is unique to one search process; `provenance` is that of its machine.
    """

    session: str
    start: Start
    code: str
    data_sha256: str
    provenance: Provenance
    task_source: str = ""

    @classmethod
    def of(cls, start: Start, session: str) -> Ticket:
        """The ticket for a search that this machine runs. Raises UserError as `provenance` does."""
        task = find_task(start.task)
        return cls(
            session=session,
            start=start,
            code=code_id(),
            data_sha256=data_sha256(task.load()),
            provenance=provenance(start.board, start.seed, start.saves),
            task_source=task.source,
        )

    @property
    def words(self) -> str:
        """What goes to the workers, and what they must have themselves, in one line."""
        task, network = self.start.task, _short(hashlib.sha256(self.start.state_dict).hexdigest())
        held = task.files if isinstance(task, Project) else ()
        sent = [f"{one.path.name} {_short(one.sha256)}" for one in held if one.content is not None]
        code = f"code and files come with the run ({', '.join([*sent, f'network {network}'])})"
        if not isinstance(task, Project):
            code = f"the trained network comes with the run ({network}), task {label_of(task)} not"
        return (
            f"farm: {code}; data are read on each machine and compared by hash "
            f"({_short(self.data_sha256)})"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Failed:
    """The error of a job, its machine, and the folder there in which the failure was saved."""

    error: HilError
    host: str
    folder: Path | None


def train_job(ticket: Ticket, number: int, proposal: Proposal) -> Prepared | Failed:
    """Run the half of a trial that needs no board: `hil.trial.candidate.prepare`, or a look."""
    if proposal.is_inherited:
        looked = inherited_job(ticket, number, [proposal])
        return looked if isinstance(looked, Failed) else Prepared(looked[0], None)
    with training_told(ticket.session):
        return _run(ticket, number, lambda context: prepare(context, number, proposal))


def inherited_job(
    ticket: Ticket, number: int, proposals: Sequence[Proposal]
) -> list[Trial] | Failed:
    """Look at sub-networks of one elastic network: `hil.trial.inherited.look_at`.

    Each machine trains the elastic network once, for its own prefix cache.
    """
    with training_told(ticket.session):
        return _run(
            ticket,
            number,
            lambda context: [outcome.trial for outcome in look_at(context, number, proposals)],
        )


def measure_job(ticket: Ticket, prepared: Prepared | Failed) -> Outcome | Failed:
    """Run the half that needs the board, unless this machine's journal has the outcome."""
    if isinstance(prepared, Failed):
        return prepared
    number = prepared.trial.number
    return _run(ticket, number, lambda context: _measure(context, ticket, prepared))


def final_job(ticket: Ticket, number: int, tflite: bytes) -> Final | Failed:
    """Measure a finished network on the test split, unless the journal has the figures."""
    return _run(ticket, number, lambda context: _final(context, ticket, number, tflite))


def _measure(context: Context, ticket: Ticket, prepared: Prepared) -> Outcome:
    """Measure and add the outcome to the journal. Raises as `measure_prepared`.

    The trial's provenance becomes that of the bench; only `processor` and `oracles` stay those of
    the machine that trained.
    """
    if prepared.model is None:
        return Outcome(prepared.trial)
    here = _provenance(context.board, ticket.start.seed, ticket.start.saves)
    trained = prepared.trial.provenance
    origin = replace(here, processor=trained.processor, oracles=trained.oracles)
    trial = replace(prepared.trial, provenance=origin)
    network = hashlib.sha256(prepared.tflite).hexdigest()
    key = content_hash([ticket.session, trial.genome.key, repr(trial.fidelity), network])
    if known := _journal().find(key):
        return Outcome(replace(trial_from_json(known), number=trial.number), prepared.tflite)
    outcome = measure_prepared(context, replace(prepared, trial=trial))
    _journal().keep(key, trial_to_json(outcome.trial))
    return outcome


def _final(context: Context, ticket: Ticket, number: int, tflite: bytes) -> Final:
    key = content_hash([ticket.session, "final", str(number), hashlib.sha256(tflite).hexdigest()])
    if known := _journal().find(key):
        return Final(**known)
    figures = measure_final(context, number, tflite)
    _journal().keep(key, asdict(figures))
    return figures


def _short(sha256: str) -> str:
    return sha256[:_DIGITS]


def _journal() -> Journal:
    return Journal(cache_folder() / "farm" / "journal")


def _run(ticket: Ticket, number: int, job: Callable[[Context], _T]) -> _T | Failed:
    """The result of the job, or its HilError as a value with the machine and the saved failure."""
    host = socket.gethostname()
    try:
        return job(_context(ticket))
    except HilError as error:
        saved = failure_folder(_folder(ticket), number)
        return Failed(error, host, saved if saved.exists() else None)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Failed(UserError(f"disk full ({error.filename}): free some space"), host, None)
        error.add_note(f"on {host}")
        raise


def _folder(ticket: Ticket) -> Path:
    """The folder for failures on this machine; the run's own folder is on the searching one."""
    return cache_folder() / "farm" / f"{ticket.start.folder.name}-{ticket.session}"


def _context(ticket: Ticket) -> Context:
    """The context of this process for the ticket's search; the least recently used is closed."""
    with _lock:
        if ticket.session in _contexts:
            _contexts.move_to_end(ticket.session)
        else:
            _contexts[ticket.session] = _open(ticket)
        if len(_contexts) > _MOST_CONTEXTS:
            _contexts.popitem(last=False)[1].runner.close()
        return _contexts[ticket.session]


def _open(ticket: Ticket) -> Context:
    """A context as from `Start.open`, with the ticket's provenance instead of this machine's.

    A worker that only trains has neither compiler nor emulator to look up. Raises UserError if the
    worker's code or data differ from those of the search.
    """
    start = ticket.start
    if code_id() != ticket.code:
        raise UserError(
            f"this worker has {code_id()}, the search has {ticket.code}: "
            "install the same version on every machine and restart the workers"
        )
    original = start.original()
    if original.task.source != ticket.task_source:
        raise UserError(
            f"this worker's {identity_of_task(start.task)} is not the file of the search: copy it "
            "to the same path on every machine"
        )
    if data_sha256(original.data) != ticket.data_sha256:
        raise UserError(
            f"this worker's data of task {label_of(start.task)} differ from those of the search: "
            "create them again with the same versions of all packages (constraints.txt)"
        )
    return Context(
        original=original,
        board=start.board,
        runner=BoardRunner(start.board, open_target, open_waiting_target),
        folder=_folder(ticket),
        provenance=replace(ticket.provenance, processor=processor()),
        cache=prefix_cache(original),
        ram_bytes=start.ram_bytes,
    )
