"""Every figure can be drawn, is the same for the same data, and its labels do not lie on each other."""

from dataclasses import replace
from importlib import import_module
from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from haemosynth.figures import save_figure
from haemosynth.streams import stream
from haemosynth.validate.resampling import evaluate

STAGES = [
    "marginals", "correlations", "missingness", "detection", "mutation_frequency", "co_occurrence", "exclusivity",
]  # fmt: skip


def overlapping(figure):
    """Pairs of tick labels of one axis that lie on each other, and labels and titles beyond the edge of the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    edge = figure.bbox.padded(1)
    for axis in figure.axes:
        if not axis.get_visible():
            continue
        for text in (axis.title, axis._left_title, axis.xaxis.label, axis.yaxis.label):
            box = text.get_window_extent(canvas.get_renderer())
            if text.get_text() and not (edge.contains(box.x0, box.y0) and edge.contains(box.x1, box.y1)):
                found.append((text.get_text(), "edge"))
        for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
            boxes = [
                (label.get_text(), label.get_window_extent(canvas.get_renderer()))
                for label in labels
                if label.get_text() and label.get_visible()
            ]
            for text, box in boxes:
                # Ticks beyond the limits are never drawn, but have a place.
                if axis.bbox.padded(4).x0 <= (box.x0 + box.x1) / 2 <= axis.bbox.x1 + 4 and box.y0 < edge.y0:
                    found.append((text, "edge"))
            for (first, a), (second, b) in pairwise(boxes):
                across = min(a.x1, b.x1) - max(a.x0, b.x0)
                up = min(a.y1, b.y1) - max(a.y0, b.y0)
                if across > 1 and up > 1:
                    found.append((first, second))
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_figure(stage, comparison, tmp_path):
    module = import_module(f"haemosynth.validate.fidelity.{stage}")
    settings = module.DEFAULTS | {"repeats": 1, "replicates": 2}
    values, _ = evaluate(module, comparison, settings, lambda *names: stream(1, *names))
    assert (values.status == "ok").any()
    figure = module.figure(comparison, values, module.DEFAULTS, "candidate")
    assert overlapping(figure) == []
    save_figure(module.figure(comparison, values, module.DEFAULTS, "candidate"), tmp_path / "one.svg")
    save_figure(module.figure(comparison, values, module.DEFAULTS, "candidate"), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


@pytest.mark.parametrize("stage", ["marginals", "correlations", "missingness", "detection"])
def test_figure_of_a_cohort_without_alterations(stage, comparison):
    module = import_module(f"haemosynth.validate.fidelity.{stage}")
    clinical = replace(comparison, real=comparison.real.clinical_only(), candidate=comparison.candidate.clinical_only())
    settings = module.DEFAULTS | {"repeats": 1, "replicates": 0}
    values, _ = evaluate(module, clinical, settings, lambda *names: stream(1, *names))
    assert set(values.modality) == {"clinical"}
    assert overlapping(module.figure(clinical, values, module.DEFAULTS, "candidate")) == []
