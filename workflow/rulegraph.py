"""The rules and their order, as a picture: `make rulegraph` writes docs/rulegraph.svg.

Snakemake lists the rules of the simulated studies, which have all modalities but measured tables. The validation stages
of a pillar are drawn as one box that lists them, and an arrow that follows from two others is left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
STUDIES = [
    "config/studies/simulated.yaml",
    "config/studies/imaging.yaml",
    "config/studies/expression.yaml",
    "config/studies/myeloma_history.yaml",
]
COLOURS = {"fidelity": "#cfe3f4", "diversity": "#d3ecd9", "utility": "#fbe6c8", "privacy": "#f6d5d0"}


def main() -> int:
    """0 when the picture is written."""
    import networkx as nx

    from haemosynth.core.files import replacing
    from haemosynth.validate import DEFAULT_STAGES, STAGES

    if shutil.which("dot") is None:
        print("error: the program `dot` is not installed; on Debian: apt-get install graphviz", file=sys.stderr)
        return 2
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",
        *STUDIES,
        "--config",
        f"stages={DEFAULT_STAGES}",
        "--rulegraph",
    ]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', told))
    stage_of = {
        number: name.removeprefix("validate_").removesuffix("_references")
        for number, name in names.items()
        if "validate_" in name
    }
    boxes = {number: STAGES[stage_of[number]].pillar if number in stage_of else name for number, name in names.items()}
    graph = nx.DiGraph((boxes[a], boxes[b]) for a, b in re.findall(r"(\d+) -> (\d+)", told) if boxes[a] != boxes[b])
    graph = nx.transitive_reduction(graph)
    graph.remove_node("all")
    lines = ["digraph { rankdir=TB; nodesep=0.25; ranksep=0.35; margin=0.1;",
             'node [shape=box, style="rounded,filled", fillcolor=white, fontname="DejaVu Sans", fontsize=11];',
             "edge [color=gray45, arrowsize=0.7];"]  # fmt: skip
    for box in sorted(graph):
        within = ", ".join(stage for stage in DEFAULT_STAGES if STAGES[stage].pillar == box)
        label = "\\n".join([box, *textwrap.wrap(within, 44)]) if within else box.replace("_", " ")
        lines.append(f'"{box}" [label="{label}", fillcolor="{COLOURS.get(box, "white")}"];')
    lines += [f'"{a}" -> "{b}";' for a, b in sorted(graph.edges)]
    picture = subprocess.run(
        ["dot", "-Tsvg"], input="\n".join([*lines, "}"]), capture_output=True, text=True, check=True
    )
    with replacing(ROOT / "docs/rulegraph.svg") as temporary:
        temporary.write_text(picture.stdout, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
