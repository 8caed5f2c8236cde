"""The end of a run in words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from haemosynth.files import read_table
from haemosynth.publish.gate import overridden


def summary(folder: Path, published: Sequence[str]) -> str:
    """The scorecard of a cohort in a few lines, and where to read on.

    Args:
        folder: results of the cohort.
        published: generators that were released.
    """
    composites, gate = read_table(folder / "composites.tsv"), read_table(folder / "gate.tsv")
    lines = ["", f"{folder.name}: 1 is as near as other real patients, 0 is without structure (95 % interval)"]
    for generator in dict.fromkeys(composites["generator"]):
        lines.append(f"  {generator}")
        for row in composites[composites["generator"] == generator].itertuples():
            label = f"{row.pillar}, {row.modality}"
            lines.append(f"    {label:<24}{row.relative:6.2f}  ({row.low:.2f} to {row.high:.2f})")
    for generator in published:
        checks = gate[gate["generator"] == generator]
        passed = f"passed, {int(checks['value'].notna().sum())} checks" if checks["passed"].all() else "shut"
        passed = overridden(checks) or passed
        lines.append(f"  gate of {generator}: {passed}; published: {folder / 'published' / generator}")
    lines.append(f"  dossier: {folder / 'dossier.html'}")
    return "\n".join(lines)
