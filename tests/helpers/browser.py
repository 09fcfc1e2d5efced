"""Headless Chromium for tests of pages: it fetches nothing, and every complaint is recorded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = "chromium"
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_LONGEST_MS = 60_000  # on a busy machine


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of playwright. Skips the test where Chromium or playwright is not installed."""
    path = shutil.which(CHROMIUM)
    if path is None:
        pytest.skip("chromium is not installed (Debian: apt install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """An open page, what its console said, and the addresses that it asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """Errors, and addresses of anything but the page's own file and data."""
        return self.said + [one for one in self.asked if not one.startswith(("file:", "data:"))]

    def hover_text(self) -> str:
        """The text of plotly's tooltip."""
        tip = self.page.locator("#front-plot .hovertext")
        tip.first.wait_for()
        return "\n".join(tip.all_text_contents())

    def values(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.page.evaluate(expression)


@contextmanager
def visit(browser: Any, address: Path | str, **settings: Any) -> Iterator[Visit]:
    """Open a file or an address; `settings` are those of a new page of playwright."""
    page = browser.new_page(**settings)
    page.set_default_timeout(_LONGEST_MS)
    found = Visit(page)
    page.on("console", lambda one: found.said.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("request", lambda one: found.asked.append(one.url))
    try:
        page.goto(address.as_uri() if isinstance(address, Path) else address)
        yield found
    finally:
        page.close()
