"""Failures by culprit: a board too small, an unsupported layer, a candidate over the limits."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from compress.errors import UnsupportedLayer, UserError
from compress.genome import Genome, Prune, Quantize
from compress.pipeline.network import train_original
from compress.space.recipes import baseline
from compress.tasks.digits import TASK
from compress.types import Graph, Recipe
from helpers.trials import PROVENANCE, measured
from hil.board import load_board
from hil.errors import BenchError, NoReply
from hil.measure.measure import BoardRunner, over_limits
from hil.objective.goal import Goal, make_goal
from hil.search.engine import Proposal
from hil.target.target import Target
from hil.trial.candidate import Context, try_proposal
from hil.trial.start import check_feasible
from hil.types import Board

BOARD = load_board("m3")
QUICK = replace(TASK, recipe=Recipe(epochs=2, batch=64, learning_rate=0.01))


def no_bench(board: Board) -> Target:
    raise NoReply(f"{board.name} is not connected", transcript="> 01 02")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    original = train_original(QUICK, QUICK.load(), 0, tmp_path / "original.pt")
    return Context(original, BOARD, BoardRunner(BOARD, no_bench), tmp_path, PROVENANCE)


def test_a_board_that_holds_the_smallest_network_is_accepted() -> None:
    check_feasible(QUICK, Goal.of(BOARD, 0.9))


@pytest.mark.parametrize(
    ("limit", "words"),
    [({"flash_limit_bytes": 4000}, "bytes of flash"), ({"ram_limit_bytes": 300}, "bytes of RAM")],
)
def test_a_board_too_small_for_any_candidate_is_the_users_choice(
    limit: dict[str, int], words: str
) -> None:
    small = replace(BOARD, **limit)
    with pytest.raises(UserError, match=f"m3 is too small for task digits.*{words}") as caught:
        check_feasible(QUICK, Goal.of(small, 0.9))
    assert str(*limit.values()) in str(caught.value)
    assert "hil boards" in str(caught.value)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ({"max_flash": 4096}, r"--max-flash 4096: .* digits needs \d+ bytes of flash on board m3"),
        ({"max_ram": 300}, r"--max-ram 300: .* digits needs \d+ bytes of RAM on board m3"),
    ],
)
def test_a_limit_too_small_for_any_candidate_is_named_not_the_board(
    limit: dict[str, int], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        check_feasible(QUICK, make_goal(BOARD, 0.9, **limit))


def test_an_unsupported_layer_of_the_users_network_is_named() -> None:
    def net() -> nn.Module:
        layers = OrderedDict(
            conv=nn.Conv2d(1, 8, 3), squash=nn.LocalResponseNorm(2), flat=nn.Flatten()
        )
        return nn.Sequential(OrderedDict(**layers, out=nn.Linear(8 * 36, 10)))

    with pytest.raises(
        UserError, match="digits: layer squash: LocalResponseNorm has no integer kernel"
    ):
        check_feasible(replace(QUICK, net=net), Goal.of(BOARD, 0.9))


def test_a_pool_that_tflite_cannot_say_is_named_before_the_search() -> None:
    def net() -> nn.Module:
        pool = nn.AvgPool2d(2, padding=(1, 0), count_include_pad=False)
        layers = OrderedDict(conv=nn.Conv2d(1, 8, 3), pool=pool, flat=nn.Flatten())
        return nn.Sequential(OrderedDict(**layers, out=nn.Linear(8 * 12, 10)))

    with pytest.raises(UserError, match=r"digits: layer pool: .*use count_include_pad=True"):
        check_feasible(replace(QUICK, net=net), Goal.of(BOARD, 0.9))


def test_a_candidate_that_tflite_cannot_say_is_a_trial_with_a_reason(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(graph: Graph) -> bytes:
        raise UnsupportedLayer(f"{graph.ops[0].name}: no TFLite form")

    monkeypatch.setattr("hil.trial.candidate.export_tflite", refuse)
    trial = try_proposal(context, 7, Proposal(baseline())).trial
    assert (trial.number, trial.state, trial.measurement) == (7, "infeasible", None)
    assert trial.reason.endswith("no TFLite form")
    assert trial.violation > 0


def test_a_genome_that_cannot_be_applied_is_a_trial_with_a_reason(context: Context) -> None:
    trial = try_proposal(context, 7, Proposal(Genome((Prune((0.5,)), Quantize())))).trial
    assert (trial.number, trial.state, trial.measurement) == (7, "infeasible", None)
    assert "1 keep ratios for 3 groups" in trial.reason
    assert trial.violation > 0


def test_a_bench_that_fails_is_no_trial_and_leaves_everything_behind(context: Context) -> None:
    with pytest.raises(BenchError, match="not connected"):
        try_proposal(context, 3, Proposal(baseline()))
    failure = context.folder / "failures" / "0003"
    left = {path.name for path in failure.iterdir()}
    assert {"model.c", "weights.c", "model.elf", "samples.npz", "error.txt"} <= left
    assert "> 01 02" in (failure / "error.txt").read_text()


def test_limits_are_weighed_by_their_share() -> None:
    big = measured(1, baseline(), flash=3 * BOARD.flash_limit_bytes // 2, ram=1000).measurement
    fits = measured(1, baseline(), flash=20_000, ram=BOARD.ram_limit_bytes).measurement
    assert big is not None
    assert fits is not None
    words, violation = over_limits(big, BOARD)
    assert violation == pytest.approx(0.5)
    assert "bytes of flash" in words
    assert over_limits(fits, BOARD) == ("", 0)
