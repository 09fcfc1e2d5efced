"""Sub-networks that share the parameters of an elastic network, as slices of its tensors.

A sub-network is the first channels of each dependency group. Its layers are those of the network as
`compress.pruning.groups` narrows it; its parameters are slices of the elastic network's, through
which gradients flow (`torch.func.functional_call`).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from compress.elastic.bit_weights import BitsByLayer, BitWeights
from compress.pruning.groups import Group, find_groups, remove_channels
from compress.pruning.prune import kept_channels
from compress.quantization.fake_quantize import FakeQuantized
from compress.tracing.answers import Answer
from compress.tracing.normalize import copied
from compress.training.train import Forward
from compress.types import InputShape


@dataclass(frozen=True, slots=True)
class SubNetworkShape:
    """The shape of a sub-network: channels of each group, and names of the blocks left out."""

    widths: tuple[int, ...]
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """What a sub-network keeps of one tensor: `kept` has (dimension, indices) where not all.

    Indices that count from 0 are stored as their number, since a slice is faster than a selection.
    """

    name: str
    kept: tuple[tuple[int, int | Tensor], ...]

    def of(self, value: Tensor) -> Tensor:
        """The part of the elastic network's tensor."""
        for dimension, indices in self.kept:
            if isinstance(indices, int):
                value = value.narrow(dimension, 0, indices)
            else:
                value = value.index_select(dimension, indices)
        return value


@dataclass(frozen=True, slots=True, eq=False)
class SubNetwork:
    """A sub-network: called on a batch (a tensor (N, *shape) for each input) it gives the answer.

    `layers` is the narrowed module, without values of its own but for `statistics`, the buffers:
    they start as those of the elastic network. `cuts` are those of the parameters. With `bits`, its
    weights are rounded to them.
    """

    shared: SharedNetwork
    layers: nn.Module
    cuts: tuple[_Cut, ...]
    statistics: tuple[tuple[Tensor, _Cut], ...]
    bits: BitsByLayer | None = None

    def __call__(self, *x: Tensor) -> Answer:
        answer: Answer = functional_call(self.layers, self.parameters(), x)
        return answer

    def renew(self) -> None:
        """Let the batch-norm statistics be those of the elastic network again."""
        buffers = dict(self.shared.module.named_buffers())
        for value, cut in self.statistics:
            value.copy_(cut.of(buffers[cut.name]))

    def parameters(self) -> dict[str, Tensor]:
        """The slices of the elastic network's parameters, by name."""
        prefix = "layers." if isinstance(self.layers, _Quantized) else ""
        values = self.shared.at_bits(self.bits)
        return {f"{prefix}{cut.name}": cut.of(values[cut.name]) for cut in self.cuts}


class _Quantized(nn.Module):
    """Narrowed layers, run with the fake quantization of the network that they are narrowed from.

    `rows` are the indices of the outputs that are left of a layer, by name, where not all are.
    """

    def __init__(
        self, layers: nn.Module, quantized: FakeQuantized, rows: Mapping[str, Tensor]
    ) -> None:
        super().__init__()
        self.layers = layers
        self.run = quantized.narrowed(layers, rows)

    def forward(self, *x: Tensor) -> Answer:
        return self.run(*x)


