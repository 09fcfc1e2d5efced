"""One recurrent layer of torch: a GRU or LSTM over a sequence, from a state of zeros."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from compress.ops import RecurrentKind

GATE_COUNTS: dict[RecurrentKind, int] = {"gru": 3, "lstm": 4}


def run_recurrent(
    kind: RecurrentKind,
    x: Tensor,
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """The hidden states (N, L, U) of every step of x (N, L, I), by torch's own GRU or LSTM.

    `weights` are those of input and hidden state, (gates * U, I) and (gates * U, U), `biases` the
    two of them, each (gates * U,); gates are in torch's order.
    """
    first = x.new_zeros(1, len(x), weights[1].shape[1])
    parameters = list(weights if biases is None else (*weights, *biases))
    # has biases, layers, dropout, training, bidirectional, batch first
    options: tuple[Any, ...] = (biases is not None, 1, 0.0, torch.is_grad_enabled(), False, True)
    if kind == "gru":
        states: Tensor = torch._VF.gru(x, first, parameters, *options)[0]
    else:
        states = torch._VF.lstm(x, (first, first), parameters, *options)[0]
    return states


class RecurrentLayer(nn.Module):
    """A GRU or LSTM of one layer: x (N, L, I) to the hidden states (N, L, U) of all steps.

    Parameters are those of torch's layers, without their number: weight_ih (gates * U, I),
    weight_hh (gates * U, U), bias_ih and bias_hh (gates * U,) or None.
    """

    def __init__(
        self,
        kind: RecurrentKind,
        weights: tuple[nn.Parameter, nn.Parameter],
        biases: tuple[nn.Parameter, nn.Parameter] | None,
    ) -> None:
        super().__init__()
        self.kind: RecurrentKind = kind
        self.weight_ih, self.weight_hh = weights
        self.bias_ih: nn.Parameter | None = None if biases is None else biases[0]
        self.bias_hh: nn.Parameter | None = None if biases is None else biases[1]

    @property
    def units(self) -> int:
        return self.weight_hh.shape[1]

    @property
    def gates(self) -> int:
        return GATE_COUNTS[self.kind]

    @property
    def biases(self) -> tuple[Tensor, Tensor] | None:
        if self.bias_ih is None or self.bias_hh is None:
            return None
        return self.bias_ih, self.bias_hh

    def forward(self, x: Tensor) -> Tensor:
        return run_recurrent(self.kind, x, (self.weight_ih, self.weight_hh), self.biases)

    def reset_parameters(self) -> None:
        """Draw the parameters as torch's layers do: uniform within 1 / sqrt(units)."""
        limit = self.units**-0.5
        for value in self.parameters():
            nn.init.uniform_(value, -limit, limit)

    def extra_repr(self) -> str:
        return f"{self.kind}, {self.weight_ih.shape[1]}, {self.units}"

    def slices(self, side: str) -> Tensor:
        """The weights of each unit (`side` "out") or of each input ("in"), a row for each."""
        own, other = (
            weight.detach().reshape(self.gates, self.units, -1)
            for weight in (self.weight_ih, self.weight_hh)
        )
        if side == "in":
            return own.permute(2, 0, 1).flatten(1)
        return torch.cat([own, other], 2).transpose(0, 1).flatten(1)

    def keep(self, side: str, kept: Tensor) -> None:
        """Keep only these units or inputs (indices), in place."""
        if side == "in":
            self.weight_ih = _parameter(self.weight_ih, self.weight_ih[:, kept])
            return
        rows = torch.cat([kept + gate * self.units for gate in range(self.gates)])
        self.weight_ih = _parameter(self.weight_ih, self.weight_ih[rows])
        self.weight_hh = _parameter(self.weight_hh, self.weight_hh[rows][:, kept])
        if self.bias_ih is not None and self.bias_hh is not None:
            self.bias_ih = _parameter(self.bias_ih, self.bias_ih[rows])
            self.bias_hh = _parameter(self.bias_hh, self.bias_hh[rows])


def _parameter(old: nn.Parameter, values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach().clone(), old.requires_grad)
