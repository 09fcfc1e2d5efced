"""What MkDocs makes of the repository beside the pages of docs/ (hooks of mkdocs.yml).

The first page is README.md. Decisions and studies are listed as they are found, and each room of
`compress` and `hil` gets a page of its docstrings. Links to files that are no pages become plain
text in a code font, since the site has no such file.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """Complete the navigation with what is found in folders."""
    design = next(item["Design"] for item in config.nav if "Design" in item)
    design.append({"Decisions": [f"decisions/{p.name}" for p in _pages("decisions")]})
    figures = next(item["Figures"] for item in config.nav if "Figures" in item)
    studies = [f"results/{p.name}" for p in _pages("results") if p.name != "README.md"]
    figures.append({"Single studies": studies})
    if "mkdocstrings" in config.plugins:
        config.nav.append({"Python": [{room: _page(room)} for room in _rooms()]})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the first page and those of the rooms."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = re.sub(r"\]\(docs/", "](", readme)
    files.append(File.generated(config, "index.md", content=readme))
    for room in _rooms() if "mkdocstrings" in config.plugins else ():
        files.append(File.generated(config, _page(room), content=_docstrings(room)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Keep links to pages; those to other files of the repository become their text."""
    folder = Path(page.file.src_uri).parent

    def link(found: re.Match[str]) -> str:
        text, target = found[1], found[2]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        place = Path("docs") / folder / target
        named = (ROOT / place).resolve()
        if named.is_relative_to(ROOT / "docs") and named.is_dir():
            first = named / "README.md"
            if first.is_file():
                return f"[{text}]({target.rstrip('/')}/README.md{found[3] or ''})"
            return text
        if files.get_file_from_path(str(_normal(folder / target))) is not None:
            return found[0]
        return text if "`" in text else f"`{text}`"

    return LINK.sub(link, markdown)


def _normal(path: Path) -> Path:
    """`path` without `..` inside."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)


def _pages(folder: str) -> list[Path]:
    return sorted((ROOT / "docs" / folder).glob("*.md"))


def _rooms() -> list[str]:
    """The packages of `compress` and `hil`, as Python names them."""
    return [
        ".".join(init.parent.relative_to(ROOT).parts)
        for package in ("compress", "hil")
        for init in sorted((ROOT / package).rglob("__init__.py"))
    ]


def _docstrings(room: str) -> str:
    """The page of a room: its own docstring, then its modules, but not the rooms inside it."""
    modules = sorted(ROOT.joinpath(*room.split(".")).glob("[!_]*.py"))
    named = "".join(
        f"\n::: {room}.{module.stem}\n    options: {{show_root_heading: true}}\n"
        for module in modules
    )
    return f"# {room}\n\n::: {room}\n{named}"


def _page(room: str) -> str:
    return f"python/{room}.md"
