"""Dilated convolutions stored as convolutions of a batch, against the oracles that run them so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tflite
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compress.errors import UnsupportedLayer
from compress.integer import reference
from compress.ops import Conv2D, Padding
from compress.tflite.exporter import export_tflite
from compress.tflite.importer import import_tflite
from compress.tflite.read import read
from compress.tflite.write import write
from compress.tflite_records.file import BuiltinOperator, File, FileOperator, FileTensor, TensorType
from compress.tflite_records.tensor import raw_bytes
from compress.types import Array
from helpers.graph_builder import GraphBuilder, random_inputs
from helpers.oracles import assert_oracles_compute, needs_oracle


def batched(
    shape: tuple[int, int, int],
    depthwise: bool,
    block: tuple[int, int],
    pads: Array,
    crops: Array,
    scale: float = 1.0,
    zero_point: int = -3,
) -> bytes:
    """A 2 x 3 convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND.

    `scale` is the ratio of the scales after and before the latter, which must be 1.
    """
    b = GraphBuilder(seed=3)
    # The shapes of the file are written below; those of the builder only need to be valid.
    x = b.input((9, 9, shape[2]), zero_point=zero_point)
    out = b.depthwise(x, 2, (2, 3)) if depthwise else b.conv(x, 4, (2, 3))
    file = read(export_tflite(b.finish(out)))
    (conv,) = file.operators
    first, second = file.tensors[conv.inputs[0]], file.tensors[conv.outputs[0]]
    rows, columns = (
        (n + sum(pad)) // m for n, pad, m in zip(shape[:2], pads.tolist(), block, strict=True)
    )
    split = (block[0] * block[1], rows, columns, shape[2])
    inner = (split[0], rows - 1, columns - 2, second.shape[3])
    height, width = (
        n * m - sum(crop) for n, m, crop in zip(inner[1:3], block, crops.tolist(), strict=True)
    )
    count = len(file.tensors)
    tensors = list(file.tensors)
    tensors[conv.inputs[0]] = replace(first, shape=(1, *shape))
    tensors[conv.outputs[0]] = replace(second, shape=inner)
    numbers = [np.array(block, np.int32), pads.astype(np.int32), crops.astype(np.int32)]
    for name, values in zip(("block", "pads", "crops"), numbers, strict=True):
        data = raw_bytes(values)
        tensors.append(FileTensor(name, values.shape, TensorType.INT32, data=data))
    tensors.append(replace(first, name="split", shape=split))
    shape_out = (1, height, width, second.shape[3])
    scales = tuple(s * scale for s in second.scales)
    tensors.append(replace(second, name="joined", shape=shape_out, scales=scales))
    valid = {**conv.options, "Padding": tflite.Padding.VALID}
    operators = (
        FileOperator(
            BuiltinOperator.SPACE_TO_BATCH_ND, (conv.inputs[0], count, count + 1), (count + 3,)
        ),
        replace(conv, inputs=(count + 3, *conv.inputs[1:]), options=valid, name=""),
        FileOperator(
            BuiltinOperator.BATCH_TO_SPACE_ND, (conv.outputs[0], count, count + 2), (count + 4,)
        ),
    )
    return write(File("dilated", tuple(tensors), operators, file.inputs, (count + 4,)))


@needs_oracle
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    st.booleans(),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(3, 4), st.integers(4, 5)),
    st.data(),
)
def test_groups_become_dilations(
    depthwise: bool, block: tuple[int, int], parts: tuple[int, int], data: st.DataObject
) -> None:
    pads, crops, shape = [], [], []
    for b, n, taps in zip(block, parts, (2, 3), strict=True):
        pad = data.draw(
            st.tuples(st.integers(0, 3), st.integers(0, 3)).filter(lambda p: sum(p) < 5)
        )
        pads.append(pad)
        crops.append([data.draw(st.integers(0, min(side, 1))) for side in pad])
        shape.append(b * n - sum(pad))
        if shape[-1] < 1 or b * (n - taps + 1) <= sum(crops[-1]):
            return  # no input or no output
    file = batched((shape[0], shape[1], 3), depthwise, block, np.array(pads), np.array(crops))
    graph = import_tflite(file, "dilated")
    (op,) = graph.ops
    padding = np.array(pads) - np.array(crops)
    assert (op.dilation, op.padding) == (block, Padding(*padding.reshape(-1).tolist()))
    inputs = random_inputs(graph, 3)
    assert reference.run(graph, inputs).shape[1:] == graph.output_tensor.shape[1:]
    assert_oracles_compute(file, graph, inputs)


def batched_series(
    length: int, block: int, pads: tuple[int, int], crop: int, unknown_batch: bool
) -> bytes:
    """Keras's Conv1D of 3 taps with a dilation: the series is divided, then gets a height of 1.

    With `unknown_batch`, the file states a batch of 1 where it is that of the block.
    """
    b = GraphBuilder(seed=4)
    # The shapes of the file are written below; those of the builder only need to be valid.
    file = read(export_tflite(b.finish(b.conv(b.input((1, 9, 2), zero_point=-3), 4, (1, 3)))))
    (conv,) = file.operators
    tensors = list(file.tensors)
    first, second = tensors[conv.inputs[0]], tensors[conv.outputs[0]]

    def add(like: FileTensor, name: str, *shape: int) -> int:
        batch = 1 if unknown_batch else shape[0]
        tensors.append(replace(like, name=name, shape=(batch, *shape[1:])))
        return len(tensors) - 1

    def numbers(name: str, *values: object) -> int:
        array = np.array(values, np.int32)
        data = raw_bytes(array)
        tensors.append(FileTensor(name, array.shape, TensorType.INT32, data=data))
        return len(tensors) - 1

    steps = (length + sum(pads)) // block
    source = conv.inputs[0]
    tensors[source] = replace(first, shape=(1, length, 2))
    split, wide = add(first, "split", block, steps, 2), add(first, "wide", block, 1, steps, 2)
    after = add(second, "after", block, 1, steps - 2, 4)
    narrow = add(second, "narrow", block, steps - 2, 4)
    joined = conv.outputs[0]
    tensors[joined] = replace(second, shape=(1, block * (steps - 2) - crop, 4))
    size = numbers("block", block)
    operators = (
        FileOperator(
            BuiltinOperator.SPACE_TO_BATCH_ND, (source, size, numbers("pads", pads)), (split,)
        ),
        FileOperator(BuiltinOperator.EXPAND_DIMS, (split, numbers("axis", -3)), (wide,)),
        replace(
            conv,
            inputs=(wide, *conv.inputs[1:]),
            outputs=(after,),
            options={**conv.options, "Padding": tflite.Padding.VALID},
            name="",
        ),
        FileOperator(
            BuiltinOperator.RESHAPE, (after, numbers("shape", -1, steps - 2, 4)), (narrow,)
        ),
        FileOperator(
            BuiltinOperator.BATCH_TO_SPACE_ND,
            (narrow, size, numbers("crops", (0, crop))),
            (joined,),
        ),
    )
    return write(File("series", tuple(tensors), operators, (source,), (joined,)))


@needs_oracle
@settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    st.integers(1, 4), st.integers(3, 6), st.integers(0, 5), st.integers(0, 3), st.booleans()
)  # fmt: skip
def test_series_become_dilations(
    block: int, steps: int, before: int, behind: int, unknown_batch: bool
) -> None:
    length, crop = block * steps - before - behind, min(behind, 1)
    if length < 1 or block * (steps - 2) <= crop:
        return  # no input or no output
    file = batched_series(length, block, (before, behind), crop, unknown_batch)
    graph = import_tflite(file, "series")
    (conv,) = [op for op in graph.ops if isinstance(op, Conv2D)]
    assert (conv.dilation, conv.padding) == ((1, block), Padding(0, 0, before, behind - crop))
    inputs = random_inputs(graph, 3)
    assert reference.run(graph, inputs).shape[1:] == graph.output_tensor.shape[1:]
    assert_oracles_compute(file, graph, inputs)


@pytest.mark.parametrize(("crop", "scale"), [(1, 1.0), (0, 0.5)])
def test_groups_of_another_form_are_refused(crop: int, scale: float) -> None:
    """Crops beyond the padding, or a change of scale."""
    crops = np.array([[crop, 0], [0, 0]])
    file = batched((6, 8, 3), False, (2, 2), np.zeros((2, 2), int), crops, scale)
    with pytest.raises(UnsupportedLayer, match="SPACE_TO_BATCH_ND"):
        import_tflite(file, "other")
