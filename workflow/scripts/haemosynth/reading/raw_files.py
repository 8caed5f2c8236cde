"""The raw files of a cohort, so that a changed one is seen. Reading itself says what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def raw_files(entry: Mapping[str, Any]) -> list[str]:
    """The files of a cohort's tables: the one that its entry names, or those of its folder."""
    if "path" not in entry:
        return []
    path = Path(entry["path"])
    files = [path] if path.is_file() else [*path.glob("*"), *path.glob("case_lists/*"), *path.glob("gene_panel*/*")]
    return sorted(str(file) for file in files if file.is_file())
