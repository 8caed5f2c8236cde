"""The largest number of patients that every limit lets pass is released; a smaller one is a part of a larger one."""

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent, joined, renamed
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.generate.pool import count_released, pool_size, sizes
from haemosynth.privacy import release_size as stage
from haemosynth.privacy.release_size import advice, choose_size, figure, find_chosen_size, largest_sizes, within
from haemosynth.privacy.tiers import TIERS, disclosure_limits, stamp_name
from haemosynth.privacy.words import disclosure_sentences

OPEN = {"tier": "open", "most": 1}


def many(cohort, times, make):
    pool = make(0)
    for seed in range(1, times):
        pool = joined(pool, make(seed))
    return pool


@pytest.fixture(scope="module")
def sides():
    return compared(small_cohort(500, 3))


def rng():
    return np.random.default_rng(0)


def test_the_sizes_are_quarters_halves_and_doublings_up_to_the_most():
    assert sizes(100, 4) == [25, 50, 100, 200, 400]
    assert sizes(100, 3) == [25, 50, 100, 200, 300]
    assert sizes(100, 0.5) == [25, 50]
    assert sizes(3, 1) == [1, 2, 3]


def test_a_draw_holds_sixteen_releases_and_is_bounded_for_large_cohorts():
    assert pool_size(300, 120, 1, published=False) == 16 * 120
    assert pool_size(300, "auto", 4, published=True) == 24 * 1200
    assert sizes(60_000, 4) == [15_000, 30_000, 60_000]
    assert pool_size(60_000, "auto", 4, published=True) == 400_000
    assert pool_size(200_000, "auto", 4, published=True) == 3 * 200_000
    assert pool_size(50, None, 4, published=True, alone=True) == 50
    assert count_released(None, [], 70) == count_released(70, [], 5) == 70


def test_unseen_patients_may_be_released_in_any_number_and_training_patients_in_none(sides):
    """Unseen patients drawn again and again tell nothing of who was learned from; training patients everything."""
    unseen = compared(small_cohort(1500, 4), train_fraction=0.01).real
    harmless = many(sides, 3, lambda seed: renamed(unseen.take(np.random.default_rng(seed).permutation(len(unseen)))))
    curve = choose_size(sides.train, sides.real, harmless, "auto", OPEN, {}, rng())
    assert curve["open"].all()
    assert find_chosen_size(curve) == len(sides.train)
    leak = many(sides, 6, lambda seed: renamed(sides.train))
    curve = choose_size(sides.train, sides.real, leak, "auto", OPEN, {}, rng())
    assert not curve["open"].any()
    assert not curve["agreement"].any()
    assert curve["internal"].all()
    assert find_chosen_size(curve) == len(sides.train)  # validated at its full number, and refused


def test_a_patient_who_is_singled_out_is_so_in_every_tier(sides, monkeypatch):
    unseen = compared(small_cohort(1500, 4), train_fraction=0.01).real
    harmless = many(sides, 3, lambda seed: renamed(unseen.take(np.random.default_rng(seed).permutation(len(unseen)))))
    monkeypatch.setattr(stage.Memory, "of", lambda self, size: True)
    curve = choose_size(sides.train, sides.real, harmless, "auto", OPEN, {}, rng())
    assert not curve[list(TIERS)].any(axis=None)
    assert advice(curve, "open") == "no size passes in tier open"


def test_the_more_patients_the_more_is_told_and_the_better_the_margins(sides):
    pool = many(sides, 8, lambda seed: independent(sides.train, seed))
    curve = choose_size(sides.train, sides.real, pool, len(sides.train), OPEN, {}, rng())
    assert curve["told"].is_monotonic_increasing
    assert curve["margin_distance"].iloc[0] > curve["margin_distance"].iloc[-1]
    assert find_chosen_size(curve) == len(sides.train)
    assert curve["disclosure_auc"].iloc[-1] > curve["table_auc"].iloc[-1]  # exact numbers tell more than a table


