"""The metric reference: `make reference` writes docs/metrics.md from what the stages declare."""

from __future__ import annotations

import re
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
PAGE = ROOT / "docs" / "metrics.md"
INTRODUCTION = """\
# Metrics

Every validation stage and every metric, as the code declares them. `make reference` writes this page; edit the stage's
module instead. [concepts.md](concepts.md) explains references, scores and intervals, and [methods.md](methods.md) says
how each stage works and where it may mislead. The definitions of the metrics that a study used are in its results, in
`results/{cohort}/metrics_dictionary.tsv`.

A metric of kind *error* is best at 0, one of kind *agreement* at 1, and one of kind *target* at the value given.
A *descriptive* metric is reported and never scored. A value is read between two references: the first is the ceiling,
the second the floor.
"""


def make_page() -> str:
    """The text of docs/metrics.md."""
    from haemosynth.validate import STAGES
    from haemosynth.validate.scorecard import make_dictionary

    metrics = {stage: list(rows) for stage, rows in groupby(make_dictionary().itertuples(), key=lambda row: row.stage)}
    lines = [INTRODUCTION, "## Stages", ""]
    for pillar, names in groupby(STAGES, key=lambda name: STAGES[name].pillar):
        lines += [f"| {pillar} | needs | what it asks |", "| --- | --- | --- |"]
        for name in names:
            lines += [f"| [`{name}`](#{name}) | {', '.join(STAGES[name].needs)} | {state_question(STAGES[name])} |"]
        lines += [""]
    for name, stage in STAGES.items():
        lines += [f"## {name}", "", state_question(stage), ""]
        lines += [f"Pillar: {stage.pillar}. Needs: {', '.join(stage.needs)}. [How it works](methods.md#{name}),"]
        lines += [f"[code](../workflow/scripts/{stage.path}).", ""]
        lines += [line for metric in metrics[name] for line in describe_metric(metric)]
        lines += [""]
    return "\n".join(lines[:-1]) + "\n"


def state_question(stage: Any) -> str:
    """The first line of a stage's module, and whether the stage must be asked for."""
    if stage.by_default:
        return make_plain(stage.about)
    if stage.balanced:
        return make_plain(stage.about) + " It runs where a study has quotas (`balance`), or names it."
    return make_plain(stage.about) + " It runs only where a study names it."


def describe_metric(metric: Any) -> list[str]:
    """A metric as an item of a list, with its formula and its source."""
    kind = f"{metric.kind} ({metric.target:g} is best)" if metric.kind == "target" else metric.kind
    unit = f"unit {metric.unit}, " if metric.unit else ""
    return [
        f"- **`{metric.name}`**: {kind}, {unit}from {metric.low:g} to {metric.high:g}, between `{metric.ceiling}` and"
        f" `{metric.floor}`, interval by {metric.interval}.<br>",
        f"  {make_plain(metric.formula)}<br>",
        f"  *Source:* {make_plain(metric.source)}",
    ]


def make_plain(text: str) -> str:
    """Text in which Markdown finds no markup."""
    return re.sub(r"([*~|<\[\]])", r"\\\1", text)


def main() -> int:
    """0 when the page is written."""
    from haemosynth.core.files import replacing

    with replacing(PAGE) as temporary:
        temporary.write_text(make_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
