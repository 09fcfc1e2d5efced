"""The front end of a network's task beside it in a library: features in C, and their self-test."""

from __future__ import annotations

from compress.features.integer import IntegerFrontEnd
from hil.codegen.render import template
from hil.features.files import front_end_files
from hil.library.companion import Companion


def front_end_companion(front_end: IntegerFrontEnd, prefix: str) -> Companion:
    """The sources of the front end with the library's prefix; PREFIX_features.h is for the user."""
    sources = {name: text.decode() for name, text in front_end_files(front_end, prefix).items()}
    context = {"prefix": prefix, "PREFIX": prefix.upper()}
    public = f"{prefix}_features.h"
    # They are in src/PREFIX, the header that the user includes one folder above.
    include = f'#include "{public}"'
    sources = {
        name: text.replace(include, f'#include "../{public}"') for name, text in sources.items()
    }
    sources[f"{prefix}_features_selftest.c"] = template("library/features_selftest.c").render(
        context
    )
    return Companion(
        sources=sources,
        public=frozenset({public}),
        selftest=f"{prefix}_features_selftest",
        readme=template("library/features.md").render(context),
    )
