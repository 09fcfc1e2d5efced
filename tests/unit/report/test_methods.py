"""Orders and genes of a run: counted by hand for a few trials."""

from __future__ import annotations

from pathlib import Path

from compress.genome import Distill, Genome, Prune, Quantize
from helpers.reports import BASE, SMALL, TINY, make
from helpers.trials import measured, screened
from hil.report.methods import gene_rows, genes_of, order_rows, varied_genes

TWICE = Genome((Distill(width=0.5), Distill(width=0.25), Quantize(weight_bits=(4,))))


def test_orders_by_their_best_score(tmp_path: Path) -> None:
    better = measured(6, TWICE, accuracy=0.96, flash=10_000, ram=2_000, count=100_000)
    looked_at = screened(7, TWICE, 0.25)
    rows = order_rows(make(tmp_path, (BASE, SMALL, TINY, better, looked_at)))
    assert [(r.order, r.measured, r.met, r.on_front, r.looked_at, r.is_chosen) for r in rows] == [
        ("distill → distill → quantize", 1, 1, 1, 1, True),
        ("prune → quantize", 2, 1, 1, 0, False),
        ("quantize", 1, 1, 1, 0, False),
    ]
    assert rows[2].score == "1.000"


def test_a_stage_that_comes_again_has_its_number() -> None:
    genes = genes_of(TWICE)
    assert (genes["distill: width"], genes["distill 2: width"]) == (0.5, 0.25)
    assert genes["quantize: weight bits"] == 4.0
    assert genes["quantize: equalize"] == "no"


def test_shares_of_channels_are_told_by_their_mean() -> None:
    genes = genes_of(Genome((Prune((0.25, 0.75)), Quantize())))
    assert genes["prune: keep, mean"] == 0.5


def test_genes_that_varied(tmp_path: Path) -> None:
    summary = make(tmp_path)
    assert varied_genes(summary.measured) == ["prune: keep"]
    (row,) = gene_rows(summary)
    assert (row.gene, row.tried, row.on_front, row.chosen) == (
        *("prune: keep", "0.1 to 0.5", "0.5", "0.5"),
    )
