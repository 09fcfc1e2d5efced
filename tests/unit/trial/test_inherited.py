"""Looks at sub-networks of one elastic network, and repeats that share it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from compress.elastic.inherited import inherited_accuracies
from compress.genome import Distill, Elastic, Genome, Pick, Quantize
from compress.pipeline.network import train_original
from compress.pipeline.pipeline import compress, run_stages
from compress.pipeline.prefix_cache import PrefixCache
from compress.tasks.digits import TASK
from compress.types import Recipe
from helpers.trials import PROVENANCE
from hil.board import load_board
from hil.errors import NoReply
from hil.measure.measure import BoardRunner
from hil.search.engine import Proposal
from hil.target.target import Target
from hil.trial.candidate import Context
from hil.trial.inherited import INHERITED_SAMPLES, look_at
from hil.types import Board

QUICK = replace(TASK, recipe=Recipe(epochs=2, batch=64, learning_rate=0.01))
ELASTIC = Elastic(epochs=0.2)
PICKS = (Pick((1.0, 1.0, 1.0)), Pick((0.5, 0.5, 0.5)), Pick((0.5, 0.75, 1.0)))


def no_bench(board: Board) -> Target:
    raise NoReply(f"{board.name} is not connected")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    folder = tmp_path_factory.mktemp("run")
    original = train_original(QUICK, QUICK.load(), 0, folder / "original.pt")
    board, cache = load_board("m3"), PrefixCache(folder / "cache", "here")
    return Context(original, board, BoardRunner(board, no_bench), folder, PROVENANCE, cache)


def look(pick: Pick) -> Proposal:
    return Proposal(Genome((ELASTIC, pick, Quantize())), 0.0)


def test_what_is_inherited_is_no_int8_candidate_with_training() -> None:
    assert look(PICKS[0]).is_inherited
    assert not replace(look(PICKS[0]), fidelity=1.0).is_inherited
    assert not Proposal(Genome((ELASTIC, PICKS[0], Quantize((4,)))), 0.0).is_inherited
    assert not Proposal(Genome((PICKS[0], Quantize())), 0.0).is_inherited
    four = Pick((1.0, 1.0, 1.0), bits=(4,))
    assert Proposal(Genome((Elastic(bits=(8, 4)), four, Quantize((4,)))), 0.0).is_inherited
    assert not Proposal(Genome((Elastic(bits=(8, 4)), four, Quantize())), 0.0).is_inherited
    assert not Proposal(Genome((ELASTIC, PICKS[0], Distill(), Quantize())), 0.0).is_inherited


def test_one_job_looks_at_many_and_trains_the_elastic_network_once(context: Context) -> None:
    found = [outcome.trial for outcome in look_at(context, 7, [look(pick) for pick in PICKS])]
    network = run_stages((ELASTIC,), context.original, context.cache).network
    wanted = inherited_accuracies(network, PICKS, context.original, INHERITED_SAMPLES)
    assert [trial.accuracy for trial in found] == list(wanted)
    assert [trial.number for trial in found] == [7, 8, 9]
    assert {trial.state for trial in found} == {"screened"}
    assert {trial.fidelity for trial in found} == {0.0}
    trained = [sum(c.seconds for c in t.costs if not c.cached) for t in found]
    assert trained[0] > 0.0 == trained[1] == trained[2]
    again = [outcome.trial for outcome in look_at(context, 1, [look(PICKS[1])])]
    assert again[0].accuracy == found[1].accuracy
    assert all(cost.cached for cost in again[0].costs)


def test_a_pick_that_does_not_apply_spoils_no_other(context: Context) -> None:
    wrong = Pick((0.5, 0.5))
    good, bad, other = (
        outcome.trial
        for outcome in look_at(context, 1, list(map(look, (PICKS[0], wrong, PICKS[1]))))
    )
    assert bad.state == "infeasible"
    assert "2 keep ratios for 3 groups" in bad.reason
    assert good.accuracy is not None
    assert other.accuracy is not None


def test_a_repeat_trains_with_other_seeds_and_shares_the_elastic_network(context: Context) -> None:
    genome = Genome((ELASTIC, PICKS[1], Quantize(), Distill(epochs=0.3)))
    models = [
        compress(genome, context.original, context.cache, repeat=repeat) for repeat in (0, 1, 1)
    ]
    shares = [{cost.stage: cost.cached for cost in model.costs} for model in models]
    assert all(share["elastic"] for share in shares)
    assert not any(share["distill"] for share in shares)
    weights = [
        b"".join(t.data.tobytes() for t in model.graph.tensors if t.data is not None)
        for model in models
    ]
    assert weights[0] != weights[1] == weights[2]
    assert models[0].answers is not None
    assert torch.from_numpy(models[0].answers).shape == (360, 10)
