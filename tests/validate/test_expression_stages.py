"""Expression and coherence: the references stand in order, and what is spoilt is seen by the stage made for it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from fixtures_expression import halves
from fixtures_small import small_cohort

from haemosynth.generate import reference as references
from haemosynth.generate.transcriptomic.reference import reference
from haemosynth.publish.gate import CHECKS, gate, verdict
from haemosynth.streams import stream
from haemosynth.validate.fidelity import coherence, expression
from haemosynth.validate.privacy import expression_memory
from haemosynth.validate.resampling import evaluate, prepared
from haemosynth.validate.stage import Comparison

STAGES = [coherence, expression, expression_memory]


def streams(*names):
    return stream(1, *map(str, names))


@cache
def sides():
    train, holdout = halves(600, 200)
    return train, holdout, *references.halves(holdout, stream(1, "halves"))


def renamed_genes(cohort, rows):
    """The cohort with the alterations of other patients."""
    order = cohort.patients
    return replace(
        cohort,
        alterations=cohort.alterations.iloc[rows].set_axis(order),
        sequenced=cohort.sequenced.iloc[rows].set_axis(order),
        mutations=cohort.mutations.iloc[:0],
    )


def candidate(kind):
    train, holdout, fresh, _ = sides()
    if kind == "fresh":
        return fresh
    if kind == "real":
        return train
    if kind == "holdout":
        return holdout
    if kind == "genes of others":
        return renamed_genes(train, stream(1, kind).permutation(len(train)))
    if kind == "profiles of others":
        profiles = train.expression[stream(1, kind).permutation(train.expression.n_obs)].copy()
        profiles.obs_names = train.expression.obs_names
        return replace(train, expression=profiles)
    made = references.reference(kind, train, len(train), stream(1, kind))
    return replace(made, expression=reference(kind, train, made, stream(1, kind, "expression")))


@cache
def found(stage, kind, target="all"):
    train, holdout, _, control = sides()
    comparison = Comparison(real=holdout, candidate=candidate(kind), train=train, control=control)
    comparison = prepared(stage, comparison, stage.DEFAULTS, streams)
    values = stage.measure(comparison, stage.DEFAULTS, streams("measure"))
    return {value.metric: value.value for value in values if value.target == target}


def test_the_holdout_beside_itself_is_perfect():
    numbers = found(expression, "holdout")
    for name in ("gene_mean_error", "gene_spread_error", "gene_zero_error", "coexpression_error"):
        assert numbers[name] == pytest.approx(0, abs=1e-12)
    assert numbers["fold_change_correlation"] == pytest.approx(1)
    assert numbers["top_genes_shared"] == 1
    assert found(coherence, "holdout")["reading_error"] == pytest.approx(0, abs=1e-12)
    assert found(coherence, "holdout")["cross_association_error"] == pytest.approx(0, abs=1e-12)


def test_expression_stands_between_its_references():
    real, alone, uniform = (found(expression, kind) for kind in ("real", "independent", "uniform"))
    assert real["gene_mean_error"] < uniform["gene_mean_error"]
    assert real["gene_spread_error"] < uniform["gene_spread_error"]
    assert real["gene_zero_error"] < uniform["gene_zero_error"]
    assert real["coexpression_error"] < alone["coexpression_error"] / 3
    assert real["fold_change_correlation"] > alone["fold_change_correlation"] + 0.3
    assert real["top_genes_shared"] > alone["top_genes_shared"] + 0.1


def test_profiles_given_to_others_lose_what_differs_between_subgroups_and_nothing_else():
    real, spoilt = found(expression, "real"), found(expression, "profiles of others")
    assert spoilt["coexpression_error"] == pytest.approx(real["coexpression_error"])
    assert spoilt["gene_mean_error"] == pytest.approx(real["gene_mean_error"])
    assert spoilt["fold_change_correlation"] < real["fold_change_correlation"] - 0.3


def test_log_fold_changes_are_those_of_scipy():
    from scipy.stats import ttest_ind

    from haemosynth.expression import levels

    train, _, _, _ = sides()
    values = levels(train.expression).astype(float)
    event = "hyperdiploidy"
    change, t, p = expression._difference(train, values, event)
    state = train.alterations[event].reindex(train.expression.obs_names).to_numpy()
    other = ttest_ind(values[state == 1], values[state == 0], equal_var=False)
    varied = values.std(axis=0) > 0.01
    np.testing.assert_allclose(t[varied], other.statistic[varied], rtol=1e-6)
    np.testing.assert_allclose(p[varied], other.pvalue[varied], rtol=1e-5, atol=1e-300)
    np.testing.assert_allclose(change, values[state == 1].mean(axis=0) - values[state == 0].mean(axis=0))


def test_false_discoveries_are_controlled_as_by_scipy():
    from scipy.stats import false_discovery_control

    p = stream(1, "p").random(500) ** 3
    np.testing.assert_array_equal(expression._discoveries(p), false_discovery_control(p) <= expression.LEVEL)


def test_coherence_stands_between_its_references():
    real, alone = found(coherence, "real"), found(coherence, "independent")
    assert real["reading_error"] < alone["reading_error"] / 3
    assert real["cross_association_error"] < alone["cross_association_error"]
    assert real["cross_sign_concordance"] > alone["cross_sign_concordance"]
    assert abs(real["joint_auc"] - 0.5) < abs(alone["joint_auc"] - 0.5)
    assert abs(alone["reading_candidate"]) < 0.1


@pytest.mark.parametrize(
    ("kind", "pair", "whole"),
    [
        ("genes of others", "genomic~transcriptomic", "clinical~transcriptomic"),
        ("profiles of others", "clinical~transcriptomic", None),
    ],
)
def test_modalities_of_different_patients_are_seen_where_each_alone_is_untouched(kind, pair, whole):
    real, spoilt = found(coherence, "real", pair), found(coherence, kind, pair)
    assert spoilt["reading_error"] > real["reading_error"] + 0.2
    assert spoilt["cross_association_error"] > real["cross_association_error"]
    if whole:
        assert found(coherence, kind, whole)["reading_error"] == pytest.approx(
            found(coherence, "real", whole)["reading_error"]
        )


def test_pairs_exchanged_between_patients_tell_nothing():
    assert abs(found(coherence, "real")["reading_shuffled"]) < 0.1
    assert found(coherence, "real")["reading_candidate"] > 0.3


def test_correlations_are_those_of_scipy():
    from scipy.stats import pearsonr, spearmanr

    rng = stream(1, "matrices")
    first, second = rng.normal(size=(200, 3)), rng.normal(size=(200, 3)) + rng.normal(size=(200, 1))
    first += second
    ours = coherence.rank_correlations(first, second)[0]
    assert ours[0, 1] == pytest.approx(spearmanr(first[:, 0], second[:, 1]).statistic)
    assert coherence.correlations(first, second)[2] == pytest.approx(pearsonr(first[:, 2], second[:, 2]).statistic)


def test_training_profiles_are_remembered_and_unseen_ones_are_not():
    real, fresh, alone = (found(expression_memory, kind) for kind in ("real", "fresh", "independent"))
    assert real["expression_nearer_to_train"] > 0.95
    assert real["expression_membership_auc"] > 0.95
    for numbers, kind in ((fresh, "fresh"), (alone, "independent")):
        chance = found(expression_memory, kind, "expression_nearer_to_train")["expression_memory_chance"]
        assert numbers["expression_nearer_to_train"] <= max(chance, 0.55)
        assert numbers["expression_membership_auc"] < 0.68


def test_copied_profiles_among_others_are_told():
    """A fifth of the release being training profiles with noise moves both checks."""
    train, holdout, _, control = sides()
    made = candidate("independent")
    profiles = made.expression.copy()
    rows = np.arange(profiles.n_obs // 3)
    profiles.X[rows] = train.expression.X[rows]
    profiles.obs["library_size"] = np.r_[
        train.expression.obs["library_size"].to_numpy()[rows], profiles.obs["library_size"].to_numpy()[len(rows) :]
    ]
    comparison = Comparison(holdout, replace(made, expression=profiles), train, control)
    comparison = prepared(expression_memory, comparison, expression_memory.DEFAULTS, streams)
    values = expression_memory.measure(comparison, expression_memory.DEFAULTS, streams("measure"))
    numbers = {value.metric: value.value for value in values if value.target == "all"}
    clean = found(expression_memory, "independent")
    assert numbers["expression_nearer_to_train"] > clean["expression_nearer_to_train"] + 0.1
    assert numbers["expression_membership_auc"] > clean["expression_membership_auc"] + 0.05


def test_expression_without_its_privacy_stage_is_not_published():
    import pandas as pd

    rows = [
        {"stage": check.stage, "metric": name, "target": "all", "modality": "joint", "value": float(check.least),
         "low": 0.0, "high": 1.0, "status": "ok", "reason": "", "generator": "default", "n": 10,
         "cohort": "small", "seed": 1, "pillar": "privacy"}
        for name, check in CHECKS.items()
        if check.modality == "clinical"
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    assert verdict(gate(table, {}, modalities=("clinical", "genomic")))
    assert not verdict(gate(table, {}, modalities=("clinical", "genomic", "transcriptomic")))


@pytest.mark.parametrize("stage", [expression, expression_memory])
def test_without_expression_a_reason_is_given(stage):
    cohort = small_cohort(120)
    comparison = prepared(stage, Comparison(cohort, cohort, cohort, cohort), stage.DEFAULTS, streams)
    values = stage.measure(comparison, stage.DEFAULTS, streams("measure"))
    assert all(np.isnan(value.value) and "expression" in value.reason for value in values)


def test_coherence_of_record_and_alterations_alone():
    cohort = small_cohort(300)
    comparison = prepared(coherence, Comparison(cohort, cohort, cohort, cohort), coherence.DEFAULTS, streams)
    assert list(comparison.prepared.association) == [("clinical", "genomic")]
    values = {v.metric: v.value for v in coherence.measure(comparison, coherence.DEFAULTS, streams("measure"))}
    assert 0 <= values["joint_auc"] <= 1


@pytest.mark.parametrize("stage", STAGES)
def test_figures_are_drawn_alike_and_intervals_hold_the_value(stage, tmp_path):
    from haemosynth.figures import save_figure

    train, holdout, _, control = sides()
    comparison = Comparison(real=holdout, candidate=candidate("independent"), train=train, control=control)
    comparison = prepared(stage, comparison, stage.DEFAULTS, streams)
    values, _ = evaluate(stage, comparison, stage.DEFAULTS | {"repeats": 1, "replicates": 3}, streams)
    usable = values[values["status"] == "ok"]
    assert len(usable) > 3
    bounds = {metric.name: metric.bounds for metric in stage.METRICS}
    for row in usable.itertuples():
        assert bounds[row.metric][0] <= row.value <= bounds[row.metric][1]
    for name in ("a.svg", "b.svg"):
        save_figure(stage.figure(comparison, values, stage.DEFAULTS, "independent"), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
