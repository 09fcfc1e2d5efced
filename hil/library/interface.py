"""What the interface of a library says of its network: tensors, classes, names in C."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.errors import UserError
from compress.types import Tensor
from hil.kernel_interface.call import safe

_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,30}")
# Words of C and C++ and names that a library would clash with.
_TAKEN = frozenset(
    {
        *("auto", "bool", "break", "case", "catch", "char", "class", "const", "continue"),
        *("default", "delete", "do", "double", "else", "enum", "explicit", "extern"),
        *("false", "float", "for", "friend", "goto", "if", "inline", "int", "long", "mutable"),
        *("namespace", "new", "operator", "private", "protected", "public"),
        *("register", "restrict", "return", "short", "signed", "sizeof", "static"),
        *("struct", "switch", "template", "this", "throw", "true", "try", "typedef"),
        *("typename", "union", "unsigned", "using", "virtual", "void", "volatile"),
        *("while", "main", "arm", "hil", "golden", "network"),
    }
)


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """An input or output as C sees it; `quoted` and `scale` are C text."""

    name: str
    quoted: str
    type: str
    shape: tuple[int, ...]
    elements: int
    bytes: int
    offset_bytes: int
    scale: str
    zero_point: int


def tensor_facts(tensors: Sequence[Tensor]) -> list[TensorFacts]:
    """The tensors in order; their bytes lie one after the other."""
    found, offset = [], 0
    for tensor in tensors:
        found.append(
            TensorFacts(
                name=safe(tensor.name),
                quoted=quoted(safe(tensor.name)),
                type=tensor.dtype,
                shape=tensor.shape,
                elements=tensor.elements,
                bytes=tensor.size_bytes,
                offset_bytes=offset,
                scale=c_float(tensor.scale),
                zero_point=tensor.zero_point,
            )
        )
        offset += tensor.size_bytes
    return found


def c_float(value: float) -> str:
    """A float32 constant with digits enough to be read back as the same number."""
    text = np.format_float_scientific(np.float32(value), unique=True, trim="0")
    return f"{text}f"


def quoted(text: str) -> str:
    """A C string literal; what is not ASCII becomes the bytes of UTF-8."""
    plain = json.dumps(text, ensure_ascii=False)[1:-1]
    made = "".join(
        c if " " <= c <= "~" else "".join(f"\\{byte:03o}" for byte in c.encode("utf-8"))
        for c in plain
    )
    return f'"{made.replace("?", chr(92) + "?")}"'  # no trigraphs


def symbol_prefix(name: str) -> str:
    """A prefix made of a network's name: letters, digits and _; "network" where none is left."""
    made = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    made = re.sub(r"^[0-9_]+", "", made)[:31].rstrip("_")
    return made if made and made not in _TAKEN else f"{made or 'the'}_network"[:31]


def check_prefix(prefix: str) -> str:
    """The prefix, if C names may begin with it. Raises UserError."""
    if not _PREFIX.fullmatch(prefix) or prefix in _TAKEN:
        raise UserError(
            f"--prefix {prefix}: must be 1 to 31 lower-case letters, digits and _, begin with a "
            "letter, and be no word of C"
        )
    return prefix
