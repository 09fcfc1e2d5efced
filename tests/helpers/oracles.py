"""The installed oracles as judges of files in tests."""

import re

import numpy as np
import pytest

from compress.errors import UserError
from compress.integer import reference
from compress.integer.rows import pack_rows
from compress.tflite.oracle import installed
from compress.types import Graph, Int8Array, Samples
from hil.measure.oracle_check import check_oracle

needs_oracle = pytest.mark.skipif(not installed(), reason="no oracle is installed")

# What `compress.tflite.oracle` says that an oracle cannot judge; everything else must be equal.
_KNOWN = re.compile(
    r"does not exist there|pads with 0|of another batch than|RELU6 .*changes scale"
    r"|(LOGISTIC|TANH) .*(tie|needs one below)|SUM .*has no kernel there"
    r"|tflite-runtime is built for NumPy 1"
    r"|FULLY_CONNECTED .*to \d dimensions, it takes 2"
    r"|UNIDIRECTIONAL_SEQUENCE_LSTM .*rounds otherwise|SVDF .*(an int8 state|no ReLU), which it"
)


def oracle_outputs(tflite: bytes, inputs: Int8Array) -> dict[str, Int8Array]:
    """The outputs of every oracle that can judge the file. Fails for an unknown refusal."""
    outputs = {}
    for oracle in installed():
        try:
            outputs[oracle.package] = oracle.interpret(tflite, inputs)
        except UserError as error:
            if not _KNOWN.search(str(error)):
                raise
    return outputs


def assert_oracles_agree(tflite: bytes, samples: Samples) -> None:
    """Every oracle that can judge the file computes the outputs of `samples`, and every layer."""
    check = check_oracle(tflite, samples)  # raises where any value differs
    refusals = [remark for remark in check.remarks if _KNOWN.search(remark)]
    count = len(samples.inputs)
    nobody = f"{count} of {count} samples: a softmax"  # has an answer to compare
    if not any(remark.startswith(nobody) for remark in check.remarks):
        assert len(check.oracles) + len(refusals) >= len(installed()), check.remarks


def assert_oracles_compute(
    tflite: bytes, graph: Graph, inputs: Int8Array, tensor: int | None = None
) -> None:
    """Every oracle that can judge the file computes what the reference does for `graph`.

    Compared are the file's outputs with the graph's, or with that `tensor` of the graph.
    """
    outputs = oracle_outputs(tflite, inputs)
    for oracle in installed():
        found = outputs.get(oracle.package)
        if found is not None:
            values = reference.trace(oracle.as_computed(graph), inputs)
            compared = graph.outputs if tensor is None else (tensor,)
            expected = values[compared[0]]
            if len(compared) > 1 or expected.dtype != found.dtype:  # of bytes
                expected = pack_rows([values[index] for index in compared])
            np.testing.assert_array_equal(found, expected.reshape(found.shape), oracle.package)
