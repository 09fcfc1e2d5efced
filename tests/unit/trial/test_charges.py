"""What trials cost a search: shared stages once, elastic epochs threefold, looks by samples."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from compress.genome import Distill, Elastic, Genome, Pick, Prune, Quantize
from compress.types import Split, StageCost
from helpers.trials import measured
from hil.search.engine import Proposal
from hil.trial.charges import Account, Charge, LookPrices

ELASTIC, HALF = Elastic(epochs=16), Pick((0.5, 0.5))
LOOK = Proposal(Genome((ELASTIC, HALF, Quantize())), fidelity=0.0)
SHORT = Genome((ELASTIC, HALF, Quantize(), Distill(epochs=2)))
LONG = Genome((*SHORT.stages, Distill(epochs=2)))


def paid(account: Account, proposal: Proposal) -> float:
    payment = account.pay(proposal, inf)
    assert payment is not None
    return payment.epochs


def test_an_elastic_network_is_paid_once_and_counts_its_four_sub_networks() -> None:
    account = Account(LookPrices())
    first = Proposal(Genome((ELASTIC, Pick((1.0, 1.0)), Quantize())))
    assert paid(account, first) == 16 * 3
    assert paid(account, Proposal(SHORT)) == 2
    assert paid(account, LOOK) == 0


def test_longer_training_pays_what_it_adds() -> None:
    account = Account(LookPrices())
    assert paid(account, Proposal(SHORT)) == 16 * 3 + 2
    assert paid(account, Proposal(LONG)) == 2
    assert paid(account, Proposal(LONG)) == 0


def test_a_shorter_effort_is_other_training() -> None:
    account, genome = Account(LookPrices()), Genome((Prune((0.5,), epochs=4), Quantize()))
    assert paid(account, Proposal(genome, fidelity=0.25)) == 1
    assert paid(account, Proposal(genome)) == 4


def test_a_repeat_shares_the_elastic_network_and_nothing_else() -> None:
    account = Account(LookPrices())
    paid(account, Proposal(SHORT))
    assert paid(account, Proposal(SHORT, repeat=1)) == 2
    assert paid(account, Proposal(LONG, repeat=1)) == 4  # not kept in the cache


def test_a_look_costs_its_samples_and_a_sub_network_the_square_of_its_width() -> None:
    account = Account(LookPrices(inherited=0.2, other=0.1))
    paid(account, Proposal(Genome((ELASTIC,))))
    assert paid(account, LOOK) == pytest.approx(0.2 * 0.25)
    plain = Genome((Prune((0.5,), epochs=4), Quantize()))
    assert paid(account, Proposal(plain, fidelity=0.0)) == pytest.approx(0.1)


def test_the_price_of_a_look_is_a_third_of_training_on_as_many_samples() -> None:
    def split(count: int) -> Split:
        return Split(np.zeros((count, 1)), np.zeros(count, np.int64))

    original: Any = SimpleNamespace(
        task=SimpleNamespace(fine_tune=SimpleNamespace(samples_per_epoch=600)),
        train=split(1_000),
        judged=split(200),
        statistics=np.zeros((80, 1)),
        calibration=np.zeros((100, 1)),
        data=SimpleNamespace(val=split(500)),
    )
    prices = LookPrices.of(original)
    assert prices.inherited == pytest.approx((100 + 80) / 600 / 3)
    assert prices.other == pytest.approx((480 + 100) / 600 / 3)


def test_what_costs_more_than_is_left_is_not_paid() -> None:
    account = Account(LookPrices())
    assert account.pay(Proposal(SHORT), 49.9) is None
    assert paid(account, Proposal(SHORT)) == 50


def test_seconds_are_those_of_one_search_alone() -> None:
    account = Account(LookPrices())
    first, second = account.pay(Proposal(SHORT), inf), account.pay(Proposal(LONG), inf)
    assert first is not None
    assert second is not None
    shared = (StageCost("elastic", 16, 40.0, True), StageCost("pick", 0, 0.1, True))
    rest = (StageCost("quantize", 0, 0.5, False), StageCost("distill", 2, 6.0, False))
    short = replace(measured(1, SHORT), seconds={"compress": 7.0, "build": 2.0})
    # Another search had trained the elastic network: alone this one would have.
    assert first.charge(replace(short, costs=shared + rest)) == Charge(50, 7.0 + 2.0 + 40.1)
    # The cache had lost the elastic network: it was trained again, which is not this search's.
    again = (replace(shared[0], cached=False), shared[1], *rest, StageCost("distill", 2, 6.5))
    long = replace(measured(2, LONG), seconds={"compress": 53.0, "build": 2.0}, costs=again)
    assert second.charge(long) == Charge(2, 53.0 + 2.0 - 40.0 - 6.0)
