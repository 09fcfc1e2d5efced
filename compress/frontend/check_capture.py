"""Comparison of captured layers with the network that they were captured from.

torch.fx sees the operations that a network's Python code calls. It does not see hooks of layers,
replaced methods, layers that stay in training mode, or state. So the network itself is run on a few
samples, and the layers must compute the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import torch
from torch import Tensor as Values
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from compress.errors import UnsupportedLayer
from compress.frontend.capture import capture, trace_module
from compress.frontend.execute import in_memory, network_inputs, run_layers
from compress.frontend.fuse import fuse
from compress.frontend.layers import Layer
from compress.frontend.layout import own_order
from compress.inputs import shape_of_samples
from compress.tracing.answers import parts_of_answer
from compress.tracing.batches import copies_of, tensors_of
from compress.tracing.hooks import changing_hooks
from compress.tracing.in_place import ADDED
from compress.tracing.normalize import hooked
from compress.tracing.observe import Event, observe
from compress.tracing.trace import shape_of
from compress.types import Array

# Two ways to sum in float32 differ by about 1e-7 of the largest term; networks of dozens of layers
# by 1e-6 to 1e-5 of a value's largest magnitude. An int8 step is 4e-3 of it: what this lets pass is
# a fortieth of the step by which the integer network rounds anyway.
TOLERANCE = 1e-4
# Where terms cancel, as in a batch-norm that subtracts a large mean, float32 loses more. How much
# is measured: by this many times the difference between the layers in single precision, and in
# double precision with other last bits of their constants.
_ROUNDINGS = 32
_SAMPLES = 4
# They are those, of so many, on which the answers differ most: limits act on few samples only.
_CANDIDATES = 64
# Below it, an output's largest value is no scale for its differences.
_LEAST = 1e-30


@dataclass(frozen=True, slots=True, eq=False)
class _Difference:
    """The largest difference of a value to the network's own, beyond `allowed`."""

    found: float
    allowed: float
    largest: float


def check_capture(module: nn.Module, plain: nn.Module, x: Array) -> None:
    """Check that the layers captured from `plain` compute what `module` computes on x.

    `plain` is `module` itself or what `compress.tracing.normalize` made of it. Of the first samples
    of x float32 (N, ...) those are used on which they differ most. Sets evaluation mode. The layers
    are compared as they are after fusing, then, to name the first that differs, one by one. Values
    differ if they do by more than `TOLERANCE` of the largest magnitude, or more than float32
    rounds. A network whose answer is not finite is not compared.

    Raises UnsupportedLayer naming the first operation that differs, its source line and hooks, or
    the first hook that changes values even though it makes no difference on these samples.
    """
    module.eval()
    traced = trace_module(plain, shape_of_samples(x))
    captured, sources, outputs = capture(traced)
    sample = _telling(module, fuse(captured, outputs), sources, outputs, x[:_CANDIDATES])
    inputs = network_inputs(sources, sample)
    leaves = {str(node.target) for node in traced.graph.nodes if node.op == "call_module"}
    answer, events = observe(module, tensors_of(sample), leaves)
    again, repeated = observe(module, tensors_of(sample), leaves)
    answers = parts_of_answer(answer)
    if not all(isinstance(part, Values) and torch.isfinite(part).all() for part in answers):
        return
    if not all(map(torch.equal, answers, parts_of_answer(again))):
        raise UnsupportedLayer(_unsteady(events, repeated))
    other = _nudged(captured)
    pairs = ((captured, other), (fuse(captured, outputs), fuse(other, outputs)))
    orders = {
        node.name: torch.from_numpy(node.meta["order"])
        for node in traced.graph.nodes
        if "order" in node.meta
    }
    last = {
        output: _in_memory(part, torch.from_numpy(own_order(part.shape)))
        for output, part in zip(outputs, answers, strict=True)
    }
    for output in set(outputs) & set(inputs):
        start = inputs[output]
        difference = _difference(last[output], start, start.double())
        if difference is not None:
            raise UnsupportedLayer(_differs(module, output, None, difference))
    if _first(*pairs[1], inputs, last) is None:
        for name in changing_hooks(module, tensors_of(sample)):
            raise UnsupportedLayer(f"{name}: its forward hook changes values; make it a layer")
        return
    own = dict(_paired(traced, events))
    known = {
        node: _in_memory(event.value, orders[node]) for node, event in own.items() if node in orders
    }
    for layers, nudged in pairs:
        differing = _first(layers, nudged, inputs, known | last)
        if differing is not None:
            layer, difference = differing
            raise UnsupportedLayer(_differs(module, layer.name, own.get(layer.output), difference))


def _telling(
    module: nn.Module,
    layers: Sequence[Layer],
    sources: Sequence[str],
    outputs: Sequence[str],
    x: Array,
) -> Array:
    """The samples of x, at most `_SAMPLES`, on which the layers' answers differ most."""
    with torch.no_grad():
        own = parts_of_answer(module(*copies_of(x)))
        made = network_inputs(sources, x)
        made |= {layer.output: value for layer, value in run_layers(layers, made)}
    errors = np.zeros(len(x))
    for part, output in zip(own, outputs, strict=True):
        if not isinstance(part, Values) or part.numel() != made[output].numel():
            return x[:_SAMPLES].copy()
        wanted = _in_memory(part, torch.from_numpy(own_order(part.shape)))
        found = in_memory(made[output]).reshape(wanted.shape)
        largest = (found - wanted).abs().amax(1).nan_to_num(torch.inf).numpy()
        errors = np.maximum(errors, largest / max(float(part.abs().max()), _LEAST))
    chosen = np.sort(np.argsort(-errors, kind="stable")[:_SAMPLES])
    return x[chosen].copy()


