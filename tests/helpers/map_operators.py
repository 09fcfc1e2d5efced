"""Builder methods of operators on maps: resizing, reductions, transposed convolution."""

from __future__ import annotations

from collections.abc import Callable

from compress.arithmetic.windows import same_padding
from compress.ops import (
    Activation,
    BatchMatMul,
    Op,
    Prelu,
    ReduceMax,
    ReduceMin,
    ResizeBilinear,
    ResizeNearest,
    Sum,
    Table,
    TransposeConv2D,
)
from compress.types import Tensor


def reduced_shape(shape: tuple[int, ...], axes: tuple[int, ...], keep: bool) -> tuple[int, ...]:
    """The shape without `axes`; with `keep` they have extent 1."""
    extents = enumerate(shape)
    return tuple(1 if axis in axes else n for axis, n in extents if keep or axis not in axes)


class MapOperators:
    """Mixed into `GraphBuilder`."""

    tensors: list[Tensor]
    ops: list[Op]
    _name: Callable[[str], str]
    _activation: Callable[..., int]
    constant: Callable[..., int]
    requantize: Callable[..., int]
    reshape: Callable[..., int]
    _constants: Callable[..., tuple[int, int, float]]

    def resize_nearest(
        self,
        source: int,
        size: tuple[int, int],
        align_corners: bool = False,
        half_pixel_centers: bool = False,
    ) -> int:
        return self._resize(ResizeNearest, source, size, align_corners, half_pixel_centers)

    def resize_bilinear(
        self,
        source: int,
        size: tuple[int, int],
        align_corners: bool = False,
        half_pixel_centers: bool = False,
    ) -> int:
        return self._resize(ResizeBilinear, source, size, align_corners, half_pixel_centers)

    def _resize(
        self,
        kind: type[ResizeNearest | ResizeBilinear],
        source: int,
        size: tuple[int, int],
        *options: bool,
    ) -> int:
        x = self.tensors[source]
        out = self._like(x, "resize", (1, *size, x.shape[3]))
        self.ops.append(kind(self.tensors[out].name, source, out, *options))
        return out

    def transpose_conv(
        self,
        source: int,
        channels: int,
        size: tuple[int, int],
        kernel: tuple[int, int] = (3, 3),
        stride: tuple[int, int] = (2, 2),
        same: bool = True,
        activation: Activation = Activation.NONE,
        zero_point: int = 4,
        gain: float = 1.0,
        weight_scale: float = 0.01,
        per_channel: bool = True,
        weight_bits: int = 8,
    ) -> int:
        """Transposed convolution to an output of `size`; `same` cuts as TFLite's SAME does."""
        x = self.tensors[source]
        weights, bias, scale = self._constants(
            x,
            (channels, *kernel, x.shape[3]),
            channels,
            0 if per_channel else None,
            weight_scale,
            weight_bits,
        )
        padding = same_padding(size, kernel, stride)
        crop = (padding.top, padding.left) if same else (0, 0)
        name = self._name("transpose_conv")
        out = self._activation(name, (1, *size, channels), scale * gain, zero_point, x.dtype)
        self.ops.append(TransposeConv2D(name, source, weights, bias, out, stride, crop, activation))
        return out

    def prelu(
        self, source: int, alpha: int, scale: float | None = None, zero_point: int = 3
    ) -> int:
        x = self.tensors[source]
        out = self._activation(self._name("prelu"), x.shape, scale or x.scale, zero_point)
        self.ops.append(Prelu(self.tensors[out].name, source, alpha, out))
        return out

    def table(self, source: int, scale: float = 0.1, zero_point: int = 4) -> int:
        """A function of random values."""
        table = self.constant((256,), scale, zero_point)
        x = self.tensors[source]
        out = self._activation(self._name("table"), x.shape, scale, zero_point)
        self.ops.append(Table(self.tensors[out].name, source, table, out))
        return out

    def matmul(
        self,
        left: int,
        right: int,
        transposed: bool = False,
        gain: float = 1.0,
        zero_point: int = 6,
    ) -> int:
        """The product of two activations; `gain` is that of a range that fits the sums."""
        a, b = self.tensors[left], self.tensors[right]
        columns = b.shape[-2 if transposed else -1]
        scale = a.scale * b.scale * 20 * a.shape[-1] ** 0.5 / gain
        shape = (*a.shape[:-1], columns)
        out = self._activation(self._name("matmul"), shape, scale, zero_point)
        self.ops.append(BatchMatMul(self.tensors[out].name, left, right, out, transposed))
        return out

    def sum(
        self,
        source: int,
        axes: tuple[int, ...] = (1, 2),
        keep: bool = False,
        scale: float | None = None,
        zero_point: int = 3,
    ) -> int:
        x = self.tensors[source]
        shape = reduced_shape(x.shape, axes, keep)
        out = self._activation(self._name("sum"), shape, scale or x.scale * 2, zero_point, x.dtype)
        self.ops.append(Sum(self.tensors[out].name, source, out, axes))
        return out

    def reduce_max(self, source: int, axes: tuple[int, ...] = (1, 2), keep: bool = False) -> int:
        return self._extreme(ReduceMax, source, axes, keep)

    def reduce_min(self, source: int, axes: tuple[int, ...] = (1, 2), keep: bool = False) -> int:
        return self._extreme(ReduceMin, source, axes, keep)

    def _extreme(
        self, kind: type[ReduceMax | ReduceMin], source: int, axes: tuple[int, ...], keep: bool
    ) -> int:
        x = self.tensors[source]
        out = self._like(x, "extreme", reduced_shape(x.shape, axes, keep))
        self.ops.append(kind(self.tensors[out].name, source, out, axes))
        return out

    def _like(self, x: Tensor, kind: str, shape: tuple[int, ...]) -> int:
        """An activation with the scale, zero point and type of x."""
        return self._activation(self._name(kind), shape, x.scale, x.zero_point, x.dtype)


def append_every_map_operator(b: MapOperators, x: int) -> int:
    """One of each operator of this module after x (1, H, W, C); the shape is kept."""
    _, height, width, _ = b.tensors[x].shape
    x = b.prelu(x, b.constant((b.tensors[x].shape[3],), 0.01))
    x = b.add(x, b.table(x))
    x = b.add(x, b.matmul(b.matmul(x, x, transposed=True), x))
    x = b.resize_nearest(x, (height * 2, width))
    x = b.resize_bilinear(x, (height, width), half_pixel_centers=True)
    x = b.add(x, b.reduce_max(x, (1, 2)))
    x = b.add(x, b.reduce_min(x, (0, 1, 2), keep=True))
    x = b.transpose_conv(x, b.tensors[x].shape[3], (height, width), stride=(1, 1), gain=0.5)
    return b.add(x, b.sum(x, (1, 2), scale=b.tensors[x].scale * 20))