def a_curve(areas, table=0.62, error=0.002):
    n = len(areas)
    areas = np.array(areas)
    return pd.DataFrame({
        "patients": 100 * 2 ** np.arange(n), "table_auc": table, "told": 0.5,
        **{f"{metric}{end}": value for metric in stage.METRICS for end, value in (("_error", error), ("_chance", 0.5))},
        "disclosure_auc": areas, "disclosure_tpr_1": 0.02, "disclosure_outlying_auc": 0.55,
        "disclosure_tpr_1_chance": 0.02,
    })  # fmt: skip


def test_a_size_passes_two_standard_errors_below_its_limit_and_never_above_a_larger_one_that_fails():
    curve = a_curve([0.55, 0.63, 0.60, 0.61])
    assert within(curve, "open", {}).tolist() == [True, False, False, False]  # the running maximum decides
    assert within(curve, "agreement", {}).tolist() == [True, False, False, False]
    assert within(curve, "internal", {}).all()
    assert within(a_curve([0.615]), "open", {}).all()
    assert not within(a_curve([0.615]), "open", {"disclosure_auc": 0.6}).any()
    assert not within(a_curve([0.615]).assign(disclosure_tpr_1=0.2), "open", {}).any()
    assert within(a_curve([0.64]).assign(disclosure_auc_chance=0.66), "open", {}).all()  # chance explains it


def test_limits_follow_the_table_between_a_floor_and_the_cap_of_the_tier():
    found = [disclosure_limits("open", table)["disclosure_auc"] for table in (0.5, 0.62, 0.9, np.nan)]
    assert found == [0.6, 0.62, 0.65, 0.65]
    assert disclosure_limits("agreement", 0.9)["disclosure_auc"] == 0.7
    assert disclosure_limits("open", 0.9, {"disclosure_auc": 0.55})["disclosure_auc"] == 0.55
    strictest = [TIERS[name][:3] for name in TIERS]
    assert all((np.diff(limits) >= 0).all() for limits in zip(*strictest, strict=True))


def test_the_advice_names_the_number_and_the_tier():
    curve = a_curve([0.55, 0.61, 0.66]).assign(open=[True, False, False], agreement=[True, True, False], internal=True)
    assert largest_sizes(curve) == {"open": 100, "agreement": 200, "internal": 400}
    told = advice(curve, "open")
    assert "synthetic_patients: 100" in told
    assert "200 patients pass in tier agreement (release: {tier: agreement})" in told
    nothing = curve.assign(open=False)
    assert advice(nothing, "open").startswith("no size passes in tier open; 200 patients pass in tier agreement")


def test_names_of_files_say_to_whom_they_may_go():
    assert stamp_name("clinical.tsv", "open") == "clinical.tsv"
    assert stamp_name("clinical.tsv", "agreement") == "clinical.agreement.tsv"


def test_the_sentences_say_what_was_found():
    rows = [("disclosure", "disclosure_auc", "all", 0.59), ("disclosure", "disclosure_table_auc", "all", 0.62),
            ("disclosure", "disclosure_tpr_1", "all", 0.11), ("memory", "named_patients", "train", 0.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["stage", "metric", "target", "value"]).assign(low=0.56, high=0.62, status="ok")
    told = " ".join(disclosure_sentences(table, 924, OPEN))
    for part in (
        "924 training patients",
        "0.59 (95 % interval 0.56 to 0.62)",
        "0.62",
        "No released record singles out",
    ):
        assert part in told
    assert "Of 100 people" in told
    assert "55 were in the cohort" in told  # 0.1 x 0.11 / (0.1 x 0.11 + 0.9 x 0.01)
    assert disclosure_sentences(table.iloc[:0], 924, OPEN) == []


def test_the_figure_marks_what_was_chosen(sides, tmp_path):
    pool = many(sides, 4, lambda seed: independent(sides.train, seed))
    curve = choose_size(sides.train, sides.real, pool, 150, OPEN, {}, rng())

    def draw():
        return figure(curve, OPEN, {}, "default, tier open")

    assert "150 patients (grey)" in draw().axes[0].get_title(loc="left")
    assert not overlapping(draw())
    assert drawn_alike(draw, tmp_path)
