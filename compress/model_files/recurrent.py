"""GRU and LSTM as torch has them, from weights in the order of ONNX.

ONNX (operators GRU and LSTM): per direction W (gates * H, inputs), R (gates * H, H) and the
biases of both, one behind the other, with gates z, r, h (GRU) or i, o, f, c (LSTM). torch has
r, z, n and i, f, g, o.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import torch
from torch import nn

from compress.errors import UnsupportedLayer
from compress.model_files.network_builder import NetworkBuilder
from compress.model_files.values import Constant, Value
from compress.types import Array

_GATES = {"GRU": (1, 0, 2), "LSTM": (0, 2, 3, 1)}  # torch's gates among those of ONNX
_KINDS: dict[str, Any] = {"GRU": nn.GRU, "LSTM": nn.LSTM}


def recurrent(
    b: NetworkBuilder, kind: str, x: Value | Constant, weights: Array, recurrent_weights: Array,
    biases: Array | None,
) -> tuple[Value, Value]:  # fmt: skip
    """The outputs Y (steps, directions, N, H) and Y_h (directions, N, H) of one layer.

    x is (steps, N, inputs) in the file. The first state is zero. Raises UnsupportedLayer unless
    the network's own axes are (N, steps, inputs).
    """
    node = b.node(x, (1, 0, 2))
    directions, rows, inputs = weights.shape
    gates = len(_GATES[kind])
    hidden = rows // gates
    module = _KINDS[kind](
        inputs, hidden, bias=biases is not None, batch_first=True, bidirectional=directions == 2
    )
    for direction in range(directions):
        end = "_l0_reverse" if direction else "_l0"
        _set(module, f"weight_ih{end}", _regated(kind, weights[direction]))
        _set(module, f"weight_hh{end}", _regated(kind, recurrent_weights[direction]))
        if biases is not None:
            first, second = np.split(biases[direction], 2)
            _set(module, f"bias_ih{end}", _regated(kind, first))
            _set(module, f"bias_hh{end}", _regated(kind, second))
    both = b.module(module, node)
    sequence = b.call(operator.getitem, both, 0)
    if directions == 1:
        return _sequence(b, sequence, 1), _last_step(b, sequence)
    states = b.call(operator.getitem, both, 1)
    if kind == "LSTM":  # the hidden states, then those of the cells
        states = b.call(operator.getitem, states, 0)
    last = Value(b.call(torch.permute, states, (1, 0, 2)), (1, 0, 2))
    return _sequence(b, sequence, directions), last


def _sequence(b: NetworkBuilder, node: Any, directions: int) -> Value:
    """(N, steps, directions * H) as the file's (steps, directions, N, H)."""
    if directions == 1:
        return Value(b.call(torch.unsqueeze, node, 2), (1, 2, 0, 3))
    _, steps, width = b.node_shape(node)
    parted = b.call(torch.reshape, node, (-1, steps, directions, width // directions))
    return Value(parted, (1, 2, 0, 3))


def _last_step(b: NetworkBuilder, sequence: Any) -> Value:
    """The last step of (N, steps, H), which is the last state, as the file's (1, N, H)."""
    last = b.call(operator.getitem, sequence, (slice(None), -1))
    return Value(b.call(torch.unsqueeze, last, 1), (1, 0, 2))


def _regated(kind: str, values: Array) -> Array:
    """Rows of gates in torch's order."""
    parts = np.split(values, len(_GATES[kind]))
    return np.concatenate([parts[gate] for gate in _GATES[kind]])


def _set(module: nn.Module, name: str, values: Array) -> None:
    held = getattr(module, name)
    if held.shape != values.shape:
        raise UnsupportedLayer(f"weights of shape {values.shape}, expected {tuple(held.shape)}")
    held.data.copy_(torch.from_numpy(np.array(values, np.float32)))
