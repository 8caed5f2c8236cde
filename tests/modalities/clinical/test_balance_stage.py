"""The stage `balance`: quotas reached, what is kept given the class, and gains where there is something to gain."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import independent
from fixtures_small import small_cohort

from haemosynth.core.streams import stream
from haemosynth.encode.baseline import baseline_design
from haemosynth.generate.balance import fill_quotas, find_enlarged, read_quotas
from haemosynth.modalities.clinical.stages import balance
from haemosynth.modalities.clinical.stages.enlarging import draw_by_smote, repeat_members
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

QUOTAS = {"t(4;14)": 0.4}
SETTINGS = balance.DEFAULTS | {"balance": QUOTAS, "trainings": 4, "repeats": 1, "replicates": 8, "released": None}


@pytest.fixture(scope="module")
def sides():
    cohort = small_cohort(1000, 5)
    return cohort.take(np.arange(500)), cohort.take(np.arange(500, 1000))


@pytest.fixture(scope="module")
def draw():
    """Patients of the very simulation: what a perfect generator would draw."""
    return small_cohort(4000, 9)


def streams(*names):
    return stream(1, "balance test", *names)


def evaluated(sides, candidate, **settings):
    train, real = sides
    chosen = SETTINGS | settings
    comparison = Comparison(real=real, candidate=candidate, train=train, control=real)
    comparison = prepare_comparison(balance, comparison, chosen, streams)
    values, _ = evaluate(balance, comparison, chosen, streams)
    return comparison, values, values.set_index(["metric", "target"])


@pytest.fixture(scope="module")
def perfect(sides, draw):
    return evaluated(sides, fill_quotas(draw, read_quotas(QUOTAS, sides[0]), 500, 500))


def test_quotas_are_reached_and_what_is_given_the_class_is_kept(perfect, sides):
    _, _, numbers = perfect
    assert numbers.loc[("quota_error", "all"), "value"] == 0
    shares = balance._measure_shares(fill_quotas(small_cohort(4000, 9), read_quotas(QUOTAS, sides[0]), 500, 500),
                              read_quotas(QUOTAS, sides[0]))  # fmt: skip
    assert shares[0].value == 0.4
    _, _, floor = evaluated(sides, independent(sides[0], 3))
    _, _, ceiling = evaluated(sides, sides[0])
    for name in ("class_margin_distance", "class_frequency_distance"):
        good, bad, best = (table.loc[(name, "all"), "value"] for table in (numbers, floor, ceiling))
        assert good < bad, name
        assert good <= ceiling.loc[(name, "all"), "high"] or good < 1.3 * best, name


def test_new_real_patients_are_a_gain_and_copies_a_smaller_one(perfect, sides):
    """A generator that knew the population helps more than the members drawn again, who only weigh more."""
    _, _, numbers = perfect
    gain = numbers.loc[("auc_gain_synthetic", "t(4;14)"), "value"]
    assert gain > numbers.loc[("auc_gain_bootstrap", "t(4;14)"), "value"]
    assert gain > 0
    train, _ = sides
    copies = fill_quotas(train, read_quotas(QUOTAS, train), 100, 150)
    _, _, again = evaluated(sides, copies)
    row = again.loc[("auc_gain_synthetic", "t(4;14)")]
    assert row["value"] < gain


def test_a_class_that_nothing_tells_of_shows_no_gain(sides, draw):
    """Membership is dealt out at random: no generator can know what it goes with."""
    rng = np.random.default_rng(3)

    def dealt(cohort, share):
        states = cohort.alterations.copy()
        states["TP53"] = (rng.random(len(cohort)) < share).astype(float)
        return cohort.replace(alterations=states, mutations=cohort.mutations[cohort.mutations["gene"] != "TP53"])

    train, real = (dealt(side, 0.08) for side in sides)
    candidate = dealt(draw.take(np.arange(700)), 0.4)
    _, _, numbers = evaluated((train, real), candidate, balance={"TP53": 0.4})
    assert abs(numbers.loc[("auc_real", "TP53"), "value"] - 0.5) < 0.1
    for arm in balance.ARMS:
        row = numbers.loc[(f"auc_gain_{arm}", "TP53")]
        assert balance.describe_gain(row["low"], row["high"]) == balance.NO_GAIN, arm


def test_a_study_without_quotas_has_nothing_to_measure(sides):
    _, values, _ = evaluated(sides, sides[0], balance=None)
    assert (values["status"] == "not_applicable").all()


def test_the_figure_says_no_gain_where_an_interval_holds_zero(perfect):
    comparison, values, _ = perfect
    drawn = balance.figure(comparison, values, SETTINGS, "test")
    texts = {text.get_text() for axis in drawn.axes for text in axis.texts}
    assert texts <= {"gain", "loss", "no gain"}
    assert balance.describe_gain(-0.1, 0.1) == "no gain"
    assert balance.describe_gain(0.01, 0.1) == "gain"
    assert balance.describe_gain(-0.2, -0.1) == "loss"


def test_a_column_that_names_the_class_is_no_covariate(perfect, sides):
    comparison, _, _ = perfect
    design, own = comparison.prepared.design, comparison.prepared.own[0]
    assert "t(4;14)" in design.names
    assert "t(4;14)" not in [name for name, kept in zip(design.names, own, strict=True) if kept]


def test_smote_stays_among_its_members_and_repeats_alike(sides):
    train, _ = sides
    one = find_enlarged(read_quotas(QUOTAS, train), train)[0]
    design = baseline_design(train, 10)
    keep = np.ones(len(design.names), dtype=bool)
    table = balance._code(train, design, keep, one.members(train).astype(float))
    members = np.flatnonzero(one.members(train))
    made = draw_by_smote(table, design, keep, members, 60, np.random.default_rng(1))
    own = table[members]
    assert made.shape == (60, table.shape[1])
    known = np.isfinite(own).all(axis=0)
    assert (made[:, known] >= own[:, known].min(axis=0) - 1e-9).all()
    assert (made[:, known] <= own[:, known].max(axis=0) + 1e-9).all()
    assert (made[:, -3] == 1).all()
    levels = [i for i, name in enumerate(design.names) if name.startswith("isotype: ")]
    assert set(made[:, levels].sum(axis=1)) <= {0.0, 1.0}  # one level at most
    counts = pd.Series(repeat_members(7, 40, np.random.default_rng(0))).value_counts()
    assert counts.max() - counts.min() <= 1


def test_every_candidate_learns_from_the_same_training_patients(perfect, sides):
    comparison, _, _ = perfect
    one = comparison.prepared.classes[0]
    other = replace(comparison, candidate=sides[0])
    design, own = comparison.prepared.design, comparison.prepared.own[0]
    mine, theirs = (balance.learn(each, one, design, own, SETTINGS, stream(1, "one")) for each in (comparison, other))
    np.testing.assert_array_equal(mine.classifier["real"], theirs.classifier["real"])
    np.testing.assert_allclose(mine.prognosis["weights"], theirs.prognosis["weights"], atol=1e-12)
    assert not np.array_equal(mine.classifier["synthetic"], theirs.classifier["synthetic"])
