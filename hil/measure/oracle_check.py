"""Comparison of the integer reference with every installed oracle, layer by layer."""

from __future__ import annotations

import numpy as np

from compress.errors import UserError
from compress.integer import reference
from compress.integer.rows import pack_rows
from compress.ops import outputs_of
from compress.tflite.edges import int8_core
from compress.tflite.fold import simplified
from compress.tflite.importer import import_with_indices
from compress.tflite.oracle import ORACLES, Interpretation, Oracle, installed
from compress.tflite.read import read
from compress.tflite.undefined import undefined_samples
from compress.tflite.variables import without_variables
from compress.tflite_records.file import BuiltinOperator
from compress.tflite_records.uint8 import as_int8
from compress.types import Array, Graph, IntArray, Samples
from hil.errors import Mismatch
from hil.types import OracleCheck

_BLOCK = 16  # samples whose activations are held at the same time


def check_oracle(tflite: bytes, samples: Samples) -> OracleCheck:
    """Compare `samples.outputs`, and the layers where they can be read, with every oracle.

    Returns which oracles judged and why others did not. Raises Mismatch, naming the first layer
    that differs, if an oracle computes other values.
    """
    judges: list[tuple[Oracle, Interpretation]] = []
    core = int8_core(as_int8(simplified(without_variables(read(tflite)))))
    customs = {o.custom for o in core.operators if o.code == BuiltinOperator.CUSTOM}
    if customs:
        names = ", ".join(sorted(customs))
        return OracleCheck((), (f"no oracle knows the custom operator {names}",))
    remarks: list[str] = []
    for oracle in installed():
        try:
            judges.append((oracle, oracle.open(tflite)))
            remarks += filter(None, [judges[-1][1].remark])
        except UserError as error:
            remarks.append(str(error))
    if not judges and not remarks:
        remarks.append(f"neither {' nor '.join(oracle.package for oracle in ORACLES)} is installed")
    imported = import_with_indices(tflite, "model")
    undefined = undefined_samples(imported[0], samples.inputs)
    if undefined.any():
        remarks.append(
            f"{undefined.sum()} of {len(undefined)} samples: a softmax whose exponentials add up "
            "to 512 or more is undefined in TensorFlow Lite; no oracle judged them"
        )
    if undefined.all():
        return OracleCheck((), tuple(remarks))
    judged: list[str] = []
    for oracle, model in judges:
        try:
            remarks += _compare_with(oracle, model, imported, samples, np.flatnonzero(~undefined))
            judged.append(oracle.name)
        except UserError as error:  # it failed, or died, in the middle
            remarks.append(str(error))
    return OracleCheck(tuple(judged), tuple(remarks))


def _compare_with(
    oracle: Oracle,
    model: Interpretation,
    imported: tuple[Graph, tuple[int, ...]],
    samples: Samples,
    numbers: Array,
) -> list[str]:
    """Compare samples, by `numbers`, with one oracle; `imported` is of `import_with_indices`.

    Returns a remark if it rounds outputs of samples otherwise.
    """
    graph, indices = imported
    as_computed = oracle.as_computed(graph)
    stored = model.stored_tensors
    names = _names(graph) if model.keeps_layers else {}
    read = {tensor: name for tensor, name in names.items() if indices[tensor] < stored}
    outputs, who = [indices[index] for index in graph.outputs], (oracle.package, "reference")
    apart = 0
    # With states, all samples are one sequence.
    most = len(samples.inputs) if graph.variables else _BLOCK
    for start in range(0, len(numbers), most):
        block = numbers[start : start + most]
        inputs, claimed = samples.inputs[block], samples.outputs[block]
        found = model.trace(inputs, [*(indices[tensor] for tensor in read), *outputs])
        if read:
            computed = reference.trace(as_computed, inputs)
            for tensor, name in read.items():
                _compare(name, block, found[indices[tensor]], computed[tensor], who)
        # `claimed` may stem from another graph than the file's, made by elimination.
        expected = pack_rows([found[index] for index in outputs])
        if as_computed is not graph and not np.array_equal(expected, claimed):
            plain = reference.run(graph, inputs).reshape(claimed.shape)
            set_aside = (plain != expected).any(1, keepdims=True)
            apart += int(set_aside.sum())
            expected = np.where(set_aside, plain, expected)
        _compare("output", block, expected, claimed, who)
    if apart == 0:
        return []
    return [
        f"{oracle.package}: it computes constants of the model in another precision, which changes "
        f"outputs of {apart} of {len(numbers)} samples: there it was compared with these constants"
    ]


def _names(graph: Graph) -> dict[int, str]:
    """The name of the operator that writes each activation, by the activation's index."""
    return {index: op.name for op in graph.ops for index in outputs_of(op)}


def _compare(
    layer: str, numbers: Array, found: IntArray, computed: IntArray, who: tuple[str, str]
) -> None:
    """Raise Mismatch where the oracle found other values than the reference computed.

    `numbers` are those of the samples.
    """
    found, computed = found.reshape(len(found), -1), computed.reshape(len(computed), -1)
    if found.shape != computed.shape:
        counts = f"{found.shape[1]} values in {who[0]}, {computed.shape[1]} in the {who[1]}"
        raise UserError(f"{layer} has {counts}: not compared")
    if not np.array_equal(found, computed):
        sample, index = (int(i) for i in np.argwhere(found != computed)[0])
        values = int(found[sample, index]), int(computed[sample, index])
        raise Mismatch(layer, int(numbers[sample]), index, *values, who)
