"""A network as a C library: all files of the folder, made from its graph and plan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from hil.codegen.render import template
from hil.files import PACKAGE, checkout
from hil.library.companion import Companion
from hil.library.figures import figure_lines, figures_note
from hil.library.folder import with_manifest
from hil.library.front_end import front_end_companion
from hil.library.golden import golden_files
from hil.library.interface import quoted, tensor_facts
from hil.library.layouts import LIBRARY_FLAGS, layout_files
from hil.library.manifest import manifest_facts
from hil.library.network import Network
from hil.library.sources import KernelFiles, Source, kernel_files, licenses, source_of
from hil.library.variant import (
    ARENA_ALIGNMENT,
    Variant,
    core_condition,
    core_macro,
    lacking_macros,
    make_variant,
    portable_plan,
)
from hil.types import Board

_THIRD_PARTY = "Changed by hil-compress: this line and the next, by which names begin with {}_."


def library_files(
    network: Network, prefix: str, companions: Sequence[Companion] = ()
) -> dict[str, bytes]:
    """All files of the library by path; the same network and prefix give the same bytes.

    Raises UnsupportedLayer for a layer without a fixed-point form or a portable kernel.
    """
    if network.front_end is not None:
        companions = (front_end_companion(network.front_end, prefix), *companions)
    core = network.board.core
    tuned = make_variant(f"{prefix}_tuned", network.plan, network.board, f"for {core}")
    plain = portable_plan(network.graph, network.board)
    portable = make_variant(f"{prefix}_portable", plain, network.board, "in plain C, for any core")
    context = _context(network, prefix, tuned, portable)
    context["companions"] = [one.selftest for one in companions if one.selftest]
    sources = {
        **_kernels(tuned, portable, network.board, context),
        **_interface(network, prefix, context),
    }
    for companion in companions:
        sources |= _companion(companion, prefix)
    compiled = [path for path in sources if path.endswith((".c", ".S"))]
    texts = {
        **{f"src/{path}": text for path, text in sources.items()},
        **layout_files([f"src/{path}" for path in compiled], context),
        "README.md": _readme(network, context, companions),
        "LICENSE": _license(),
        **{f"licenses/{name}": text for name, text in licenses().items()},
    }
    files = {name: text.encode() for name, text in texts.items()}
    files[f"{prefix}.tflite"] = network.tflite
    for companion in companions:
        files |= companion.files
    return with_manifest(files, manifest_facts(network, prefix, tuned, portable))


def _context(network: Network, prefix: str, tuned: Variant, portable: Variant) -> dict[str, Any]:
    graph = network.graph
    inputs, outputs = tensor_facts(graph.input_tensors), tensor_facts(graph.output_tensors)
    return {
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "title": network.title,
        "version": version("hil-compress"),
        "sha256": hashlib.sha256(network.tflite).hexdigest(),
        "core": network.board.core,
        "condition": core_condition(network.board),
        "core_macro": core_macro(network.board),
        "tuned": tuned,
        "portable": portable,
        "arena_bytes": tuned.arena_bytes,
        "alignment": ARENA_ALIGNMENT,
        "inputs": inputs,
        "outputs": outputs,
        "input_bytes": sum(one.bytes for one in inputs),
        "output_bytes": sum(one.bytes for one in outputs),
        "classes": [quoted(name) for name in network.classes],
        "uint8": graph.uint8,
        "states": bool(graph.variables),
        "samples": len(network.samples.inputs),
    }


def _kernels(
    tuned: Variant, portable: Variant, board: Board, context: Mapping[str, Any]
) -> dict[str, str]:
    """The sources of both forms and their kernels, by path in src, and names.h, which they share.

    What only one form needs is compiled for that form only.
    """
    known, prefix = kernel_files(), context["prefix"]
    needed = {
        one.name: known.needed_by(one.files.values(), lacking_macros(core))
        for one, core in ((tuned, board), (portable, None))
    }
    own = {one.name: [source_of(*file) for file in one.files.items()] for one in (tuned, portable)}
    users: dict[str, set[str]] = {}
    found: dict[str, Source] = {}
    for form in (tuned.name, portable.name):
        for source in (*own[form], *needed[form]):
            found[source.name] = source
            users.setdefault(source.name, set()).add(form)
    compiled = [one for one in found.values() if not one.name.endswith(".h")]
    names = {name for one in compiled for name in one.defines} | tuned.globals | portable.globals
    names |= {"golden_inputs", "golden_outputs"}
    flag = f"{prefix.upper()}_PORTABLE"
    conditions = {tuned.name: f"!{flag}", portable.name: flag}
    files = {}
    for source in found.values():
        forms = users[source.name]
        condition = conditions[next(iter(forms))] if len(forms) == 1 else ""
        files[f"{prefix}/{source.name}"] = (
            source.text if source.name.endswith(".h") else _prepared(source, prefix, condition)
        )
    for header in known.headers_of(source.text for source in found.values()):
        files[f"{prefix}/{header.name}"] = _header(header, known, context)
    files[f"{prefix}/names.h"] = template("library/names.h").render(context, names=sorted(names))
    return files


def _prepared(source: Source, prefix: str, condition: str) -> str:
    """A source that includes names.h first, compiled under a condition, if there is one."""
    notice = _THIRD_PARTY.format(prefix) if source.third_party else ""
    return template("library/source").render(
        notice=notice,
        names="names.h",
        condition=condition,
        text=source.text.rstrip("\n") + "\n",
        assembly=source.name.endswith(".S"),
    )


def _header(header: Source, known: KernelFiles, context: Mapping[str, Any]) -> str:
    """A header as it is, but that portable code does without Arm's arm_acle.h."""
    included = "#include <arm_acle.h>\n"
    if not header.third_party or included not in header.text:
        return header.text
    return header.text.replace(included, template("library/acle.h").render(context))


