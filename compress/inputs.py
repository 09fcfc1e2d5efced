"""The inputs of a network: one, or several with the names of the parameters of its forward.

Samples of one input are an array (N, *shape). Those of several are one structured array (N,) with a
float32 sub-array as the field of each input, so that it is sliced, shuffled and hashed as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from compress.types import Array, InputShape

_Extents = tuple[int, ...]


def names_of(shape: InputShape) -> tuple[str, ...]:
    """The names of several inputs; empty for one without a name."""
    return tuple(one[0] for one in shape if isinstance(one, tuple))


def shapes_of(shape: InputShape) -> tuple[_Extents, ...]:
    """The shape of each input without batch."""
    named = tuple(one[1] for one in shape if isinstance(one, tuple))
    return named or (tuple(one for one in shape if isinstance(one, int)),)


def shape_of_samples(x: Array) -> InputShape:
    """The shape of the inputs of samples x."""
    if x.dtype.names is None:
        return tuple(int(size) for size in x.shape[1:])
    return tuple((name, x.dtype[name].shape) for name in x.dtype.names)


def parts_of(x: Array) -> tuple[Array, ...]:
    """The samples (N, *shape) of each input; views of x."""
    return (x,) if x.dtype.names is None else tuple(x[name] for name in x.dtype.names)


def dtype_of(shape: InputShape) -> np.dtype[np.void] | np.dtype[np.float32]:
    """The type of the elements of samples."""
    names = names_of(shape)
    if not names:
        return np.dtype(np.float32)
    fields = zip(names, shapes_of(shape), strict=True)
    return np.dtype([(name, np.float32, extents) for name, extents in fields])


def structured(parts: Mapping[str, Array]) -> Array:
    """Samples of several inputs from arrays (N, *shape) of numbers, in their order.

    Raises ValueError for arrays of different lengths.
    """
    if len({len(part) for part in parts.values()}) != 1:
        raise ValueError(
            f"inputs of {', '.join(str(len(part)) for part in parts.values())} samples"
        )
    shape = tuple((name, part.shape[1:]) for name, part in parts.items())
    x = np.empty(len(next(iter(parts.values()))), dtype_of(shape))
    for name, part in parts.items():
        x[name] = part
    return x


def samples_of_parts(shape: InputShape, parts: Sequence[Array]) -> Array:
    """Samples from those of each input, the inverse of `parts_of`."""
    names = names_of(shape)
    return structured(dict(zip(names, parts, strict=True))) if names else parts[0]


def shape_words(shape: InputShape) -> str:
    """A shape for messages: "(3, 32, 32)", or "image (3, 32, 32), numbers (5,)"."""
    names = names_of(shape)
    if not names:
        return str(shape)
    return ", ".join(f"{name} {of}" for name, of in zip(names, shapes_of(shape), strict=True))


def wrong_parameters(parameters: Sequence[str], shape: InputShape) -> str:
    """Why the parameters of a network's forward are not these inputs; '' if they are."""
    names = names_of(shape)
    if (len(parameters) == 1 and not names) or tuple(parameters) == names:
        return ""
    takes, given = ", ".join(parameters) or "nothing", ", ".join(names)
    if not names:
        return (
            f"forward takes {takes}, but a sample is one array of {shape}: leave others out, or "
            "give each parameter an input of its name (docs/own-network.md, Several inputs)"
        )
    return (
        f"forward takes {takes}, but the inputs are {given}: they must be its parameters by name, "
        "all of them and in its order"
    )
