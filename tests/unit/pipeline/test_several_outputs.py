"""Networks of several outputs, from training to integers, against torch and the oracles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from compress.errors import UserError
from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from compress.integer import reference
from compress.metrics.scale import MetricScale
from compress.outputs import by_output
from compress.pipeline.diagnose import diagnose
from compress.pipeline.diagnosis import Diagnosis
from compress.pipeline.network import check_net
from compress.pipeline.pipeline import compress, lower_network, run_stages
from compress.pruning.blocks import block_names
from compress.quantization.lower import dequantize_outputs, lower, quantize_input
from compress.quantization.sqnr import layer_sqnr_db
from compress.task_types.registry import rules_of
from compress.tflite.exporter import export_tflite
from compress.tracing.answers import joined
from compress.training.data_check import check_data
from compress.training.learning_check import check_learned
from compress.types import Array, Metric, Output, Split
from helpers.oracles import assert_oracles_compute, needs_oracle
from helpers.several_outputs import SHAPES, TASK, Net, load, original

HALF = Prune((0.5,), scope="global", reestimate=True, epochs=2)
STAGES: dict[str, tuple[Stage, ...]] = {
    "int8": (Quantize(),),
    "refined": (Quantize(equalize=True, correct_bias=True, rounding="adaround"),),
    "int16": (Quantize(activation_bits=(16,)),),
    "trained": (Quantize((4,), weight_range="mse", learn_ranges=True, epochs=2, rate=1.0),),
    "pruned": (replace(HALF, criterion="taylor"), Quantize(epochs=1)),
    "halved": (
        Prune((0.75,), "sensitivity", "uniform", epochs=2),
        Sparsify(0.3, epochs=1),
        Quantize(),
    ),
    "taught": (Quantize(), Distill(features="hints", width=0.75, teacher="both", epochs=5)),
}


@needs_oracle
@pytest.mark.parametrize("name", STAGES)
def test_integers_are_near_float_and_equal_the_oracles(name: str) -> None:
    trained, x = original(), load().val.x[:100]
    model = compress(Genome(STAGES[name]), trained)
    assert model.accuracy > 0.9
    ((other, error),) = model.others
    assert (other, error < 0.35) == ("box.mae", True)  # a constant answer's is 0.58
    network = run_stages(STAGES[name], trained).network
    graph = lower_network(network, trained)
    assert [tensor.shape for tensor in graph.output_tensors] == [(1, 3), (1, 2)]
    assert {tensor.dtype for tensor in graph.output_tensors} == {"int8"}
    inputs = quantize_input(graph, x)
    outputs = dequantize_outputs(graph, reference.run(graph, inputs))
    with torch.no_grad():
        wanted = network.module(torch.from_numpy(x))
    for real, exact in zip(outputs, wanted.values(), strict=True):
        noise_db = 10 * np.log10(np.var(exact.numpy()) / np.mean((real - exact.numpy()) ** 2))
        assert noise_db > (10 if name == "trained" else 20)
    assert_oracles_compute(export_tflite(graph), graph, inputs)
    assert_oracles_compute(export_tflite(model.graph), model.graph, model.samples.inputs)


def test_the_metrics_are_those_of_each_output_by_hand() -> None:
    model, val = compress(Genome((Quantize(),)), original()), load().val
    shape, box = dequantize_outputs(
        model.graph, reference.run(model.graph, quantize_input(model.graph, val.x))
    )
    assert model.accuracy == np.mean(shape.argmax(1) == val.y["shape"])
    assert dict(model.others)["box.mae"] == pytest.approx(np.abs(box - val.y["box"]).mean())
    few = np.linspace(0, len(val) - 1, TASK.device_samples).round().astype(int)
    assert np.array_equal(model.samples.labels, val.y["shape"][few])
    assert model.device_value == np.mean(shape[few].argmax(1) == val.y["shape"][few])


def test_each_output_has_noise_and_a_diagnosis() -> None:
    trained = original()
    found = diagnose(trained)
    assert (found.metric.name, found.metric.title) == ("shape.accuracy", "shape accuracy")
    assert found.metric.in_percent
    assert found.value is not None
    assert found.value > 0.95
    assert dict(found.others).keys() == {"box.mae"}
    assert Diagnosis.from_json(found.to_json()) == found
    graph = compress(Genome((Quantize(),)), trained).graph
    noise = layer_sqnr_db(graph, trained.lean, trained.calibration)
    assert min(noise["shape"], noise["box"]) > 20
    assert MetricScale("skill of box.mae").title == "skill of box MAE"


def test_the_loss_is_the_weighted_sum_of_the_types_losses() -> None:
    rules, val = rules_of(TASK), load().val
    batch = Split(val.x[:16], val.y[:16])
    with torch.no_grad():
        answer = original().module(torch.from_numpy(batch.x))
    targets = torch.from_numpy(rules.training_split(batch).y)
    shape, box = (torch.from_numpy(batch.y[name].copy()) for name in ("shape", "box"))
    for reduction, count in (("mean", 1), ("sum", 16)):
        found = rules.loss(joined(answer), targets, reduction)  # type: ignore[arg-type]
        wanted = functional.cross_entropy(answer["shape"], shape)
        wanted = wanted + 2.0 * functional.mse_loss(answer["box"], box)
        assert found.item() == pytest.approx(count * wanted.item(), rel=1e-5)
    soft = rules.soft_targets(torch.stack([joined(answer), joined(answer)]), 3.0)
    student = {name: part + 0.3 * part.flip(0) for name, part in answer.items()}
    kl = functional.kl_div(
        torch.log_softmax(student["shape"] / 3, 1),
        torch.softmax(answer["shape"] / 3, 1),
        reduction="batchmean",
    )
    wanted = 9 * kl + 2 * functional.mse_loss(student["box"], answer["box"])
    assert rules.soft_factor(3.0) == 1.0
    found = rules.soft_loss(joined(student), soft, 3.0)
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_head_that_has_learned_nothing_is_named() -> None:
    trained = original()
    check_learned(TASK, load(), trained.module)
    broken = Net()
    broken.load_state_dict(trained.module.state_dict())
    nn.init.normal_(broken.box.weight, 0, 10)
    with pytest.raises(UserError, match="has learned nothing: output box: its loss"):
        check_learned(TASK, load(), broken)


def test_pruning_leaves_every_output_whole() -> None:
    model = compress(Genome((Prune((0.1,), scope="uniform", epochs=0), Quantize())), original())
    assert [tensor.shape for tensor in model.graph.output_tensors] == [(1, 3), (1, 2)]
    widths = {tensor.name: tensor.shape for tensor in model.graph.tensors}
    assert widths["trunk.weight"][0] == widths["hidden.weight"][0] == 4


class Shared(nn.Module):
    """The first output is read again, in a sum and a concatenation; the second one is a map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.dense = nn.Linear(8, 6)
        self.last = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        seen = self.block(self.stem(x).relu())
        first = self.dense(seen.mean((2, 3)))
        return first, 20 * self.head(seen), self.last(torch.cat((first * 9, first), 1).relu())


