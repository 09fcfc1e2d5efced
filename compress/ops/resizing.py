"""Operators that change height and width of a map by interpolation."""

from __future__ import annotations

from dataclasses import dataclass

from compress.ops.op import Op


@dataclass(frozen=True, slots=True)
class ResizeNearest(Op):
    """input (1,H,W,C) -> output (1,H',W',C): each pixel is a copy of the nearest one.

    With `align_corners` the centers of the corner pixels coincide, otherwise the corners
    themselves. With `half_pixel_centers` a pixel's position is its center, otherwise its corner.
    """

    input: int
    output: int
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True, slots=True)
class ResizeBilinear(Op):
    """input (1,H,W,C) -> output (1,H',W',C): each pixel is interpolated from four.

    The options are those of `ResizeNearest`, of which only one may be set.
    """

    input: int
    output: int
    align_corners: bool = False
    half_pixel_centers: bool = False