def _in_memory(value: Values, order: Values) -> Values:
    """A value of torch, (N, elements), in the `order` in which its elements lie in memory.

    A value of another size is left as it is.
    """
    flat = value.reshape(len(value), -1)
    return flat[:, order] if flat.shape[1] == len(order) else flat


def vary(module: nn.Module) -> None:
    """Make a fresh network's batch-norms and constant parameters random, in place.

    As they are made they hide differences: a norm changes nothing, a branch that ends with zeros
    adds nothing. Draws from torch's global generator.
    """
    with torch.no_grad():
        for layer in module.modules():
            for value in layer.parameters(recurse=False):
                if value.numel() > 1 and value.is_floating_point() and value.min() == value.max():
                    value.add_(torch.empty_like(value).uniform_(-0.5, 0.5))
            if isinstance(layer, _BatchNorm):
                mean, variance = layer.running_mean, layer.running_var
                if mean is not None and variance is not None:
                    mean.normal_(0.0, 0.5)
                    variance.uniform_(0.5, 2.0)


def _first(
    layers: Sequence[Layer],
    nudged: Sequence[Layer],
    inputs: Mapping[str, Values],
    wanted: Mapping[str, Values],
) -> tuple[Layer, _Difference] | None:
    """The first layer whose output is not the `wanted` one of its name, if there is one.

    `nudged` are the layers with other last bits of their constants.
    """
    doubles = {name: values.double() for name, values in inputs.items()}
    runs = (run_layers(layers, inputs), run_layers(nudged, doubles))
    with torch.no_grad():
        for (layer, single), (_, double) in zip(*runs, strict=True):
            if layer.output in wanted:
                difference = _difference(wanted[layer.output], single, double)
                if difference is not None:
                    return layer, difference
    return None


def _nudged(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers with each constant replaced by the next float32 value above or below it.

    Constants are rounded to float32 when batch-norms are folded; this shows how much it matters.
    """
    rng = np.random.default_rng(0)

    def nudged(values: Array | None) -> Array | None:
        if values is None:
            return None
        ends = np.where(rng.random(values.shape) < 0.5, -np.inf, np.inf).astype(np.float32)
        if values.size and (values == values.flat[0]).all():
            ends[...] = ends.flat[0]  # one number for all channels stays one: fusing asks
        moved: Array = np.nextafter(values.astype(np.float32), ends)
        return moved

    return tuple(
        replace(layer, weight=nudged(layer.weight), bias=nudged(layer.bias)) for layer in layers
    )


def _difference(own: Values, single: Values, double: Values) -> _Difference | None:
    """How `own`, as in memory, differs from the value that layers compute; None if it is equal.

    The layers' value is given in both precisions.
    """
    largest = float(own.abs().max())
    if own.numel() != single.numel():
        return _Difference(float("inf"), 0.0, largest)
    found = float((in_memory(single).reshape(own.shape) - own).abs().max())
    rounding = float((single - double).abs().max())
    allowed = max(TOLERANCE * largest, _ROUNDINGS * rounding)
    # A NaN is a difference, too.
    return None if found <= allowed else _Difference(found, allowed, largest)


def _paired(traced: fx.GraphModule, events: Sequence[Event]) -> Iterator[tuple[str, Event]]:
    """The traced operations by name, each with the operation of the run that it stands for.

    They are matched by what is called, in order: hooks call functions that are not traced.
    """
    nodes = [node for node in traced.graph.nodes if _is_value(node)]
    ours, theirs = [_called(node) for node in nodes], [event.name.strip("_") for event in events]
    for start, other, length in SequenceMatcher(None, ours, theirs, False).get_matching_blocks():
        for step in range(length):
            node, event = nodes[start + step], events[other + step]
            if shape_of(node)[1:] == tuple(event.value.shape[1:]):
                yield node.name, event


def _is_value(node: fx.Node) -> bool:
    """True for an operation of the network that returns a tensor."""
    called = node.op in ("call_module", "call_function", "call_method")
    own = called and not node.meta.get(ADDED, False)
    return own and "shape" in node.meta and "constant" not in node.meta


def _called(node: fx.Node) -> str:
    """The name of what the operation calls, as `Event.name` without underscores around it."""
    target: Any = node.target
    return (target if isinstance(target, str) else str(target.__name__)).strip("_")


def _unsteady(events: Iterable[Event], repeated: Iterable[Event]) -> str:
    pairs = zip(events, repeated, strict=False)
    first = next((a for a, b in pairs if not torch.equal(a.value, b.value)), None)
    what = "the network" if first is None else _named(first.name, first.line)
    return (
        f"{what}: computes other values when it runs again on the same samples; dropout has to "
        "follow training=self.training, and no state may be kept from one run to the next"
    )


def _differs(module: nn.Module, layer: str, event: Event | None, difference: _Difference) -> str:
    name = _named(layer, event.line if event is not None else "")
    hooks = hooked(module)
    cause = (
        f"remove the forward hooks of {', '.join(hooks)} or make them layers"
        if hooks
        else "replaced methods, layers left in training mode and changes of .data are not seen; "
        "use layers of torch.nn as they are"
    )
    return (
        f"{name}: the captured layers differ from the network from here on, by up to "
        f"{difference.found:.3g} where the largest value is {difference.largest:.3g} and rounding "
        f"explains {difference.allowed:.1g}; {cause}"
    )


def _named(name: str, line: str) -> str:
    return f"{name} ({line})" if line else name