class Pair(NamedTuple):
    shape: Tensor
    box: Tensor


@needs_oracle
@pytest.mark.parametrize("spec", [Quantize(), Quantize(activation_bits=(16,))])
def test_outputs_that_are_read_again_keep_their_own_scale(spec: Quantize) -> None:
    torch.manual_seed(3)
    module = Shared().eval()
    x = np.random.default_rng(0).normal(size=(64, 1, 6, 6)).astype(np.float32)
    graph = lower(module, spec, x, "shared")
    inputs = quantize_input(graph, x)
    outputs = dequantize_outputs(graph, reference.run(graph, inputs))
    with torch.no_grad():
        wanted = module(torch.from_numpy(x))
    for real, exact in zip(outputs, wanted, strict=True):
        assert real.shape == exact.shape
        assert 10 * np.log10(np.var(exact.numpy()) / np.mean((real - exact.numpy()) ** 2)) > 25
    assert_oracles_compute(export_tflite(graph), graph, inputs[:8])
    assert block_names(module, (1, 6, 6)) == ("block",)  # not head, which ends an output


class _Answer(Net):
    """Answers with what `function` makes of the two outputs."""

    function: Callable[[Tensor, Tensor], Any] = staticmethod(lambda shape, box: (shape, box))

    def forward(self, x: Tensor) -> Any:
        answer = super().forward(x)
        return type(self).function(answer["shape"], answer["box"])


def _answering(function: Callable[[Tensor, Tensor], Any]) -> type[nn.Module]:
    return type("Answering", (_Answer,), {"function": staticmethod(function)})


@pytest.mark.parametrize(
    "function",
    [lambda a, b: (a, b), lambda a, b: [a, b], lambda a, b: {"shape": a, "box": b}, Pair],
)
def test_a_tuple_a_list_a_dict_and_a_named_tuple_are_taken(function: Callable[..., Any]) -> None:
    check_net(replace(TASK, net=_answering(function)))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda a, b: a, "answers with 1 outputs, the task has 2: shape, box"),
        (lambda a, b: (a, b, b), "answers with 3 outputs, the task has 2: shape, box"),
        (lambda a, b: (b, a), r"samples with \(2, 2\) as output shape, must be \(2, 3\): shape: a"),
        (lambda a, b: {"box": b, "shape": a}, "outputs box, shape, those of the task are shape, b"),
        (lambda a, b: {"shape": a, "place": b}, "with outputs shape, place, those of the task"),
        (lambda a, b: (a, (b, b)), r"samples with <class 'tuple'> as output box, must be \(2, 2\)"),
        (lambda a, b: (a, torch.ones(2, 2)), "output 2 of 2 is no tensor that is computed from"),
    ],
)
def test_other_answers_are_named_in_one_line(
    function: Callable[[Tensor, Tensor], Any], words: str
) -> None:
    with pytest.raises(UserError, match=f"task heads: .*{words}") as error:
        check_net(replace(TASK, net=_answering(function)))
    assert "\n" not in str(error.value)


