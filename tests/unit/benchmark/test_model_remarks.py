"""A model that was made from a known float network carries its figures and warnings."""

from __future__ import annotations

from dataclasses import replace

from compress.pipeline.diagnosis import Diagnosis, NoisyLayer
from helpers.graph_builder import GraphBuilder
from hil.benchmark.models import BenchmarkModel

FLOAT = Diagnosis(("good", "fault"), (900, 100), (899, 90), layers=(NoisyLayer("a", 9.0, "why"),))


def _model() -> BenchmarkModel:
    b = GraphBuilder()
    return BenchmarkModel("mine", b"", b.finish(b.softmax(b.input((4,)))))


def test_a_file_has_neither_figures_nor_warnings() -> None:
    assert (_model().accuracy, _model().remarks) == (None, ())


def test_a_baseline_is_compared_with_its_float_network() -> None:
    model = replace(_model(), diagnosis=FLOAT, right=(890, 40), is_baseline=True)
    assert model.accuracy == 0.93
    assert [remark.kind for remark in model.remarks] == ["layer", "gap", "recall"]
    assert "layer a: in int8 its signal is only 9.0 dB" in model.remarks[0].text


def test_a_trial_is_warned_of_by_its_name_for_recalls_only() -> None:
    trial = replace(_model(), name="rare:7", diagnosis=FLOAT, right=(890, 40))
    assert [remark.kind for remark in trial.remarks] == ["layer", "recall"]
    assert trial.remarks[1].text.startswith("rare:7 finds some classes less often")
