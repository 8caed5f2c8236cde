"""Expression and coherence: the references stand in order, and what is spoilt is seen by the stage made for it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from fixtures_expression import halves
from fixtures_small import small_cohort

from haemosynth.core.streams import stream
from haemosynth.modalities.clinical import reference as references
from haemosynth.modalities.expression import subgroups
from haemosynth.modalities.expression.part import expression_of, keep_profiles
from haemosynth.modalities.expression.reference import reference
from haemosynth.modalities.expression.stages import (
    expression,
    expression_classification,
    expression_clustering,
    expression_coverage,
    expression_memory,
    expression_survival,
)
from haemosynth.privacy.release_check import CHECKS, gate, verdict
from haemosynth.study.split import halve as halves_of_holdout
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison
from haemosynth.validate.stages import coherence

OF_EXPRESSION = [
    expression,
    expression_clustering,
    expression_coverage,
    expression_classification,
    expression_survival,
    expression_memory,
]
STAGES = [coherence, *OF_EXPRESSION]


def streams(*names):
    return stream(1, *map(str, names))


@cache
def sides():
    train, holdout = halves(600, 200)
    return train, holdout, *halves_of_holdout(holdout, stream(1, "halves"))


def renamed_genes(cohort, rows):
    """The cohort with the alterations of other patients."""
    order = cohort.patients
    return cohort.replace(
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
        profiles = expression_of(train)[stream(1, kind).permutation(expression_of(train).n_obs)].copy()
        profiles.obs_names = expression_of(train).obs_names
        return train.replace(expression=keep_profiles(profiles))
    if kind == "few profiles":
        rows = stream(1, kind).permutation(expression_of(train).n_obs)[:6]
        profiles = expression_of(train)[np.resize(rows, expression_of(train).n_obs)].copy()
        profiles.obs_names = expression_of(train).obs_names
        return train.replace(expression=keep_profiles(profiles))
    made = references.reference(kind, train, len(train), stream(1, kind))
    return made.replace(expression=keep_profiles(reference(kind, train, made, stream(1, kind, "expression"))))


@cache
def found(stage, kind, target="all"):
    train, holdout, _, control = sides()
    comparison = Comparison(real=holdout, candidate=candidate(kind), train=train, control=control)
    comparison = prepare_comparison(stage, comparison, stage.DEFAULTS, streams)
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

    from haemosynth.modalities.expression.profiles import levels

    train, _, _, _ = sides()
    values = levels(expression_of(train)).astype(float)
    event = "hyperdiploidy"
    state = train.alterations[event].reindex(expression_of(train).obs_names).to_numpy()
    change, t, p = subgroups.difference(values, subgroups.states(train, (event,))[:, 0])
    other = ttest_ind(values[state == 1], values[state == 0], equal_var=False)
    varied = values.std(axis=0) > 0.01
    np.testing.assert_allclose(t[varied], other.statistic[varied], rtol=1e-6)
    np.testing.assert_allclose(p[varied], other.pvalue[varied], rtol=1e-5, atol=1e-300)
    np.testing.assert_allclose(change, values[state == 1].mean(axis=0) - values[state == 0].mean(axis=0))


def test_false_discoveries_are_controlled_as_by_scipy():
    from scipy.stats import false_discovery_control

    p = stream(1, "p").random(500) ** 3
    np.testing.assert_array_equal(expression._discoveries(p), false_discovery_control(p) <= expression.LEVEL)


def test_clusters_stand_between_their_references():
    same, real, alone = (found(expression_clustering, kind) for kind in ("holdout", "real", "independent"))
    assert same["leiden_size_distance"] == same["subgroup_cluster_distance"] == 0
    assert real["leiden_agreement"] > alone["leiden_agreement"] + 0.1
    assert real["leiden_size_distance"] < alone["leiden_size_distance"] / 2
    assert real["subgroup_cluster_distance"] < alone["subgroup_cluster_distance"] / 2
    assert real["subgroup_visibility"] > alone["subgroup_visibility"] + 0.05


def test_profiles_given_to_others_leave_the_clusters_and_lose_the_subgroups_in_them():
    real, spoilt = (found(expression_clustering, kind) for kind in ("real", "profiles of others"))
    assert spoilt["leiden_size_distance"] == pytest.approx(real["leiden_size_distance"])
    assert spoilt["subgroup_cluster_distance"] > real["subgroup_cluster_distance"] + 0.1
    assert abs(spoilt["subgroup_visibility"]) < real["subgroup_visibility"] / 2


def test_leiden_finds_groups_that_lie_apart_and_they_are_carried():
    rng = stream(1, "groups")
    truth = np.repeat([0, 1, 2], [50, 30, 20])
    points = rng.normal(size=(100, 4)) + 20 * np.eye(4)[truth]
    settings = expression_clustering.DEFAULTS | {"resolutions": [0.5]}
    labels = expression_clustering.leiden(points, settings, rng)[0.5]
    np.testing.assert_array_equal(labels, truth)
    middle = expression_clustering.find_centres(points, labels)
    np.testing.assert_array_equal(
        expression_clustering.find_nearest(points + rng.normal(size=points.shape), middle), truth
    )


def test_the_graph_has_the_pairs_of_scanpy_and_resolution_one_is_plain_modularity():
    import anndata
    import scanpy as sc
    from igraph import Graph

    from haemosynth.modalities.expression.components import fit_component_space

    train, _, _, _ = sides()
    points = fit_component_space(10, expression_of(train))(expression_of(train))
    ours = expression_clustering.build_neighbour_graph(points, 15)
    theirs = anndata.AnnData(points)
    # scanpy counts a patient among its own neighbours
    sc.pp.neighbors(theirs, n_neighbors=16, use_rep="X", transformer="sklearn", method="gauss")
    assert ((ours + ours.T) != (theirs.obsp["connectivities"] > 0)).nnz == 0

    settings = expression_clustering.DEFAULTS | {"resolutions": [1.0]}
    first, second = (expression_clustering.leiden(points, settings, stream(1, "leiden"))[1.0] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert (np.diff(np.bincount(first)) <= 0).all()
    # Near the best of several other searches, fast and slow.
    graph = Graph(len(points), list(zip(*ours.nonzero(), strict=True)))
    others = graph.community_multilevel(), graph.community_fastgreedy().as_clustering()
    assert graph.modularity(first.tolist()) > max(other.modularity for other in others) - 0.01


def test_copied_profiles_are_clustered_as_their_originals():
    few = np.resize(stream(1, "six").normal(size=(6, 10)), (200, 10))
    labels = expression_clustering.leiden(few, expression_clustering.DEFAULTS, stream(1, "leiden"))[1.0]
    assert labels.max() == 5
    np.testing.assert_array_equal(labels, np.resize(labels[:6], 200))


def test_components_are_those_of_scanpy():
    """But for the degrees of freedom of the standard deviation, by which scanpy divides."""
    import anndata
    import scanpy as sc

    from haemosynth.modalities.expression.components import fit_component_space
    from haemosynth.modalities.expression.profiles import levels

    train, _, _, _ = sides()
    marked = expression_of(train)[:, expression_of(train).var["highly_variable"]]
    theirs = anndata.AnnData(levels(marked).astype(float))
    sc.pp.scale(theirs, max_value=10)
    sc.pp.pca(theirs, n_comps=10, svd_solver="full", dtype="float64")
    ours = fit_component_space(10, expression_of(train))(expression_of(train))
    ours = (ours - ours.mean(axis=0)) * np.sqrt(1 - 1 / len(ours))
    np.testing.assert_allclose(ours, theirs.obsm["X_pca"], atol=1e-3 * ours.std())


def test_coverage_of_expression_sees_what_is_not_reached():
    same, real, few, alone = (
        found(expression_coverage, kind) for kind in ("holdout", "real", "few profiles", "independent")
    )
    assert same["expression_recall"] == same["expression_coverage"] == 1
    assert same["component_variance_error"] == 0
    for spoilt in (few, alone):
        assert spoilt["expression_recall"] < real["expression_recall"] - 0.3
        assert spoilt["expression_coverage"] < real["expression_coverage"] - 0.2
        assert spoilt["component_variance_error"] > real["component_variance_error"]
    assert abs(alone["expression_density"] - 1) > abs(real["expression_density"] - 1)
    assert alone["variance_ratio"] < 0.5 < real["variance_ratio"]


def test_classifiers_of_subgroups_stand_between_their_references():
    real, alone, spoilt = (
        found(expression_classification, kind) for kind in ("real", "independent", "profiles of others")
    )
    for other in (alone, spoilt):
        assert real["subgroup_auc_tstr"] > other["subgroup_auc_tstr"] + 0.2
        assert real["subgroup_accuracy_tstr"] > other["subgroup_accuracy_tstr"] + 0.2
        assert real["subgroup_auc_trts_error"] < other["subgroup_auc_trts_error"] - 0.2
        assert other["subgroup_auc_trtr"] == pytest.approx(real["subgroup_auc_trtr"], abs=0.1)


def test_the_classifier_is_that_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    rng = stream(1, "classifier")
    points = rng.normal(size=(120, 3))
    state = (points[:, 0] + rng.normal(size=120) > 0.8).astype(float)
    state[:10] = np.nan
    known = ~np.isnan(state)
    ours = expression_classification._learn(points, state, 1.0)
    other = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-9).fit(points[known], state[known])
    # The weights of carriers and others are equal in sum on either side; theirs add up to the known patients.
    scaled = expression_classification._learn(points[known], state[known], 1.0)
    np.testing.assert_allclose(scaled.log_odds, other.coef_[0], rtol=1e-4)
    np.testing.assert_allclose(np.sign(ours.log_odds), np.sign(scaled.log_odds))
    right = expression_classification._test(scaled, points, state)[1]
    told = other.predict(points[known])
    assert right == pytest.approx(np.mean([(told[state[known] == value] == value).mean() for value in (0, 1)]))


def lived_by_expression(cohort, place, rng):
    """The cohort with survival times that the first component alone decides."""
    clinical = cohort.clinical.copy()
    hazard = np.exp(1.5 * place(expression_of(cohort))[:, 0])
    clinical.loc[expression_of(cohort).obs_names, "OS_time"] = rng.exponential(30 / hazard)
    clinical["OS_event"] = clinical["OS_event"].mask(clinical.index.isin(expression_of(cohort).obs_names), 1.0)
    return replace(cohort, clinical=clinical)


def test_a_signature_that_decides_survival_is_found_and_given_to_others_it_is_lost():
    from lifelines.utils import concordance_index

    from haemosynth.modalities.expression.components import standard_components

    train, holdout, _, control = sides()
    place = standard_components(10, expression_of(train))
    rng = stream(1, "lived")
    real, known = lived_by_expression(holdout, place, rng), lived_by_expression(train, place, rng)
    exchanged = expression_of(candidate("profiles of others"))
    numbers = {}
    for kind, made in (("real", known), ("others", known.replace(expression=keep_profiles(exchanged)))):
        comparison = Comparison(real, made, known, control)
        comparison = prepare_comparison(expression_survival, comparison, expression_survival.DEFAULTS, streams)
        values = expression_survival.measure(comparison, expression_survival.DEFAULTS, streams("measure"))
        numbers[kind] = {value.metric: value.value for value in values if value.target == "all"}
    points, time, event = expression_survival._select_followed(real, "OS", place)
    best = concordance_index(time, -points[:, 0], event)
    assert numbers["real"]["signature_c_index_tstr"] == pytest.approx(best, abs=0.03)
    assert numbers["real"]["component_hazard_correlation"] > 0.9
    assert numbers["real"]["signature_slope"] == pytest.approx(1, abs=0.3)
    assert numbers["others"]["signature_c_index_tstr"] < best - 0.15
    assert numbers["others"]["component_hazard_correlation"] < 0.6
    assert numbers["others"]["signature_c_index_trtr"] == numbers["real"]["signature_c_index_trtr"]


def test_patients_with_expression_keep_their_record_when_repeated():
    train, _, _, _ = sides()
    twice = train.take(np.repeat(np.arange(len(train)), 2))
    alone = subgroups.select_measured(twice)
    assert list(alone.patients) == list(expression_of(twice).obs_names)
    expected = twice.clinical[~twice.patients.duplicated()].loc[alone.patients]
    assert alone.clinical.equals(expected)
    state = subgroups.states(twice, ("hyperdiploidy", "no such event"))
    np.testing.assert_array_equal(state[:, 0], alone.alterations["hyperdiploidy"].to_numpy())
    assert np.isnan(state[:, 1]).all()


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
        ("genes of others", "genomic~expression", "clinical~expression"),
        ("profiles of others", "clinical~expression", None),
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
        assert found(expression_memory, kind, "distance")["expression_membership_auc"] < 0.68
    assert fresh["expression_membership_auc"] < 0.68


def test_the_levels_of_training_patients_give_them_away_though_no_profile_is_a_copy():
    """Every gene drawn alone from training patients: nobody's profile, everybody's levels."""
    areas = [found(expression_memory, "independent", name) for name in ("values_2", "values_10", "distance", "all")]
    two, ten, near, worst = (area["expression_membership_auc"] for area in areas)
    assert min(two, ten) > 0.9 > near
    assert worst == max(two, ten)


def test_copied_profiles_among_others_are_told():
    """A fifth of the release being training profiles with noise moves both checks."""
    train, holdout, _, control = sides()
    made = candidate("independent")
    profiles = expression_of(made).copy()
    rows = np.arange(profiles.n_obs // 3)
    profiles.X[rows] = expression_of(train).X[rows]
    profiles.obs["library_size"] = np.r_[
        expression_of(train).obs["library_size"].to_numpy()[rows], profiles.obs["library_size"].to_numpy()[len(rows) :]
    ]
    comparison = Comparison(holdout, made.replace(expression=keep_profiles(profiles)), train, control)
    comparison = prepare_comparison(expression_memory, comparison, expression_memory.DEFAULTS, streams)
    values = expression_memory.measure(comparison, expression_memory.DEFAULTS, streams("measure"))
    numbers = {(value.metric, value.target): value.value for value in values}
    clean, near = (found(expression_memory, "independent", target) for target in ("all", "distance"))
    nearer, told = "expression_nearer_to_train", "expression_membership_auc"
    assert numbers[nearer, "all"] > clean[nearer] + 0.1
    assert numbers[told, "distance"] > near[told] + 0.05


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
    assert not verdict(gate(table, {}, modalities=("clinical", "genomic", "expression")))


@pytest.mark.parametrize("stage", OF_EXPRESSION)
def test_without_expression_a_reason_is_given(stage):
    cohort = small_cohort(120)
    comparison = prepare_comparison(stage, Comparison(cohort, cohort, cohort, cohort), stage.DEFAULTS, streams)
    values = stage.measure(comparison, stage.DEFAULTS, streams("measure"))
    assert all(np.isnan(value.value) and "expression" in value.reason for value in values)


def test_coherence_of_record_and_alterations_alone():
    cohort = small_cohort(300)
    comparison = prepare_comparison(coherence, Comparison(cohort, cohort, cohort, cohort), coherence.DEFAULTS, streams)
    assert list(comparison.prepared.association) == [("clinical", "genomic")]
    values = {v.metric: v.value for v in coherence.measure(comparison, coherence.DEFAULTS, streams("measure"))}
    assert 0 <= values["joint_auc"] <= 1


@pytest.mark.parametrize("stage", STAGES)
def test_figures_are_drawn_alike_and_intervals_hold_the_value(stage, tmp_path):
    from haemosynth.core.figures import save_figure

    train, holdout, _, control = sides()
    comparison = Comparison(real=holdout, candidate=candidate("independent"), train=train, control=control)
    comparison = prepare_comparison(stage, comparison, stage.DEFAULTS, streams)
    values, _ = evaluate(stage, comparison, stage.DEFAULTS | {"repeats": 1, "replicates": 3}, streams)
    usable = values[values["status"] == "ok"]
    assert len(usable) > 3
    bounds = {metric.name: metric.bounds for metric in stage.METRICS}
    for row in usable.itertuples():
        assert bounds[row.metric][0] <= row.value <= bounds[row.metric][1]
    for name in ("a.svg", "b.svg"):
        save_figure(stage.figure(comparison, values, stage.DEFAULTS, "independent"), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
