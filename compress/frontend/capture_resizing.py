"""Capture of changes of a map's size by interpolation."""

from typing import Any

from torch import fx

from compress.errors import UnsupportedLayer
from compress.frontend.layers import Centers, LayerKind
from compress.frontend.reader import Reader, label, wide
from compress.tracing.trace import shape_of

_MODES: dict[str, LayerKind] = {
    "nearest": "resize_nearest",
    "nearest-exact": "resize_nearest",
    "linear": "resize_bilinear",
    "bilinear": "resize_bilinear",
}


def resize(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> None:
    """Upsample and interpolate: nearest or bilinear, to a size or by factors that give one."""
    source, name = reader.view(x, node), label(node)
    before, after = source.shape, shape_of(node)
    if mode not in _MODES or antialias or len(before) not in (3, 4):
        raise UnsupportedLayer(
            f"{name}: interpolation {mode!r} of {wide(before)}{' with antialias' * antialias}; "
            "allowed are 'nearest', 'nearest-exact', 'linear' and 'bilinear' of series and maps"
        )
    if scale_factor is not None and not recompute_scale_factor:
        given = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor]
        factors = [*given] if len(given) == len(before) - 2 else [*given] * (len(before) - 2)
        sizes = [n * factor for n, factor in zip(before[2:], factors, strict=True)]
        if sizes != list(after[2:]):
            raise UnsupportedLayer(
                f"{name}: scale_factor {scale_factor} makes {wide(after)} of {wide(before)}, of "
                "which the factor is not the ratio; give the size"
            )
    centers: Centers = "corner"
    if align_corners:
        centers = "aligned"
    elif mode != "nearest":
        centers = "half_pixel"
    reader.emit(node, _MODES[mode], [source], centers=centers)


def upsample_module(
    reader: Reader,
    node: fx.Node,
    x: fx.Node,
    size: Any,
    scale_factor: Any,
    mode: str,
    align_corners: bool | None,
    recompute_scale_factor: bool | None = None,
) -> None:
    """Upsample, UpsamplingNearest2d and UpsamplingBilinear2d."""
    resize(reader, node, x, size, scale_factor, mode, align_corners, recompute_scale_factor)
