"""Further C that a library carries beside its network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Companion:
    """Sources, files, a test and a section of the README that a library gets beside its network.

    `sources` are C files and headers by name, without folder: they go to src/PREFIX, .c and .S are
    compiled; those of `public` go to src. Their global names must begin with the library's prefix.
    `files` are any others by their path in the folder, such as golden data. `selftest`, if not
    empty, is a function `int selftest(int (*print)(const char *, ...))` that PREFIX_selftest calls,
    and that returns 0 if all is right. `readme` is a section in Markdown.
    """

    sources: Mapping[str, str]
    public: frozenset[str] = frozenset()
    files: Mapping[str, bytes] = field(default_factory=dict)
    selftest: str = ""
    readme: str = ""
