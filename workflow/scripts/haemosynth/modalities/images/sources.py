"""The raw files of a cohort's images. Imports nothing heavy: the workflow asks while it builds its graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def source_files(entry: Mapping[str, Any]) -> list[str]:
    """The image files of a cohort, so that a changed file is seen."""
    path = Path((entry.get("images") or {}).get("path", entry.get("path", "")))
    return sorted(str(file) for file in path.rglob("*") if file.is_file() and file.suffix != ".md")