class SharedNetwork:
    """An elastic network, seen as all its sub-networks.

    `module` holds the parameters, `groups` are its dependency groups. With `quantized`, the fake
    quantization of `module`, sub-networks compute with its grids and its learned step sizes.
    `weights` are those of `module` at several bit widths, for sub-networks that have bits.
    """

    def __init__(
        self,
        module: nn.Module,
        input_shape: InputShape,
        quantized: FakeQuantized | None = None,
        weights: BitWeights | None = None,
    ) -> None:
        training = module.training
        self.module = module
        self.groups: tuple[Group, ...] = find_groups(module, input_shape)
        module.train(training)
        self.quantized = quantized
        self.weights = weights
        self.values = dict(module.named_parameters())
        self._numbered = _numbered(module)
        self._kept = {
            id(value): value for value in (*self._numbered.parameters(), *self._numbered.buffers())
        }

    @property
    def widest(self) -> SubNetworkShape:
        return SubNetworkShape(tuple(group.channels for group in self.groups))

    def narrowest(self, share: float) -> SubNetworkShape:
        """The shape with this share of each group's channels, rounded as in pruning."""
        return SubNetworkShape(tuple(kept_channels(group.channels, share) for group in self.groups))

    def at_bits(self, bits: BitsByLayer | None) -> Mapping[str, Tensor]:
        """The parameters by name, weights rounded to the bits of their layers if there are any."""
        if bits is None or self.weights is None:
            return self.values
        return self.values | self.weights.rounded(bits)

    def whole(self, bits: BitsByLayer) -> Forward:
        """The network itself with the weights at these bits; its statistics are trained."""

        def forward(*x: Tensor) -> Answer:
            answer: Answer = functional_call(self.module, dict(self.at_bits(bits)), x)
            return answer

        return forward

    def sub_network(self, shape: SubNetworkShape, bits: BitsByLayer | None = None) -> SubNetwork:
        """The sub-network of this shape, in the mode (training or evaluation) of the network."""
        layers = copy.deepcopy(self._numbered, dict(self._kept))
        narrow_groups(layers, self.groups, shape)
        names = dict(layers.named_parameters())
        cuts = tuple(_cut(name, names[name], self.values[name].shape) for name in names)
        buffers, statistics = dict(self.module.named_buffers()), []
        for name, numbers in list(layers.named_buffers()):
            cut = _cut(name, numbers, buffers[name].shape)
            value = cut.of(buffers[name]).clone()
            _set(layers, name, value)
            statistics.append((value, cut))
        for name, value in names.items():
            _set(layers, name, nn.Parameter(value.detach().to("meta"), value.requires_grad))
        layers.train(self.module.training)
        if self.quantized is not None:
            layers = _Quantized(layers, self.quantized, rows_left(cuts))
        return SubNetwork(self, layers, cuts, tuple(statistics), bits)


def rows_left(cuts: Sequence[_Cut]) -> dict[str, Tensor]:
    """The indices of the outputs left of each layer whose weight has lost some, by layer."""
    rows = {}
    for cut in cuts:
        layer, _, name = cut.name.rpartition(".")
        for dimension, kept in cut.kept:
            if name == "weight" and dimension == 0:
                rows[layer] = torch.arange(kept) if isinstance(kept, int) else kept
    return rows


def narrow_groups(module: nn.Module, groups: Sequence[Group], shape: SubNetworkShape) -> None:
    """Narrow a module with these groups to `shape`, in place."""
    for name in shape.dropped:
        module.set_submodule(name, nn.Identity())
    present = {name for name, _ in module.named_modules()}
    left = tuple(
        Group(group.name, group.channels, tuple(m for m in group.members if m.layer in present))
        for group in groups
    )
    gone = {
        group.name: range(width, group.channels)
        for group, width in zip(groups, shape.widths, strict=True)
    }
    remove_channels(module, left, gone)


def _numbered(module: nn.Module) -> nn.Module:
    """A copy of `module` whose tensors hold the number of each of their elements, float64.

    What is left in them after narrowing says what was kept, whatever the layer.
    """
    made = copied(module)
    for name, value in [*made.named_parameters(), *made.named_buffers()]:
        numbers = torch.arange(value.numel(), dtype=torch.float64).reshape(value.shape)
        if isinstance(value, nn.Parameter):
            numbers = nn.Parameter(numbers, value.requires_grad)
        _set(made, name, numbers)
    return made


def _set(module: nn.Module, name: str, value: Tensor) -> None:
    owner, _, last = name.rpartition(".")
    setattr(module.get_submodule(owner), last, value)


def _cut(name: str, numbers: Tensor, shape: torch.Size) -> _Cut:
    """What `numbers`, the elements left of a tensor of `shape`, keep along each dimension."""
    kept: list[tuple[int, int | Tensor]] = []
    for dimension, size in enumerate(shape):
        if numbers.shape[dimension] == size:
            continue
        first = tuple(slice(None) if d == dimension else 0 for d in range(len(shape)))
        after = shape[dimension + 1 :].numel()
        indices = numbers.detach()[first].long() // after % size
        counted = bool((indices == torch.arange(len(indices))).all())
        kept.append((dimension, len(indices) if counted else indices))
    return _Cut(name, tuple(kept))
