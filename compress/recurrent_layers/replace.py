"""Replacement of torch.nn.GRU and torch.nn.LSTM by layers with plain parameters.

torch's modules return a tuple and hold the parameters of all their layers; here each layer is a
module. What has no integer form is refused by name: both directions, projections, a first state
that is given, packed sequences, a cell state as a value, and other recurrent layers and cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, fx, nn

from compress.errors import UnsupportedLayer
from compress.ops import RecurrentKind
from compress.recurrent_layers.layer import RecurrentLayer

_Said = TypeVar("_Said", bound=str)

REPLACED: dict[type[nn.Module], RecurrentKind] = {nn.GRU: "gru", nn.LSTM: "lstm"}
# What to use in place of others. Calls of a cell could be seen, but the loop around them is gone.
_REFUSED: dict[type[nn.Module], str] = {
    nn.RNN: "GRU or LSTM",
    nn.RNNCell: "GRU or LSTM on the whole sequence",
    nn.GRUCell: "GRU on the whole sequence",
    nn.LSTMCell: "LSTM on the whole sequence",
}


def replace_recurrent(module: nn.Module) -> nn.Module:
    """`module` with every GRU and LSTM replaced in place, itself included; parameters are shared.

    A subclass that computes something of its own stays. Raises UnsupportedLayer.
    """
    made: dict[nn.Module, Recurrent] = {}
    for name, layer in list(module.named_modules(remove_duplicate=False)):
        kind, instead = _found(layer, REPLACED), _found(layer, _REFUSED)
        if instead is not None:
            what = type(layer).__name__
            raise UnsupportedLayer(f"{name or what}: {what} has no integer kernel; use {instead}")
        if kind is not None:
            if layer not in made:
                made[layer] = _replacement(name or type(layer).__name__, layer, kind)
            if not name:
                return made[layer]
            module.set_submodule(name, made[layer])
    return module


def _found(layer: nn.Module, kinds: Mapping[type[nn.Module], _Said]) -> _Said | None:
    """What is said of the layer's kind; None for another, or for one with a forward of its own."""
    return next(
        (
            said
            for base, said in kinds.items()
            if isinstance(layer, base) and type(layer).forward is base.forward
        ),
        None,
    )


def _replacement(name: str, layer: Any, kind: RecurrentKind) -> Recurrent:
    what = type(layer).__name__
    if layer.bidirectional:
        raise UnsupportedLayer(
            f"{name}: a {what} in both directions has no integer kernel; use bidirectional=False, "
            "with twice the hidden_size if needed"
        )
    if layer.proj_size:
        raise UnsupportedLayer(
            f"{name}: {what} with proj_size={layer.proj_size} has no integer kernel; leave it at "
            "0 and choose a smaller hidden_size, or follow with Linear"
        )
    return Recurrent(name, layer, kind).train(layer.training)


class Recurrent(nn.Module):
    """A GRU or LSTM of any number of layers, which answers as torch's does.

    That is (states, last states) or, for an LSTM, (states, (last states, last cell states)). Only
    the hidden states are values of the network; of their last ones, only single layers.
    """

    def __init__(self, name: str, layer: Any, kind: RecurrentKind) -> None:
        super().__init__()
        self.kind: RecurrentKind = kind
        self.name = name
        self.batch_first: bool = layer.batch_first
        self.dropout = nn.Dropout(layer.dropout)
        self.count: int = layer.num_layers
        for number in range(self.count):
            ends = [f"{side}_l{number}" for side in ("ih", "hh")]
            weights = tuple(getattr(layer, f"weight_{end}") for end in ends)
            biases = tuple(getattr(layer, f"bias_{end}") for end in ends) if layer.bias else None
            self.add_module(f"l{number}", RecurrentLayer(kind, weights, biases))

    def forward(self, x: Any, first: Any = None) -> Any:
        self._check(x, first)
        sequence = x if self.batch_first else x.transpose(0, 1)
        sequences = []
        for number in range(self.count):
            if number:
                sequence = self.dropout(sequence)
            sequence = getattr(self, f"l{number}")(sequence)
            sequences.append(sequence)
        states = sequence if self.batch_first else sequence.transpose(0, 1)
        if isinstance(x, fx.Proxy):
            last: Any = LastStates(self.name, sequences)
            cell: Any = _Cell(self.name)
        else:
            last = torch.stack([states_of[:, -1] for states_of in sequences])
            cell = torch.full_like(last, torch.nan)  # a network that reads it is refused in tracing
        return (states, last) if self.kind == "gru" else (states, (last, cell))

    def _check(self, x: Any, first: Any) -> None:
        if first is not None:
            raise UnsupportedLayer(
                f"{self.name}: a first state that is given; leave it out, it is zeros in every "
                "inference"
            )
        if not isinstance(x, Tensor | fx.Proxy):
            raise UnsupportedLayer(
                f"{self.name}: reads a {type(x).__name__}; give it a tensor of a fixed number of "
                "steps"
            )


class LastStates:
    """The last hidden states of all layers while a network is traced, (layers, N, U) in torch.

    The step that ends a layer's sequence (N, L, U) is taken where it is asked for.
    """

    def __init__(self, name: str, sequences: list[Any]) -> None:
        self._name = name
        self._sequences = sequences

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int) and -len(self) <= index < len(self):
            return self._sequences[index][:, -1]
        raise self._refused(f"h_n[{index}]")

    def __len__(self) -> int:
        return len(self._sequences)

    def squeeze(self, dim: int | None = None) -> Any:
        if len(self) == 1 and dim in (None, 0, -3):
            return self[0]
        raise self._refused(f"h_n.squeeze({'' if dim is None else dim}) of {len(self)} layers")

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise self._refused(f"h_n.{attribute}")

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.squeeze and args and isinstance(args[0], cls):
            return args[0].squeeze(*args[1:], **(kwargs or {}))
        found = next((a for a in args if isinstance(a, cls)), None)
        name = getattr(func, "__name__", str(func))
        raise UnsupportedLayer(
            f"{found._name if found is not None else 'a recurrent layer'}: {name} of the last "
            "states of all layers; use h_n[-1], those of the last layer"
        )

    def _refused(self, what: str) -> UnsupportedLayer:
        return UnsupportedLayer(
            f"{self._name}: {what} has no integer form; use h_n[-1], the last layer's, or the "
            "sequence's last step"
        )


class _Cell:
    """The last cell states while a network is traced: any use is refused."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        raise self._refused()

    def __getitem__(self, index: Any) -> Any:
        raise self._refused()

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        raise UnsupportedLayer("an LSTM's cell state c_n as a value; use h_n[-1] or the sequence")

    def _refused(self) -> UnsupportedLayer:
        return UnsupportedLayer(
            f"{self._name}: the cell state c_n as a value of the network; use h_n[-1] or the "
            "sequence"
        )
