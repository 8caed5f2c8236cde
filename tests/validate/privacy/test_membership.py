"""A release without memory gives the attacker nothing; copies give everything."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, renamed
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.validate.chance import RARE, USUAL, exchanged, quantile, rank_statistics
from haemosynth.validate.leaks import planted
from haemosynth.validate.privacy import membership
from haemosynth.validate.resampling import _with_replacement, prepared


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(600, 2))


def attacked(comparison, **settings):
    chosen = membership.DEFAULTS | {"exchanges": 200, "trees": 30} | settings
    return prepared(membership, comparison, chosen, lambda *_: np.random.default_rng(1))


def values_of(seen):
    return membership.measure(seen, membership.DEFAULTS, np.random.default_rng(0))


def measured(comparison, modality="joint", **settings):
    """(metric, target) -> value, of one modality."""
    values = values_of(attacked(comparison, **settings))
    return {(value.metric, value.target): value.value for value in values if value.modality == modality}


def test_training_patients_are_found_and_unseen_ones_are_not():
    cohort = small_cohort(600, 2)
    fresh = [measured(compared(cohort, seed)) for seed in range(12)]
    for name in membership.ATTACKS:
        areas = np.array([one["membership_auc", name] for one in fresh])
        assert abs(areas.mean() - 0.5) < 3 * areas.std() / np.sqrt(len(areas)), name
    split = compared(cohort, 0)
    real = measured(replace(split, candidate=renamed(split.train)))
    assert real["membership_auc", "all"] > 0.99
    assert real["membership_tpr_1", "all"] > 0.99


@pytest.mark.parametrize("modality", ["clinical", "genomic", "joint"])
def test_every_modality_gives_training_patients_away(comparison, modality):
    real = measured(replace(comparison, candidate=renamed(comparison.train)), modality)
    # Many patients share their whole set of alterations with another one.
    assert real["membership_auc", "all"] > (0.9 if modality == "genomic" else 0.99)
    for name in membership.ATTACKS:
        if (modality, name) != ("genomic", "matched"):
            assert real["membership_auc", name] > 0.6, name


@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_planted_copies_show_at_low_false_positive_rates(comparison, noise):
    shuffled = independent(comparison.train)
    leak = planted(shuffled, comparison.train, 0.1, noise, np.random.default_rng(0))
    before, after = (measured(replace(comparison, candidate=one)) for one in (shuffled, leak))
    copied = 0.1 * len(shuffled) / len(comparison.train)
    # Eighty per cent of the copied tenth are found before the first unseen patients are.
    for name in ("matched", "relative_distance"):
        assert after["membership_tpr_1", name] - before["membership_tpr_1", name] > 0.8 * copied
        assert after["membership_auc", name] > before["membership_auc", name]
    assert after["membership_tpr_1", "all"] > after["membership_chance", "membership_tpr_1"]
    assert before["membership_tpr_1", "all"] <= before["membership_chance", "membership_tpr_1"]


def test_all_is_the_worst_attack_and_excess_its_distance_from_chance(comparison):
    for modality in ("clinical", "genomic", "joint"):
        found = measured(comparison, modality)
        for name in membership.NAMES:
            assert found[name, "all"] == max(found[name, attack] for attack in membership.ATTACKS)
        null = found["membership_null_95", "all"]
        assert found["membership_excess", "all"] == found["membership_auc", "all"] - null
        assert 0.5 < null <= found["membership_chance", "membership_auc"] < 0.7


def test_the_null_of_one_attack_is_that_of_mann_and_whitney():
    """Quantiles of the exchanged area are those of the normal law with variance (m + n + 1) / (12 m n)."""
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    member = np.repeat([True, False], [300, 150])
    areas, _ = rank_statistics(rng.normal(size=450), exchanged(member, 4000, rng), ())
    sd = np.sqrt(451 / (12 * 300 * 150))
    assert areas.std() == pytest.approx(sd, rel=0.05)
    for level in (USUAL, RARE):
        assert quantile(areas, level) == pytest.approx(0.5 + norm.ppf(level) * sd, abs=0.006)


def test_area_and_rates_equal_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    scores, rates = np.round(rng.normal(size=290), 1), (0.01, 0.1, 0.437, 1.0)
    labels = exchanged(np.repeat([True, False], [200, 90]), 5, rng)
    areas, found = rank_statistics(scores, labels, rates)
    for label, area, row in zip(labels, areas, found, strict=True):
        assert area == pytest.approx(metrics.roc_auc_score(label, scores))
        false, true, _ = metrics.roc_curve(label, scores, drop_intermediate=False)
        np.testing.assert_allclose(row, np.interp(rates, false, true))


def test_guessing_finds_as_many_members_as_others():
    member = np.array([[True] * 5 + [False] * 7])
    areas, rates = rank_statistics(np.zeros(12), member, membership.RATES)
    assert areas[0] == 0.5
    np.testing.assert_allclose(rates[0], membership.RATES)
    assert rank_statistics(member[0] * 1.0, member, membership.RATES)[1].tolist() == [[1, 1]]


def test_a_patient_drawn_twice_counts_twice_with_the_same_score(comparison):
    seen = attacked(comparison)
    rng = np.random.default_rng(4)
    drawn = replace(
        seen,
        train=_with_replacement(seen.train, len(seen.train), rng),
        control=_with_replacement(seen.control, len(seen.control), rng),
    )
    weighted = {(v.metric, v.target): v.value for v in values_of(drawn) if v.modality == "joint"}
    scores = seen.prepared.scores["joint"][:, 0]
    where = seen.prepared.patients.get_indexer(drawn.train.patients.append(drawn.control.patients))
    label = np.repeat([[True, False]], [len(drawn.train), len(drawn.control)], axis=1)
    area = rank_statistics(scores[where], label, ())[0][0]
    assert weighted["membership_auc", "distance"] == pytest.approx(area)
    plain = {(v.metric, v.target): v.value for v in values_of(seen) if v.modality == "joint"}
    assert weighted["membership_auc", "distance"] != plain["membership_auc", "distance"]


def test_generators_are_attacked_beside_the_whole_holdout_and_fresh_beside_its_control(comparison):
    fresh = attacked(comparison).prepared
    assert (~fresh.member).sum() == len(comparison.control)
    other = attacked(replace(comparison, candidate=independent(comparison.train))).prepared
    assert (~other.member).sum() == len(comparison.real)


def test_scores_treat_members_and_others_alike():
    """The scores of a shuffled table are the shuffled scores: nothing but membership tells the sides apart."""
    rng = np.random.default_rng(0)
    points, released = rng.normal(size=(60, 4)), rng.normal(size=(80, 4))
    scored, turned = (
        membership.attack(table, released, 20, np.random.default_rng(0)) for table in (points, points[::-1])
    )
    for name in membership.ATTACKS:
        if name != "classifier":  # grown from other bootstrap samples
            np.testing.assert_allclose(scored[name], turned[name][::-1])


def test_density_and_count_find_where_the_release_is_denser_than_the_population():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(300, 2))
    released = rng.normal(size=(300, 2)) * 0.5 + np.array([1.5, 0])
    scored = membership.attack(points, released, 60, rng)
    for name in ("density_ratio", "neighbour_count", "classifier"):
        assert np.corrcoef(scored[name], points[:, 0])[0, 1] > 0.6, name


def test_calibration_takes_typicality_out():
    """Central patients lie near to every release; among patients of like typicality that says nothing."""
    rng = np.random.default_rng(0)
    points, released = rng.normal(size=(600, 5)), rng.normal(size=(600, 5))
    scored = membership.attack(points, released, 40, rng)
    centrality = -np.linalg.norm(points, axis=1)
    plain, calibrated = (np.corrcoef(scored[name], centrality)[0, 1] for name in ("distance", "calibrated_distance"))
    assert plain > 0.6
    assert abs(calibrated) < 0.25


def test_without_genomic_data_only_the_clinical_record_is_attacked(comparison):
    bare = {name: getattr(comparison, name).clinical_only() for name in ("real", "candidate", "train", "control")}
    assert {value.modality for value in values_of(attacked(replace(comparison, **bare)))} == {"clinical"}


def test_a_bound_on_the_attacked_leaves_the_others_out(comparison):
    values = values_of(attacked(comparison, rows=100))
    assert {value.n for value in values} == {200}


def test_the_figure_draws_each_attack(comparison, tmp_path):
    seen = attacked(comparison)
    values = pd.DataFrame([vars(value) for value in values_of(seen)]).assign(status="ok", low=0.4, high=0.6)

    def draw():
        return membership.figure(seen, values, membership.DEFAULTS, "fresh")

    labels = [text.get_text() for text in draw().axes[0].get_legend().get_texts()]
    assert [label.split(",")[0].replace(" ", "_") for label in labels[: len(membership.ATTACKS)]] == list(
        membership.ATTACKS
    )
    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)
