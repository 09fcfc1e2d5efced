"""Networks of several inputs, from training to integers, against torch and the oracles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from compress.errors import UserError
from compress.genome import Distill, Genome, Prune, Quantize, Sparsify, Stage
from compress.inputs import structured
from compress.integer import reference
from compress.integer.rows import unpack_rows
from compress.pipeline.data_facts import data_facts, data_remarks
from compress.pipeline.diagnose import coarse_inputs, diagnose
from compress.pipeline.diagnosis import Diagnosis, input_remarks
from compress.pipeline.network import check_net
from compress.pipeline.pipeline import compress, lower_network, run_stages
from compress.quantization.lower import dequantize_output, quantize_input
from compress.tflite.exporter import export_tflite
from compress.training.data_check import check_data, data_sha256
from compress.types import Array, Dataset, Split
from helpers.oracles import assert_oracles_compute, needs_oracle
from helpers.several_inputs import IMAGE, NUMBERS, TASK, Net, load, original

HALF = Prune((0.5,), scope="global", reestimate=True, epochs=1)
STAGES: dict[str, tuple[Stage, ...]] = {
    "int8": (Quantize(),),
    "refined": (Quantize(equalize=True, correct_bias=True, rounding="adaround"),),
    "int16": (Quantize(activation_bits=(16,)),),
    "trained": (Quantize((4,), weight_range="mse", learn_ranges=True, epochs=2, rate=1.0),),
    "pruned": (replace(HALF, criterion="taylor"), Quantize(epochs=1)),
    "halved": (replace(HALF, criterion="sensitivity"), Sparsify(0.5), Quantize()),
    "taught": (Quantize(), Distill(features="hints", width=0.5, teacher="both", epochs=2)),
}


def test_the_float_network_needs_both_inputs() -> None:
    trained, val = original(), load().val
    assert trained.share(val) > 0.95
    for name in ("image", "numbers"):
        x = val.x.copy()
        x[name] = np.random.default_rng(0).permutation(x[name])
        assert trained.share(Split(x, val.y)) < 0.7


@needs_oracle
@pytest.mark.parametrize("name", STAGES)
def test_integers_are_near_float_and_equal_the_oracles(name: str) -> None:
    trained, x = original(), load().val.x[:100]
    model = compress(Genome(STAGES[name]), trained)
    assert model.accuracy > trained.share(load().val) - 0.05
    network = run_stages(STAGES[name], trained).network
    graph = lower_network(network, trained)
    assert [tensor.name for tensor in graph.input_tensors] == ["image", "numbers"]
    assert [tensor.shape for tensor in graph.input_tensors] == [(1, 8, 8, 2), (1, 5)]
    inputs = quantize_input(graph, x)
    real = dequantize_output(graph, reference.run(graph, inputs))
    with torch.no_grad():
        parts = [torch.from_numpy(x[field].copy()) for field in ("image", "numbers")]
        wanted = network.module(*parts).numpy()
    noise_db = 10 * np.log10(np.var(wanted) / np.mean((real - wanted) ** 2))
    assert noise_db > (10 if name == "trained" else 20)
    assert_oracles_compute(export_tflite(graph), graph, inputs)
    assert_oracles_compute(export_tflite(model.graph), model.graph, model.samples.inputs)


def test_each_input_has_a_grid_of_its_own() -> None:
    x, graph = load().val.x, compress(Genome((Quantize(),)), original()).graph
    scales = [tensor.scale for tensor in graph.input_tensors]
    assert scales[1] > 10 * scales[0]
    parts = unpack_rows(graph.input_tensors, quantize_input(graph, x))
    for part, tensor, name in zip(parts, graph.input_tensors, ("image", "numbers"), strict=True):
        real = (part - float(tensor.zero_point)) * tensor.scale
        exact = np.moveaxis(x[name], 1, -1)
        inside = (part > -128) & (part < 127)
        assert np.abs(real - exact)[inside].max() <= 0.51 * tensor.scale


def test_pruning_leaves_the_inputs_whole() -> None:
    model = compress(Genome((Prune((0.25,), scope="uniform", epochs=0), Quantize())), original())
    assert [tensor.shape for tensor in model.graph.input_tensors] == [(1, 8, 8, 2), (1, 5)]
    assert max(t.shape[-1] for t in model.graph.tensors if t.name == "second.weight") == 4


def test_the_diagnosis_names_an_input_that_int8_loses() -> None:
    found = diagnose(original())
    assert found.inputs == ()
    assert Diagnosis.from_json(found.to_json()) == found
    x = load().train.x[:100].copy()
    x["numbers"][:, 3] = 3000 + x["numbers"][:, 3] / 10
    coarse = coarse_inputs(x)
    assert {one.input for one in coarse} == {"numbers"}
    (remark,) = input_remarks(coarse)
    assert "an int8 step of the input numbers is" in remark.text


def test_the_first_look_at_data_is_at_each_input() -> None:
    train, val, test = load().train, load().val, load().test
    other = val.x.copy()
    other["image"] *= 255  # still below the numbers
    facts = data_facts(TASK, Dataset(train, Split(other, val.y), test))
    assert facts.shared == (0, 0, 0)
    (remark,) = data_remarks(facts)
    assert "values of image in val reach" in remark.text
    again = data_facts(TASK, Dataset(train, Split(train.x[:9], train.y[:9]), test))
    assert again.shared == (9, 0, 0)
    assert data_sha256(load()) != data_sha256(Dataset(train, Split(other, val.y), test))


def _parts(**changes: Array) -> dict[str, Array]:
    x = load().val.x
    return {"image": x["image"], "numbers": x["numbers"], **changes}


def _of_type(kind: str) -> Array:
    x = load().val.x
    return x.astype([("image", "<f4", IMAGE), ("numbers", kind, NUMBERS)])


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (structured({"image": load().val.x["image"]}), r"x has fields image float32 \(2, 8, 8\); "),
        (structured(dict(reversed(_parts().items()))), r"x has fields numbers float32 \(5,\), im"),
        (_of_type("<f8"), r"x has fields .* numbers float64 \(5,\); must have fields image fl"),
        (load().val.x["image"], r"x has no fields, it is float32 \(300, 2, 8, 8\); must have"),
        (
            structured(_parts(numbers=load().val.x["image"])),
            r"x has .*numbers float32 \(2, 8, 8\); must",
        ),
        (structured(_parts(numbers=np.full((300, 5), np.nan))), "numbers has values that are not"),
    ],
)
def test_wrong_samples_are_named_in_one_line(x: Array, words: str) -> None:
    check_data(TASK, load())
    data = replace(load(), val=Split(x, load().val.y))
    with pytest.raises(UserError, match=f"task several: val split: {words}") as error:
        check_data(TASK, data)
    assert "\n" not in str(error.value)


class Turned(Net):
    def forward(self, numbers: Tensor, image: Tensor) -> Tensor:
        return super().forward(image, numbers)


class OneUnused(Net):
    def forward(self, image: Tensor, numbers: Tensor) -> Tensor:
        return super().forward(image, image.mean((2, 3)).repeat(1, 3)[:, :5])


class TwoAnswers(Net):
    def forward(self, image: Tensor, numbers: Tensor) -> Any:
        return super().forward(image, numbers), numbers


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"net": Turned}, "forward takes numbers, image, but the inputs are image, numbers: they"),
        ({"net": lambda: nn.Linear(5, 4)}, "forward takes input, but the inputs are image, num"),
        ({"input_shape": IMAGE}, r"takes image, numbers, but a sample is one array of \(2, 8, 8\)"),
        ({"input_shape": (("image", IMAGE), ("numbers", (4,)))}, r"samples of .*numbers \(4,\): "),
        ({"input_shape": (("image", IMAGE), ("image", IMAGE))}, "two have the same name"),
        ({"type": "autoencoder"}, "image, numbers: an autoencoder has one"),
    ],
)
def test_a_network_of_other_inputs_is_named(changes: dict[str, Any], words: str) -> None:
    check_net(TASK)
    with pytest.raises(UserError, match=f"task several: .*{words}") as error:
        check_net(replace(TASK, **changes))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("net", "words"),
    [
        (OneUnused, "the output does not depend on the input numbers: leave it out"),
        (TwoAnswers, "answers with 2 outputs in a tuple: name the type of each"),
    ],
)
def test_what_the_answer_does_not_need_is_refused(net: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_net(replace(TASK, net=net))
