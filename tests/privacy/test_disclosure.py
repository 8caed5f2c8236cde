"""A release without memory tells nothing in expectation; copies, exact numbers and a small cohort's averages tell."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, renamed
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.errors import InputError
from haemosynth.privacy.stages import disclosure
from haemosynth.validate.resampling import _with_replacement, prepare_comparison

QUICK = disclosure.DEFAULTS | {"trees": 20, "exchanges": 200, "local": 1, "redraws": 4}


@pytest.fixture(scope="module")
def comparison():
    return compared(small_cohort(600, 2))


def attacked(comparison, **settings):
    return prepare_comparison(disclosure, comparison, QUICK | settings, lambda *_: np.random.default_rng(1))


def values_of(seen, **settings):
    return disclosure.measure(seen, QUICK | settings, np.random.default_rng(0))


def measured(comparison, **settings):
    values = values_of(attacked(comparison, **settings), **settings)
    return {(value.metric, value.target): value.value for value in values}


def test_the_training_patients_themselves_tell_all_and_unseen_ones_nothing(comparison):
    fresh, real = measured(comparison), measured(replace(comparison, candidate=renamed(comparison.train)))
    for metric in disclosure.NAMES:
        assert fresh[metric, "all"] <= fresh["disclosure_chance", metric], metric
        assert real[metric, "all"] > real["disclosure_chance", metric], metric
    assert real["disclosure_auc", "all"] > 0.99
    assert real["disclosure_told", "all"] > 1  # more than a table of them
    assert fresh["disclosure_told", "all"] < real["disclosure_told", "all"]


def test_fresh_patients_are_refused_in_at_most_one_split_in_eight():
    cohort = small_cohort(600, 2)
    refused = 0
    for seed in range(8):
        found = measured(compared(cohort, seed))
        limits = {"disclosure_auc": 0.6, "disclosure_tpr_1": 0.05, "disclosure_outlying_auc": 0.65}
        refused += any(
            found[metric, "all"] > max(limit, found["disclosure_chance", metric]) for metric, limit in limits.items()
        )
    assert refused <= 1


def test_all_is_the_worst_attack(comparison):
    found = measured(comparison)
    attacks = {target for metric, target in found if metric == "disclosure_auc"} - {"all"}
    assert {"means", "columns", "pairs", "values_2", "values_10", "likelihood", "matched"} <= attacks
    for metric in disclosure.NAMES:
        assert found[metric, "all"] == max(found[metric, attack] for attack in attacks)


def test_expectation_over_redraws_is_the_mean_of_their_values(comparison):
    parts = [independent(comparison.train, seed) for seed in range(3)]
    from fixtures_candidates import joined

    pool = joined(joined(parts[0], parts[1]), parts[2])
    size = len(parts[0])
    whole = measured(replace(comparison, candidate=pool.take(np.arange(size)), pool=pool), local=0)
    single = [
        measured(replace(comparison, candidate=pool.take(np.arange(k * size, (k + 1) * size))), local=0)
        for k in range(3)
    ]
    for attack in ("means", "columns", "pairs", "values_2"):
        mean = np.mean([one["disclosure_auc", attack] for one in single])
        assert whole["disclosure_auc", attack] == pytest.approx(mean)
    assert whole["disclosure_error", "disclosure_auc"] > 0


def test_the_numbers_of_training_patients_give_them_away_though_no_record_is_a_copy(comparison):
    """Every column drawn alone from training patients: nobody's record, everybody's numbers."""
    shuffled = replace(comparison, candidate=independent(comparison.train))
    found = measured(shuffled)
    assert found["disclosure_auc", "values_2"] > 0.7
    assert found["disclosure_auc", "distance"] < 0.6


def test_the_table_tells_the_more_the_fewer_patients_it_is_of():
    cohort = small_cohort(600, 2)
    few = measured(compared(cohort.take(np.arange(200)), 3))
    many = measured(compared(cohort, 3))
    assert few["disclosure_table_auc", "all"] > many["disclosure_table_auc", "all"] > 0.55


def test_who_knows_identifiers_alone_finds_less_than_who_knows_the_record(comparison):
    found = measured(replace(comparison, candidate=independent(comparison.train)), identifiers=["age", "sex"])
    for known in ("identifiers", "identifiers and survival"):
        assert 0.55 < found["identifiers_auc", known] < found["disclosure_auc", "all"]
    with pytest.raises(InputError, match=r"disclosure\.identifiers.*no column 'shoe size'"):
        attacked(comparison, identifiers=["shoe size"])


def test_predictive_value_follows_bayes_and_falls_with_the_population(comparison):
    """With everybody found and one in a hundred others named, half of the named are members if one in 101 took part."""
    real, trained = replace(comparison, candidate=renamed(comparison.train)), len(comparison.train)
    found = measured(real, population=101 * trained)
    expected = found["disclosure_tpr_1", "all"] / (found["disclosure_tpr_1", "all"] + 1)
    assert found["predictive_value", "all"] == pytest.approx(expected)
    larger = measured(real, population=1000 * trained)
    assert larger["predictive_value", "all"] < found["predictive_value", "all"]
    assert 0 <= measured(comparison, population=10 * trained)["relative_f1", "all"] < found["relative_f1", "all"] <= 1


def test_a_patient_drawn_twice_counts_twice_with_the_same_score(comparison):
    seen = attacked(comparison)
    rng = np.random.default_rng(4)
    drawn = replace(seen, train=_with_replacement(seen.train, len(seen.train), rng))
    weighted, plain = ({(v.metric, v.target): v.value for v in values_of(one)} for one in (drawn, seen))
    assert weighted["disclosure_auc", "distance"] != plain["disclosure_auc", "distance"]
    assert weighted["disclosure_chance", "disclosure_auc"] == plain["disclosure_chance", "disclosure_auc"]


def test_without_genomic_data_the_record_alone_is_attacked(comparison):
    bare = {name: getattr(comparison, name).record() for name in ("real", "candidate", "train", "control")}
    assert {value.modality for value in values_of(attacked(replace(comparison, **bare)))} == {"clinical"}


def test_a_bound_on_the_attacked_leaves_the_others_out(comparison):
    assert {v.n for v in values_of(attacked(comparison, rows=100)) if v.metric == "disclosure_auc"} == {200}


def test_the_figure_draws_each_attack(comparison, tmp_path):
    seen = attacked(comparison)
    values = pd.DataFrame([vars(value) for value in values_of(seen)]).assign(low=0.45, high=0.6)
    values["status"] = np.where(values["value"].notna(), "ok", "not_applicable")

    def draw():
        return disclosure.figure(seen, values, disclosure.DEFAULTS, "fresh")

    labels = {text.get_text() for text in draw().axes[0].get_yticklabels()}
    assert {"means", "values 2", "neighbour count"} <= labels
    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)
