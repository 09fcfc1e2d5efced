"""Random networks of layers that can be computed row by row."""

from __future__ import annotations

import numpy as np

from compress.ops import Activation, Padding
from compress.types import Graph
from helpers.graph_builder import GraphBuilder


def random_chain(seed: int, layers: int = 6) -> Graph:
    """Convolutions, depthwise ones, sums with a skip and a last mean, of random windows.

    Strides are 1 and 2, filters 1, 3 and 5, paddings any that a window touches; some layers have
    the shape of their input, so that their row may lie over its row.
    """
    rng = np.random.default_rng(seed)
    b = GraphBuilder(seed=seed)
    height, width = (int(n) for n in rng.integers(11, 20, 2))
    x = b.input(
        (height, width, int(rng.choice([1, 3, 4, 8]))), zero_point=int(rng.integers(-128, 128))
    )
    x = b.conv(x, 8, (3, 3), padding=Padding(1, 1, 1, 1), zero_point=int(rng.integers(-50, 50)))
    skips: dict[tuple[int, ...], int] = {}
    for _ in range(layers):
        shape = b.tensors[x].shape
        kind = str(rng.choice(["conv", "depthwise", "pointwise", "add", "same"]))
        rows, columns = (int(n) for n in rng.choice([1, 3, 5], 2))
        stride = (int(rng.integers(1, 3)), int(rng.integers(1, 3)))
        top, bottom = (int(n) for n in rng.integers(0, (rows + 1) // 2 + 1, 2))
        left, right = (int(n) for n in rng.integers(0, (columns + 1) // 2 + 1, 2))
        if shape[1] + top + bottom < rows + 2 or shape[2] + left + right < columns + 2:
            continue
        padding = Padding(
            min(top, rows - 1),
            min(bottom, rows - 1),
            min(left, columns - 1),
            min(right, columns - 1),
        )
        activation = Activation(str(rng.choice(["none", "relu"])))
        zero_point = int(rng.integers(-128, 100))
        if kind == "conv":
            channels = int(rng.choice([5, 8, 12]))
            x = b.conv(
                x,
                channels,
                (rows, columns),
                stride,
                padding=padding,
                zero_point=zero_point,
                activation=activation,
            )
        elif kind == "depthwise":
            x = b.depthwise(
                x,
                1,
                (rows, columns),
                stride,
                padding=padding,
                zero_point=zero_point,
                activation=activation,
            )
        elif kind == "same":
            x = b.depthwise(x, 1, (3, 3), padding=Padding(1, 1, 1, 1), zero_point=zero_point)
        elif kind == "pointwise" or shape not in skips or skips[shape] == x:
            x = b.conv(x, shape[3], (1, 1), zero_point=zero_point, activation=activation)
        else:
            x = b.add(x, skips[shape], zero_point=zero_point)
        skips.setdefault(b.tensors[x].shape, x)
    _, height, width, _ = b.tensors[x].shape
    if height * width <= 255 and rng.integers(0, 2):
        x = b.average_pool(x, (height, width))
    return b.finish(x, f"chain_{seed}")
