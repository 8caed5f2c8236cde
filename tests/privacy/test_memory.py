"""Copies are linked to their patients, unseen patients are not, and what chance explains passes."""

from dataclasses import replace

import numpy as np
import pytest
from fixtures_candidates import independent, renamed
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort
from scipy.stats import binom

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.streams import stream
from haemosynth.privacy.planted_leaks import plant
from haemosynth.privacy.release_check import CHECKS
from haemosynth.privacy.stages import memory
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

LIMITS = {name: check.limit for name, check in CHECKS.items() if check.stage == "memory"}


def sides(cohort, trained, unseen, seed=0, size=1.0, pool=16):
    """A random split, and a release of further patients of the same kind, with a pool of which it is the first part."""
    order = np.random.default_rng(seed).permutation(len(cohort))
    train, real, rest = np.split(order[: trained + unseen + pool * trained], [trained, trained + unseen])
    half = unseen // 2
    return Comparison(
        real=cohort.take(real), candidate=cohort.take(rest[: round(size * trained)]), train=cohort.take(train),
        control=cohort.take(real[half:]), pool=cohort.take(rest) if pool > 1 else None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def comparison():
    return sides(small_cohort(3000, 6), 200, 140, pool=12)


def values_of(comparison, **settings):
    chosen = memory.DEFAULTS | {"exchanges": 400} | settings
    seen = prepare_comparison(memory, comparison, chosen, lambda *_: np.random.default_rng(1))
    return seen, memory.measure(seen, chosen, np.random.default_rng(0))


def measured(comparison, **settings):
    return {(value.metric, value.target): value.value for value in values_of(comparison, **settings)[1]}


def refused(found):
    """Whether the gate's rule stops these values."""
    return any(found[name, "all"] > max(limit, found["memory_chance", name]) for name, limit in LIMITS.items())


def leak(comparison, share, noise, seed=0):
    leaking = plant(comparison.candidate, comparison.train, share, noise, np.random.default_rng(seed))
    return replace(comparison, candidate=leaking)


def test_training_patients_as_release_are_all_named(comparison):
    found = measured(replace(comparison, candidate=renamed(comparison.train), pool=None))
    assert found["linked_copies", "all"] > 0.9  # the cut may miss one copy in twenty
    assert found["exposed", "all"] > 0.95


@pytest.mark.parametrize("noise", [0.0, 0.03])
@pytest.mark.parametrize("share", [0.05, 0.1])
def test_planted_copies_are_counted(comparison, share, noise):
    found = measured(leak(comparison, share, noise))
    assert found["named_patients", "unseen"] <= 1
    assert found["linked_copies", "all"] == pytest.approx(share, abs=0.015 + (0.1 * share if noise else 0))
    assert refused(found)


def test_copies_of_unseen_patients_do_not_count(comparison):
    """A release and a pool that copy unseen patients name many, but none whom the generator has seen."""
    some = plant(comparison.candidate, comparison.real, 0.2, 0, np.random.default_rng(0))
    found = measured(replace(comparison, candidate=some, pool=None))
    assert found["named_patients", "unseen"] > 0.15 * len(some)
    assert found["linked_copies", "all"] == 0
    assert not refused(found)


def test_patients_without_structure_name_nobody(comparison):
    found = measured(replace(comparison, candidate=independent(comparison.train), pool=None))
    assert found["named_patients", "train"] == 0
    assert found["linked_copies", "all"] == 0


def test_the_cut_is_where_it_is_said_to_be(comparison):
    seen, _ = values_of(comparison)
    calibrated = seen.prepared.calibrated
    assert (calibrated.copies >= calibrated.cut).mean() >= 0.95 - 1e-9 or calibrated.cut == pytest.approx(
        np.quantile(calibrated.others, 0.99)
    )
    assert (calibrated.others > calibrated.cut).mean() <= 0.01
    easy, _ = values_of(comparison, missed=0.0, coincidences=1.0)
    assert easy.prepared.calibrated.cut == pytest.approx(easy.prepared.calibrated.copies.min())


@pytest.mark.parametrize("pooled", [1, 16])
@pytest.mark.parametrize(("trained", "unseen"), [(300, 200), (200, 300)])
def test_what_chance_explains_is_the_binomial_test(trained, unseen, pooled):
    """A value lies above the limit that chance sets exactly where so many named are less likely than one in 200."""
    member = np.repeat([True, False], [trained, unseen])
    rows, released = np.arange(trained + unseen), 400
    q = released * trained / (released * trained + pooled * released * unseen)
    for k in range(0, 30, 3):
        for others in (0, 1, 5, 40):
            largest, named = np.zeros(len(rows)), np.zeros(len(rows))
            largest[:k], named[trained] = 10.0, others
            found = memory.Found(largest, named, 5.0, released, pooled * released, trained)
            value = memory.measure_linked_copies(found, member, rows)
            chance = memory.by_chance(found, member, rows, {"exchanges": 1, "rate": 0.02}, np.random.default_rng(0))
            tail = binom.sf(k - 1, k + others, q)
            assert (value > chance["linked_copies"]) == (tail < 0.005)


def test_a_share_of_the_smaller_of_release_and_training_patients():
    """Ten copies among 100 records are a tenth, of however many patients; ten patients named in 900 are one in 30."""
    member, rows = np.repeat([True, False], [300, 200]), np.arange(500)
    largest = np.where(rows < 10, 10.0, 0.0)
    for released, share in ((100, 10 / 100), (300, 10 / 300), (900, 10 / 300)):
        found = memory.Found(largest, np.zeros(500), 5.0, released, released, 300)
        assert memory.measure_linked_copies(found, member, rows) == pytest.approx(share)


def test_exposed_is_the_largest_difference_at_few_false_positives():
    scores = np.array([9.0, 8, 7, 6, 5, 4, 0, 0, 0, 0])
    member = np.array([True, True, False, True, True, False, True, False, False, False])
    assert memory.measure_exposed(scores, member, 0.0) == pytest.approx(2 / 5)
    assert memory.measure_exposed(scores, member, 0.2) == pytest.approx(4 / 5 - 1 / 5)
    assert memory.measure_exposed(scores, ~member, 0.0) == 0
    assert memory.measure_exposed(np.zeros(10), member, 0.2) == 0  # who is not linked is above no threshold


def test_ties_share_a_threshold():
    scores, member = np.ones(4), np.array([True, True, False, False])
    assert memory.measure_exposed(scores, member, 0.5) == 0
    assert memory.measure_exposed(scores, member, 1.0) == 0


def test_chance_does_not_depend_on_the_order_of_patients():
    rng = np.random.default_rng(0)
    scores, member = rng.exponential(size=200).round(1), np.arange(200) < 120
    order = rng.permutation(200)
    assert memory.measure_exposed(scores[order], member[order], 0.1) == pytest.approx(
        memory.measure_exposed(scores, member, 0.1)
    )


def test_fresh_patients_pass():
    """Of releases that know nobody at most one in twenty may be refused."""
    cohort = small_cohort(6000, 8)
    stopped = [refused(measured(sides(cohort, 150, 100, seed, pool=4), exchanges=200)) for seed in range(20)]
    assert sum(stopped) <= 1


@pytest.mark.slow
def test_over_many_splits_fresh_patients_pass_and_planted_leaks_are_stopped():
    cohort = small_cohort(12000, 7)
    fresh, leaks = [], []
    for seed in range(50):
        split = sides(cohort, 330, 220, seed)
        fresh.append(refused(measured(split)))
        if seed < 10:
            leaks += [refused(measured(leak(split, share, noise, seed))) for share in (0.05, 0.02)
                      for noise in (0.0, 0.03)]  # fmt: skip
    assert np.mean(fresh) <= 0.05
    assert all(leaks)


def test_of_many_patients_some_are_attacked(comparison):
    copied = leak(comparison, 0.5, 0.0)
    some = {(value.metric, value.target): value for value in values_of(copied, attacked=170, pool=300)[1]}
    assert some["linked_copies", "all"].n == 170
    assert some["named_patients", "unseen"].n == 300
    assert some["linked_copies", "all"].value == pytest.approx(0.5, abs=3 * 0.5 / np.sqrt(100))


def test_identical_patients_one_column_and_few_patients_are_measured(comparison):
    twins = replace(comparison, train=renamed(comparison.train.take(np.repeat(np.arange(20), 5))), pool=None)
    found = measured(replace(twins, candidate=twins.train))
    assert found["named_patients", "train"] == 0  # nobody is told from his twins: exact_matches is for these
    only = {name: one_column(getattr(comparison, name)) for name in ("real", "candidate", "train", "control", "pool")}
    assert all(np.isfinite(value) for value in measured(replace(comparison, **only)).values())
    few = {name: getattr(comparison, name).take(np.arange(4)) for name in ("real", "candidate", "train", "control")}
    assert all(np.isfinite(value) for value in measured(replace(comparison, **few, pool=None)).values())


def one_column(cohort):
    columns = {"sex": cohort.schema.columns["sex"]}
    schema = replace(cohort.schema, columns=columns, alterations={}, endpoints=())
    return replace(cohort.record(), schema=schema, clinical=cohort.clinical[["sex"]])


def test_records_with_missing_values_only_are_linked_to_nobody(comparison):
    clinical = comparison.candidate.clinical.copy()
    clinical.loc[:, :] = np.nan
    for name, kind in comparison.candidate.clinical.dtypes.items():
        clinical[name] = clinical[name].astype(kind)
    alterations = comparison.candidate.alterations * np.nan
    empty = comparison.candidate.replace(clinical=clinical, alterations=alterations)
    found = measured(replace(comparison, candidate=empty, pool=None))
    assert found["named_patients", "train"] == 0


def test_fresh_patients_are_held_against_the_control_half():
    cohort = small_cohort(600, 2)
    split = sides(cohort, 300, 200, pool=1)
    half = split.real.take(np.arange(100))
    found = measured(replace(split, candidate=half))
    assert found["linked_copies", "all"] == 0  # the release is not among the patients it is linked with
    assert not refused(found)


def test_intervals_resample_the_patients_attacked_and_the_figure_is_drawn_alike(comparison, tmp_path):
    copied = leak(comparison, 0.1, 0.03)
    chosen = memory.DEFAULTS | {"exchanges": 100, "repeats": 1, "replicates": 20}

    def streams(*names):
        return stream(1, *names)

    seen = prepare_comparison(memory, copied, chosen, streams)
    values, _ = evaluate(memory, seen, chosen, streams)
    row = values[values["metric"] == "linked_copies"].iloc[0]
    assert row["low"] < row["value"] < row["high"]
    error = np.sqrt(0.1 * 0.9 / len(copied.train))
    assert 2 * error < row["high"] - row["low"] < 8 * error

    def draw():
        return memory.figure(seen, values, chosen, "default")

    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)
    for line in draw().axes[0].lines:
        if "n = " in line.get_label():
            n = int(line.get_label().split("n = ")[1].strip(")").replace(",", ""))
            assert min(line.get_ydata()) * n >= MIN_CELL_COUNT - 1e-9
