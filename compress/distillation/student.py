"""Student networks for distillation: a network reshaped by the genes of a `Distill` stage.

Blocks are dropped first, then channels, while importance can still be read off the trained weights.
Then kernels are resized, and full convolutions are replaced by separable approximations.
"""

import math
from collections.abc import Sequence
from typing import TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from compress.errors import Infeasible
from compress.genome import Distill
from compress.pruning.blocks import block_names, drop_blocks
from compress.pruning.prune import group_names, prune, ratios_of
from compress.tracing.normalize import copied
from compress.types import InputShape

_KERNELS = (0, 3, 5)


def student(
    module: nn.Module, input_shape: InputShape, stage: Distill, groups: Sequence[str] = ()
) -> nn.Module:
    """A copy of `module`, reshaped by the genes of `stage`; its output shape stays.

    The student inherits weights of `module`: the most important channels (l2), the centers of
    kernels, the nearest separable filters. With `fresh`, weights are initialized anew from torch's
    global generator, which the caller seeds. Genes that apply to no layer change nothing. `groups`
    are the names of the original's dependency groups, to which the ratios of `stage.keep` belong.

    Raises Infeasible for a gene out of range, for another number of ratios than `groups`, and for a
    kernel that cannot be resized without a change of its output shape.
    """
    made = copied(module).eval()
    made = _shallower(made, input_shape, stage.depth)
    made = _narrower(made, input_shape, stage, groups)
    if stage.kernel not in _KERNELS:
        raise Infeasible(f"kernel {stage.kernel}: allowed are {', '.join(map(str, _KERNELS))}")
    if stage.kernel:
        _resize_kernels(made, stage.kernel)
    if stage.separable:
        _separate(made)
    if stage.fresh:
        for layer in made.modules():
            reset = getattr(layer, "reset_parameters", None)
            if callable(reset):
                reset()
    return made


def _shallower(module: nn.Module, input_shape: InputShape, depth: float) -> nn.Module:
    """A copy of `module` with the share `depth` of its removable blocks.

    Their number is rounded half up and at least 1. The blocks kept are evenly spaced, from the
    first to the last.
    """
    if not 0 < depth <= 1:
        raise Infeasible(f"depth {depth}: allowed is 0 < depth <= 1")
    if depth == 1:
        return module
    names = block_names(module, input_shape)
    count = max(1, math.floor(depth * len(names) + 0.5))
    if count >= len(names):
        return module
    kept = set(np.linspace(0, len(names) - 1, count).round().astype(int).tolist())
    dropped = tuple(name for i, name in enumerate(names) if i not in kept)
    return drop_blocks(module, input_shape, dropped)


def _narrower(
    module: nn.Module, input_shape: InputShape, stage: Distill, groups: Sequence[str]
) -> nn.Module:
    """A copy of `module` whose dependency groups have the share of channels that `stage` gives."""
    if stage.keep:
        ratios = ratios_of(group_names(module, input_shape), groups, stage.keep)
        return prune(module, input_shape, ratios, "l2", "group")
    if stage.width == 1.0:
        return module
    return prune(module, input_shape, [stage.width], "l2", "uniform")


def _resize_kernels(module: nn.Module, size: int) -> None:
    """Resize all square kernels larger than 1x1 to `size` x `size` around their center, in place.

    Kernels are cropped or padded with zeros. The layer's padding changes so that its output keeps
    its shape.
    """
    for name, conv in module.named_modules():
        if not _is_plain(conv) or conv.kernel_size in ((1, 1), (size, size)):
            continue
        height, width = conv.kernel_size
        if height == width:
            conv.padding = _padding(name, conv, size)
            conv.weight = nn.Parameter(_centered(conv.weight.detach(), size))
            conv.kernel_size = (size, size)


def _is_plain(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """True for a Conv2d that computes what Conv2d does, not what a subclass makes of it."""
    return isinstance(layer, nn.Conv2d) and type(layer).forward is nn.Conv2d.forward


def _padding(name: str, conv: nn.Conv2d, size: int) -> str | tuple[int, int]:
    """The padding with which a kernel of `size` gives the same output shape.

    It changes by dilation * (size - old size) / 2 on every side. Raises Infeasible if that is not
    possible.
    """
    old = conv.kernel_size[0]
    change = f"{name}: kernel {old}x{old} to {size}x{size}"
    if old % 2 == 0:
        raise Infeasible(f"{change}: only kernels of odd size have a center")
    if conv.padding_mode != "zeros":
        raise Infeasible(f"{change}: padding_mode {conv.padding_mode!r}; allowed is 'zeros'")
    if conv.padding == "same":
        return "same"
    padding = (0, 0) if isinstance(conv.padding, str) else conv.padding
    height, width = (
        pad + dilation * (size - old) // 2
        for pad, dilation in zip(padding, conv.dilation, strict=True)
    )
    if min(height, width) < 0:
        raise Infeasible(f"{change}: padding {padding} is too small to keep the output's shape")
    return height, width


def _centered(weight: Tensor, size: int) -> Tensor:
    """Weight (..., k, k) cropped to its center or padded with zeros: (..., size, size)."""
    margin = (size - weight.shape[-1]) // 2  # negative where the kernel shrinks
    return nn.functional.pad(weight, (margin,) * 4).clone()


def _separate(module: nn.Module) -> None:
    """Replace full convolutions by separable ones, in place.

    Replaced are Conv2d larger than 1x1 with more than one input channel. A convolution used in
    several places stays shared.
    """
    made: dict[nn.Module, nn.Module] = {}
    for name, conv in list(module.named_modules(remove_duplicate=False)):
        if not _is_plain(conv) or conv.groups > 1 or conv.in_channels == 1:
            continue
        if name and math.prod(conv.kernel_size) > 1:
            made.setdefault(conv, _separable(conv))
            module.set_submodule(name, made[conv])


def _separable(conv: nn.Conv2d) -> nn.Sequential:
    """A depthwise and a pointwise convolution whose composition approximates `conv`.

    Their composition has the weights p[o, c] * d[c, y, x]: for each input channel c, a rank-one
    matrix (Cout, 1) x (1, kh * kw). The rank-one matrix nearest to the weights of `conv` in least
    squares comes from their largest singular value (Eckart and Young 1936). The bias goes to the
    pointwise convolution.
    """
    inputs, outputs, bias = conv.in_channels, conv.out_channels, conv.bias
    depthwise = nn.Conv2d(
        inputs,
        inputs,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        groups=inputs,
        bias=False,
        padding_mode=conv.padding_mode,
    )
    pointwise = nn.Conv2d(inputs, outputs, 1, bias=bias is not None)
    with torch.no_grad():
        by_channel = conv.weight.transpose(0, 1).flatten(2)  # (Cin, Cout, kh * kw)
        left, strength, right = torch.linalg.svd(by_channel, full_matrices=False)
        share = strength[:, :1].sqrt()  # (Cin, 1): both factors get the same magnitude
        depthwise.weight.copy_((share * right[:, 0]).reshape(depthwise.weight.shape))
        pointwise.weight.copy_((share * left[:, :, 0]).t().reshape(pointwise.weight.shape))
        if bias is not None and pointwise.bias is not None:
            pointwise.bias.copy_(bias)
    made = nn.Sequential()
    made.add_module("depthwise", depthwise)
    made.add_module("pointwise", pointwise)
    return made.train(conv.training)
