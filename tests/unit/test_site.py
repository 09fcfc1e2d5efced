"""The documentation site: every link leads to a page, and every page is in its contents."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.checkout import ROOT

pytest.importorskip("mkdocs", reason="mkdocs is not installed (pip install '.[docs]')")


def test_it_builds_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the pages of docstrings, which take half a minute and have no links of ours."""
    import logging

    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    warnings = logging.Handler(logging.WARNING)
    told: list[str] = []
    warnings.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("mkdocs").addHandler(warnings)
    try:
        config = load_config(str(ROOT / "mkdocs.yml"), plugins=["search"], site_dir=str(tmp_path))
        build(config)
    finally:
        logging.getLogger("mkdocs").removeHandler(warnings)
    assert not told
    first = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "hil-compress makes a PyTorch network fit" in first
    assert 'href="own-network.html"' in first
