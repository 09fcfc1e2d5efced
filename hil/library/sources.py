"""The kernels' source files that a network needs, found by the names in their text.

The text is read, not object files: which of several files defines a function depends on the core
(`conv_channels.c` or its assembly), and a library is compiled for any.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hil.codegen.build import FIRMWARE, INSTANCES, TUNED
from hil.kernels.cmsis_nn import CmsisNn, cmsis_nn

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]\w*")
_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
# A function or an array that is defined at the left margin, and is not static.
_FUNCTION = re.compile(
    r"^(?!static\b|__STATIC|typedef\b|struct\b|enum\b|union\b|extern\b|return\b|else\b)"
    r"[A-Za-z_][\w \t*]*?[\s*](\w+)\s*\([^;{}()]*(?:\([^()]*\)[^;{}()]*)*\)\s*\{",
    re.MULTILINE,
)
# A function's body: braces stand at the left margin.
_BODY = re.compile(r"^\{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_ARRAY = re.compile(r"^(?:const\b)[\w \t*]*?[ \t*](\w+)(?:\s*\[[^]]*\])+\s*=", re.MULTILINE)
# A macro of C whose first argument it defines, and a macro of assembly that makes a global label.
_C_MACRO = re.compile(
    r"^#define (?P<macro>\w+)\((?P<name>\w+)[^)]*\)(?P<body>(?:[^\n]*\\\n)*[^\n]*)", re.MULTILINE
)
_ASSEMBLY_MACRO = re.compile(
    r"^\s*\.macro (?P<macro>\w+)(?P<body>.*?)^\s*\.endm", re.MULTILINE | re.DOTALL
)
_CONDITION = re.compile(r"^\s*#\s*(?P<word>if|ifdef|ifndef|else|elif|endif)\b\s*(?P<what>.*?)\s*$")
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
# `function` is a macro of firmware/tuned/depthwise_macros.h.
_ASSEMBLED = re.compile(r"^\s*(?:\.global|function)\s+(\w+)", re.MULTILINE)
_DEFINE = re.compile(r"^#define (\w+) (\w+)", re.MULTILINE)
_INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the kernels, and what it defines for other files.

    `text` is as it is stored, `third_party` true for Arm's files.
    """

    name: str
    text: str
    third_party: bool
    defines: frozenset[str]


def source_of(name: str, text: str, third_party: bool = False) -> Source:
    """The source file `name` (its suffix says C or assembly) with this text."""
    return Source(name, text, third_party, defined_in(name, text))


def live_text(text: str, lacking: Collection[str]) -> str:
    """`text` without what stands under `#if defined(MACRO)` for a macro of `lacking`.

    Other conditions are left as they are, with all their branches.
    """
    kept, dead = [], [False]
    for line in text.splitlines():
        directive = _CONDITION.match(line)
        if directive is None:
            kept += [] if any(dead) else [line]
        elif directive["word"] == "endif":
            dead.pop()
        elif directive["word"] in ("else", "elif"):
            dead[-1] = False
        else:
            dead.append(any(f"defined({macro})" == directive["what"] for macro in lacking))
    return "\n".join(kept)


def words_in(text: str) -> frozenset[str]:
    """All identifiers of a C or assembly text, those of comments left out."""
    return frozenset(_WORD.findall(_COMMENT.sub(" ", text)))


def defined_in(name: str, text: str) -> frozenset[str]:
    """The global functions and arrays that a C or assembly source defines."""
    plain = _COMMENT.sub(" ", text)
    if name.endswith(".S"):
        return frozenset(_assembled(plain))
    plain = _ATTRIBUTE.sub(" ", plain)
    made = [
        word
        for macro in _C_MACRO.finditer(plain)
        if re.search(rf"\b{macro['name']}\s*\(", macro["body"])
        for word in re.findall(rf"^{macro['macro']}\(\s*(\w+)", plain, re.MULTILINE)
    ]
    plain = _DIRECTIVE.sub("", plain)
    return frozenset([*made, *_FUNCTION.findall(plain), *_ARRAY.findall(plain)])


