"""The documentation site: the Markdown pages of the repository as they are, and a reference of all modules.

`make docs` builds it. The source folder is the root of the repository, so that links between pages are the same on the
site and in a checkout.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "workflow" / "scripts"

project = "HaemoSynth"
author = "The HaemoSynth developers"
copyright = author
extensions = ["myst_parser"]
include_patterns = [
    "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md", "config/README.md", "resources/README.md",
]  # fmt: skip
exclude_patterns = ["docs/_build"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
html_theme = "furo"
html_title = "HaemoSynth"
html_static_path = ["site"]
html_css_files = ["site.css"]


def write_signature(node: ast.FunctionDef) -> str:
    """A function as it is called, with its types."""
    returned = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{node.name}({ast.unparse(node.args)}){returned}"


def describe_module(path: Path) -> list[str]:
    """A module's public functions and classes with what their docstrings say; read, not imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = ["", "```text", ast.get_docstring(tree) or "", "```", ""]
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        text = ast.get_docstring(node)
        if text is None:
            continue
        named = write_signature(node) if isinstance(node, ast.FunctionDef) else f"class {node.name}"
        lines += ["```python", named, "```", "", "```text", text, "```", ""]
    return lines


def write_reference() -> None:
    """A page for each part of the package, made anew with every build (git ignores them)."""
    pages: dict[str, list[str]] = {}
    for path in sorted((SCRIPTS / "haemosynth").rglob("*.py")):
        name = ".".join(path.relative_to(SCRIPTS).with_suffix("").parts).removesuffix(".__init__")
        folders = path.parent.relative_to(SCRIPTS / "haemosynth").parts
        page = ".".join(folders[: 2 if "modalities" in folders else 1]) or "haemosynth"
        if ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))):
            pages.setdefault(page, []).extend([f"## {name}", *describe_module(path)])
    folder = ROOT / "docs" / "api"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.md"):
        old.unlink()
    for page, lines in pages.items():
        (folder / f"{page}.md").write_text("\n".join([f"# {page}", "", *lines, ""]), encoding="utf-8")
    listed = ["# Reference of the modules", "", "```{toctree}", ":maxdepth: 1", "", *sorted(pages), "```", ""]
    (folder / "index.md").write_text("\n".join(listed), encoding="utf-8")


def setup(app: Any) -> None:
    """Write the pages of the reference before anything is read."""
    app.connect("config-inited", lambda *_: write_reference())
