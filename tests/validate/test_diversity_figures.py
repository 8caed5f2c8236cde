"""Every figure of the diversity stages can be drawn, twice alike, without overlapping labels."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_figures import drawn_alike, overlapping

from haemosynth.core.streams import stream
from haemosynth.validate import load
from haemosynth.validate.resampling import evaluate, prepare_comparison


def ready(stage, comparison, replicates):
    module = load(stage)
    settings = module.DEFAULTS | {"repeats": 1, "replicates": replicates}
    comparison = prepare_comparison(module, comparison, settings, lambda *names: stream(1, *names))
    values, _ = evaluate(module, comparison, settings, lambda *names: stream(1, *names))
    return module, comparison, values


@pytest.mark.parametrize("stage", ["variability", "coverage", "features"])
def test_figure(stage, comparison, tmp_path):
    module, comparison, values = ready(stage, comparison, 2)
    assert set(values[values.target == "all"].metric) >= {m.name for m in module.METRICS if m.kind != "descriptive"}
    bounds = {metric.name: metric.bounds for metric in module.METRICS}
    for row in values[values.status == "ok"].itertuples():
        assert bounds[row.metric][0] <= row.value <= bounds[row.metric][1]
    assert overlapping(module.figure(comparison, values, module.DEFAULTS, "candidate")) == []
    assert drawn_alike(lambda: module.figure(comparison, values, module.DEFAULTS, "candidate"), tmp_path)


@pytest.mark.parametrize("stage", ["variability", "coverage", "features"])
def test_figure_of_a_collapsed_candidate_without_alterations(stage, comparison):
    few = comparison.candidate.record().take(np.arange(400) % 3)
    clinical = replace(comparison, real=comparison.real.record(), candidate=few)
    module, clinical, values = ready(stage, clinical, 0)
    assert set(values.modality) == {"clinical"}
    assert overlapping(module.figure(clinical, values, module.DEFAULTS, "candidate")) == []


def test_rare_categories_of_one_to_four_real_patients_are_not_named(comparison):
    module, comparison, values = ready("coverage", comparison, 0)
    real = comparison.real.take(np.arange(150))
    shown = module.figure(replace(comparison, real=real), values, module.DEFAULTS, "candidate").axes[2]
    hidden = [row[0] for row in module.find_rare_categories(replace(comparison, real=real), 0.05) if row[2] < 5]
    assert hidden
    assert not {label.get_text() for label in shown.get_yticklabels()} & set(hidden)