def _interface(network: Network, prefix: str, context: Mapping[str, Any]) -> dict[str, str]:
    """The sources of the interface and of the self-test, by path in src."""

    def made(name: str) -> str:
        return template(f"library/{name}").render(context)

    def inner(name: str, text: str) -> str:
        return _prepared(source_of(name, text), prefix, "")

    golden = golden_files(network.samples, network.origin, prefix)
    return {
        f"{prefix}.h": made("library.h"),
        f"{prefix}.c": made("library.c"),
        f"{prefix}_core.h": made("core.h"),
        f"{prefix}/compiler.h": made("compiler.h"),
        f"{prefix}/network.h": made("network.h"),
        f"{prefix}/{prefix}_selftest.c": inner(f"{prefix}_selftest.c", made("selftest.c")),
        f"{prefix}/golden.h": golden["golden.h"],
        f"{prefix}/{prefix}_golden.c": inner("golden.c", golden[f"{prefix}_golden.c"]),
    }


def _companion(companion: Companion, prefix: str) -> dict[str, str]:
    return {
        name if name in companion.public else f"{prefix}/{name}": text
        for name, text in companion.sources.items()
    }


def _readme(network: Network, context: Mapping[str, Any], companions: Iterable[Companion]) -> str:
    features = network.board.features
    words = "of its kind"
    if "mve" in features:
        words = "Cortex-M with MVE (M55, M85)"
    elif "dsp" in features:
        words = "Cortex-M with DSP instructions (M4, M7, M33)"
    lines = [] if network.measured is None else figure_lines(network.measured, network.board)
    whole = {
        **context,
        "board": network.board.title,
        "core_words": words,
        "flags": LIBRARY_FLAGS,
        "figures": lines,
        "figures_note": figures_note(network.measured, network.board),
        "origin": network.origin,
        "float_example": len(context["inputs"]) == len(context["outputs"]) == 1,
        "classes": list(network.classes),
        "companions": [one.readme.strip() for one in companions if one.readme],
    }
    return template("library/README.md").render(whole)


def _license() -> str:
    """Our own license: of the checkout, or of the installed package."""
    root = checkout()
    if root is not None:
        return (root / "LICENSE").read_text(encoding="utf-8")
    found = sorted(PACKAGE.parent.glob("hil_compress-*.dist-info/**/LICENSE"))
    return found[0].read_text(encoding="utf-8")
