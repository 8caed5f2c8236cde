"""Every figure can be drawn, is the same for the same data, and its labels do not lie on each other."""

from dataclasses import replace

import pytest
from fixtures_figures import drawn_alike, overlapping

from haemosynth.core.streams import stream
from haemosynth.validate import load
from haemosynth.validate.resampling import evaluate, prepare_comparison

STAGES = [
    "marginals", "correlations", "missingness", "detection", "mutation_frequency", "co_occurrence", "exclusivity",
    "clonality",
]  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
def test_figure(stage, comparison, tmp_path):
    module = load(stage)
    settings = module.DEFAULTS | {"repeats": 1, "replicates": 2}
    comparison = prepare_comparison(module, comparison, settings, lambda *names: stream(1, *names))
    values, _ = evaluate(module, comparison, settings, lambda *names: stream(1, *names))
    assert (values.status == "ok").any()
    assert overlapping(module.figure(comparison, values, module.DEFAULTS, "candidate")) == []
    assert drawn_alike(lambda: module.figure(comparison, values, module.DEFAULTS, "candidate"), tmp_path)


@pytest.mark.parametrize("stage", ["marginals", "correlations", "missingness", "detection"])
def test_figure_of_a_cohort_without_alterations(stage, comparison):
    module = load(stage)
    clinical = replace(comparison, real=comparison.real.record(), candidate=comparison.candidate.record())
    settings = module.DEFAULTS | {"repeats": 1, "replicates": 0}
    clinical = prepare_comparison(module, clinical, settings, lambda *names: stream(1, *names))
    values, _ = evaluate(module, clinical, settings, lambda *names: stream(1, *names))
    assert set(values.modality) == {"clinical"}
    assert overlapping(module.figure(clinical, values, module.DEFAULTS, "candidate")) == []