def test_one_value_may_not_be_two_outputs() -> None:
    outputs = (TASK.outputs[0], replace(TASK.outputs[0], name="again"))
    task = replace(TASK, net=_answering(lambda a, b: (a, a)), outputs=outputs)
    with pytest.raises(UserError, match="output 2 of 2 is the same as output 1: leave it out"):
        check_net(task)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        (TASK.outputs[:1], "must be two or more"),
        (TASK.outputs[:1] * 2, "of different names"),
        ((TASK.outputs[0], Output("a.b", "regression", ("x", "y"))), "name 'a.b': must be of l"),
        ((TASK.outputs[0], Output("b", "autoencoder", ("x", "y"))), "b is an autoencoder, which"),
        ((TASK.outputs[0], Output("b", "regression", ("x", "y"), weight=0.0)), "has the weight 0"),
        ((TASK.outputs[0], Output("b", "segmentation", ("x", "y"))), "segmentation: give its sha"),
    ],
)
def test_outputs_that_no_network_has_are_refused(outputs: tuple[Output, ...], words: str) -> None:
    with pytest.raises(UserError, match=f"task heads: outputs.*{words}"):
        check_net(replace(TASK, outputs=outputs))
    with pytest.raises(UserError, match="classes are those of each output"):
        check_net(replace(TASK, classes=SHAPES))


def _y(**changes: Array) -> Array:
    y = load().val.y
    return by_output({"shape": y["shape"], "box": y["box"], **changes})


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (load().val.y["box"].copy(), r"y has fields none, it is float32 \(300, 2\); must have sh"),
        (by_output({"shape": load().val.y["shape"]}), "y has fields shape; must have shape, box"),
        (_y(shape=load().val.y["shape"] + 1), "output shape: labels from 1 to 3; the task has 3"),
        (_y(box=load().val.y["box"].astype(np.float64)), "output box: y is float64"),
        (_y(box=np.full((300, 2), np.nan, np.float32)), "output box: y has values that are not f"),
    ],
)
def test_wrong_targets_are_named_in_one_line(y: Array, words: str) -> None:
    check_data(TASK, load())
    with pytest.raises(UserError, match=f"task heads: val split: {words}") as error:
        check_data(TASK, replace(load(), val=Split(load().val.x, y)))
    assert "\n" not in str(error.value)


def test_a_metric_of_ones_own_gets_all_outputs_by_name() -> None:
    def both(outputs: Array, y: Array, x: Array) -> float:
        near = np.abs(outputs["box"] - y["box"]).max(1) < 0.25
        return float(np.mean(near & (outputs["shape"].argmax(1) == y["shape"])))

    trained = original()
    own = replace(trained, task=replace(TASK, metric=Metric("both", "higher", both)))
    model = compress(Genome((Quantize(),)), own)
    assert 0.3 < model.accuracy <= trained.share(load().val)
    assert [name for name, _ in model.others] == ["shape.accuracy", "box.mae"]


class Heads(nn.Module):
    """Whether anything is there, and the class of each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(1, 12, 3, padding=1)
        self.two = nn.Conv2d(12, 12, 3, padding=1)
        self.map = nn.Conv2d(12, 2, 1)
        self.there = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.two(self.one(x).relu()).relu()
        return self.there(seen.amax((2, 3))), self.map(seen)


def test_a_map_can_be_one_of_the_outputs() -> None:
    x = load().train.x[:200]
    bright = (x[:, 0] > 0.5).astype(np.int64)
    labels = np.stack([bright.any((1, 2)), x.mean((1, 2, 3)) > 0.08], 1).astype(np.float32)
    y = by_output({"there": labels, "pixels": bright})
    outputs = (
        Output("there", "multi_label", ("any", "much")),
        Output("pixels", "segmentation", ("dark", "bright"), (2, 12, 12)),
    )
    task = replace(TASK, net=Heads, outputs=outputs)
    check_net(task)
    rules, split = rules_of(task), Split(x, y)
    assert rules.wrong_labels(split) == ""
    torch.manual_seed(0)
    module = Heads().eval()
    with torch.no_grad():
        there, pixels = module(torch.from_numpy(x))
    found = rules.loss(
        joined((there, pixels)), torch.from_numpy(rules.training_split(split).y), "mean"
    )
    wanted = functional.cross_entropy(pixels, torch.from_numpy(bright))
    wanted = wanted + functional.binary_cross_entropy_with_logits(there, torch.from_numpy(labels))
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    graph = lower(module, Quantize(), x, "heads")
    real = rules.of_graph(dequantize_outputs(graph, reference.run(graph, quantize_input(graph, x))))
    assert real["pixels"].shape == (200, 2, 12, 12)
    exact = rules.in_numpy(joined((there, pixels)).numpy())["pixels"]
    assert np.abs(real["pixels"] - exact).max() < 0.05 * np.abs(exact).max()
    wrong = replace(task, outputs=(outputs[0], replace(outputs[1], shape=(2, 6, 6))))
    assert "output pixels: y has labels of (12, 12)" in rules_of(wrong).wrong_labels(split)
