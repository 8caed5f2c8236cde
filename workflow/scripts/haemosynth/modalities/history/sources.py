"""The raw files of a cohort's histories. Imports nothing heavy: the workflow asks while it builds its graph."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from haemosynth.reading.raw_files import raw_files


def source_files(entry: Mapping[str, Any]) -> list[str]:
    """The long table that the entry names, so that a changed one is seen; else the files of the cohort."""
    folder, chosen = Path(entry["path"]), entry.get("history")
    name = chosen.get("path") if isinstance(chosen, Mapping) else None
    named = (folder if folder.is_dir() else folder.parent) / os.path.expandvars(str(name))
    return [str(named)] if name and named.is_file() else raw_files(entry)
