"""The tuned kernels of each operator type, best first."""

from __future__ import annotations

from typing import Any

from compress.ops import Add, AveragePool2D, Conv2D, DepthwiseConv2D, FullyConnected, Op
from hil.kernel_interface.operator_kernels import TunedKernel
from hil.tuned import (
    addition,
    dense,
    dense_pairs,
    patches,
    pointwise,
    pooling,
    rows,
    windows,
    winograd,
)
from hil.tuned_depthwise import blocks, direct, map3, narrow_map, one_row, stride2
from hil.tuned_depthwise import rows as depthwise_rows
from hil.tuned_kernels.unpacked import unpacked
from hil.tuned_mve import convolution, elementwise
from hil.tuned_mve import depthwise as mve_depthwise
from hil.tuned_scalar.convolution import CONVOLUTION_KERNEL
from hil.tuned_scalar.dense import DENSE_KERNEL
from hil.tuned_scalar.depthwise import DEPTHWISE_KERNEL
from hil.tuned_short import convolution as short_convolution
from hil.tuned_short import depthwise as short_depthwise
from hil.tuned_short import pooling as short_pooling

_BY_TYPE: dict[type[Op], tuple[TunedKernel[Any], ...]] = {
    Add: (*addition.KERNELS, *elementwise.ADD_KERNELS),
    AveragePool2D: (*pooling.KERNELS, *elementwise.AVERAGE_POOL_KERNELS, *short_pooling.KERNELS),
    Conv2D: (
        *pointwise.KERNELS,
        *winograd.KERNELS,
        *patches.KERNELS,
        *rows.KERNELS,
        *windows.KERNELS,
        *convolution.CONV2D_KERNELS,
        DENSE_KERNEL,
        CONVOLUTION_KERNEL,
        *short_convolution.KERNELS,
        *map(unpacked, (pointwise.KERNELS[-1], patches.KERNELS[-1], rows.KERNELS[-1])),
    ),
    DepthwiseConv2D: (
        *map3.KERNELS,
        *narrow_map.KERNELS,
        *blocks.KERNELS,
        *one_row.KERNELS,
        *direct.KERNELS,
        *stride2.KERNELS,
        *mve_depthwise.KERNELS,
        *depthwise_rows.KERNELS,
        DEPTHWISE_KERNEL,
        *short_depthwise.KERNELS,
    ),
    FullyConnected: (
        *dense.KERNELS,
        *dense_pairs.KERNELS,
        *convolution.FULLY_CONNECTED_KERNELS,
        DENSE_KERNEL,
        *map(unpacked, (dense.KERNELS[0], *dense_pairs.KERNELS)),
    ),
}


def tuned_kernels(op: Op) -> tuple[TunedKernel[Any], ...]:
    """The tuned kernels of the operator's type; none for some types."""
    return _BY_TYPE.get(type(op), ())


def tuned_kernel(op: Op, name: str) -> TunedKernel[Any] | None:
    """The tuned kernel of that name, None if the name is another kernel's."""
    return next((kernel for kernel in tuned_kernels(op) if kernel.name == name), None)


def all_tuned_kernels() -> tuple[TunedKernel[Any], ...]:
    """The tuned kernels of all operator types; one of several types more than once."""
    return tuple(kernel for kernels in _BY_TYPE.values() for kernel in kernels)