def _assembled(plain: str) -> Iterator[str]:
    """The global labels of an assembly text, also those that its macros make."""
    names: dict[str, str] = {}
    for macro, value in _DEFINE.findall(plain):
        names.setdefault(macro, value)
    for label in _ASSEMBLED.findall(plain):
        yield names.get(label, label)
    for macro in _ASSEMBLY_MACRO.finditer(plain):
        if re.search(r"(?:\.global|function)\s+\\", macro["body"]):
            yield from re.findall(rf"^\s*{macro['macro']}\s+(\w+)", plain, re.MULTILINE)


@dataclass(frozen=True, slots=True)
class KernelFiles:
    """All kernels that may be chosen from: sources by the names they define, headers by name."""

    by_name: Mapping[str, Sequence[Source]]
    headers: Mapping[str, Source]

    def needed_by(self, texts: Iterable[str], lacking: Collection[str]) -> list[Source]:
        """The sources that `texts` call, and those that these call, in the order of their names.

        `lacking` are macros that are not defined where they are compiled (`live_text`).
        """
        pending = [self._called_by(text, lacking) for text in texts]
        found: dict[str, Source] = {}
        while pending:
            for word in pending.pop():
                for source in self.by_name.get(word, ()):
                    if source.name not in found:
                        found[source.name] = source
                        pending.append(self._called_by(source.text, lacking))
        return [found[name] for name in sorted(found)]

    def _called_by(self, text: str, lacking: Collection[str]) -> frozenset[str]:
        """The words of a source, and of the inline functions of the headers that it includes."""
        bodies = [
            body
            for header in self.headers_of([text])
            for body in _BODY.findall(live_text(header.text, lacking))
        ]
        return words_in("\n".join([live_text(text, lacking), *bodies]))

    def headers_of(self, texts: Iterable[str]) -> list[Source]:
        """The headers that `texts` include, and those that these include."""
        pending = [name for text in texts for name in included(text)]
        found: dict[str, Source] = {}
        while pending:
            header = self.headers.get(Path(pending.pop()).name)
            if header is not None and header.name not in found:
                found[header.name] = header
                pending += included(header.text)
        return [found[name] for name in sorted(found)]


def included(text: str) -> Iterator[str]:
    """The names between quotes that a text includes."""
    yield from _INCLUDE.findall(text)


def kernel_files() -> KernelFiles:
    """The kernels of this checkout or wheel and of the CMSIS-NN in use. Raises as `cmsis_nn`."""
    return _files(cmsis_nn())


@cache
def _files(theirs: CmsisNn) -> KernelFiles:
    by_name: dict[str, list[Source]] = defaultdict(list)
    ours = [*(FIRMWARE / "kernels").glob("*.c"), *TUNED.glob("*.[cS]")]
    for path, third_party in [*((p, False) for p in ours), *((p, True) for p in theirs.sources)]:
        source = source_of(path.name, _whole(path), third_party)
        for name in source.defines:
            by_name[name].append(source)
    headers = [FIRMWARE / "custom.h", *(FIRMWARE / "kernels").glob("*.h"), *TUNED.glob("*.h")]
    paths = [*((path, False) for path in headers), *((path, True) for path in theirs.headers)]
    return KernelFiles(by_name, {p.name: source_of(p.name, _read(p), t) for p, t in paths})


def with_assembly(text: str) -> str:
    """The text of an assembly source with the sources that it includes in their places."""

    def content(match: re.Match[str]) -> str:
        paths = [folder / match.group(1) for folder in (INSTANCES, TUNED)]
        found = [path for path in paths if path.suffix == ".S" and path.is_file()]
        return _read(found[0]) if found else match.group(0)

    return _INCLUDE.sub(content, text)


def licenses() -> dict[str, str]:
    """The texts of licenses by file name: ours, and those of Arm's sources in use."""
    theirs = cmsis_nn()
    found = {}
    for name, folder in zip(("CMSIS-NN", "CMSIS-Core"), theirs.includes, strict=False):
        for file in ("LICENSE.txt", "LICENSE"):
            if (folder.parent / file).is_file():
                found[f"LICENSE-{name}.txt"] = _read(folder.parent / file)
                break
    return found


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _whole(path: Path) -> str:
    return with_assembly(_read(path)) if path.suffix == ".S" else _read(path)
