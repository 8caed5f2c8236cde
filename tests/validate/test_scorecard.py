"""The scorecard puts references at 1 and 0, keeps silent where they cannot be told apart, and pairs differences."""

import numpy as np
import pandas as pd
import pytest

from haemosynth.core.files import read_table, write_table
from haemosynth.validate import scorecard as cards
from haemosynth.validate.stage import JOINT, PRIVACY, Metric

METRICS = {
    ("survival", "error"): Metric("error", "error", "", (0, 1), JOINT, "bootstrap", "", ""),
    ("survival", "agreement"): Metric("agreement", "agreement", "", (0, 1), JOINT, "bootstrap", "", ""),
    ("survival", "described"): Metric("described", "descriptive", "", (0, 1), JOINT, "bootstrap", "", ""),
    ("disclosure", "auc"): Metric("auc", "target", "", (0, 1), PRIVACY, "attack", "", "", target=0.5),
}
REPLICATES = 50


@pytest.fixture(autouse=True)
def _known_metrics(monkeypatch):
    monkeypatch.setattr(cards, "list_declared", lambda stages: METRICS)


def job(generator, seed, values, noise=0.01, shared=0.0, stage="survival", targets=("all",)):
    """One job's tables: metric -> value, with replicates of its own noise and of noise that all generators share."""
    own = np.random.default_rng([seed, len(generator), *generator.encode()])
    common = np.random.default_rng(seed).normal(size=REPLICATES) * shared
    rows, clouds = [], []
    for metric, value in values.items():
        for target in targets:
            key = {"metric": metric, "target": target, "modality": "clinical"}
            ok = np.isfinite(value)
            status = {"status": "ok" if ok else "not_applicable", "reason": "" if ok else "why"}
            rows.append({**key, "value": value, "low": np.nan, "high": np.nan, "n": 9, **status})
            if ok:
                cloud = value + common + own.normal(size=REPLICATES) * noise
                clouds.append(pd.DataFrame({**key, "replicate": range(REPLICATES), "value": cloud}))
    replicates = pd.concat(clouds) if clouds else pd.DataFrame(columns=["metric", "target", "modality", "replicate"])
    return cards.Job("demo", generator, seed, stage), pd.DataFrame(rows), replicates


def tables(*jobs):
    return (
        cards.make_metrics_table({key: values for key, values, _ in jobs}),
        cards.make_replicates_table({key: replicates for key, _, replicates in jobs}),
    )


def study(candidate, real=0.1, floor=0.9, metric="error", seeds=(1, 2, 3), **noise):
    levels = {"real": real, "independent": floor, "default": candidate}
    return tables(*(job(name, seed, {metric: value}, **noise) for seed in seeds for name, value in levels.items()))


COMPARE = ["real", "independent", "default"]


def row(table, generator="default", **where):
    for column, value in {"generator": generator, **where}.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_the_ceiling_is_one_and_the_floor_zero():
    card = cards.make_scorecard(cards.compute_scores(*study(0.3), COMPARE))
    for generator, relative in (("real", 1), ("independent", 0)):
        assert tuple(row(card, generator)[["relative", "low", "high"]]) == pytest.approx((relative,) * 3)
    found = row(card)
    assert found["relative"] == pytest.approx(0.75)
    assert found["low"] < 0.75 < found["high"]
    assert (found["value"], found["ceiling"], found["floor"]) == pytest.approx((0.3, 0.1, 0.9))
    assert found["seeds"] == 3
    assert list(card["generator"]) == COMPARE


def test_errors_and_agreements_read_the_same_way():
    error = row(cards.make_scorecard(cards.compute_scores(*study(0.3), COMPARE)))
    agreement = row(
        cards.make_scorecard(cards.compute_scores(*study(0.7, real=0.9, floor=0.1, metric="agreement"), COMPARE))
    )
    assert agreement["relative"] == pytest.approx(error["relative"])
    assert agreement["value"] == pytest.approx(0.7)


def test_a_target_is_missed_on_either_side():
    def card(value):
        levels = {"fresh": 0.5, "real": 1.0, "default": value}
        jobs = [job(name, 1, {"auc": level}, stage="disclosure") for name, level in levels.items()]
        return row(cards.make_scorecard(cards.compute_scores(*tables(*jobs), ["real", "default"])))

    assert card(0.6)["relative"] == pytest.approx(0.8)
    assert card(0.4)["relative"] == pytest.approx(0.8)
    assert card(0.6)["low"] < 0.8 < card(0.6)["high"]


@pytest.mark.parametrize(("real", "floor"), [(0.5, 0.5), (0.5, 0.505), (0.9, 0.1)])
def test_no_signal_where_the_references_cannot_be_told_apart_or_stand_upside_down(real, floor):
    found = row(cards.make_scorecard(cards.compute_scores(*study(0.3, real, floor), COMPARE)))
    assert found["status"] == "no_signal"
    assert np.isnan(found["relative"])
    assert found["value"] == pytest.approx(0.3)


def test_noise_that_all_generators_share_cancels():
    alone = row(cards.make_scorecard(cards.compute_scores(*study(0.3, noise=0.02), COMPARE)))
    shared = row(cards.make_scorecard(cards.compute_scores(*study(0.3, noise=0.02, shared=0.2), COMPARE)))
    assert shared["high"] - shared["low"] == pytest.approx(alone["high"] - alone["low"], rel=0.05)


def test_between_seed_variance_widens_the_interval():
    levels = {1: 0.2, 2: 0.3, 3: 0.4}
    jobs = [
        job(name, seed, {"error": value if value is not None else levels[seed]})
        for seed in levels
        for name, value in {"real": 0.1, "independent": 0.9, "default": None}.items()
    ]
    varied, same = (
        row(cards.make_scorecard(cards.compute_scores(*tables(*jobs), COMPARE))),
        row(cards.make_scorecard(cards.compute_scores(*study(0.3), COMPARE))),
    )
    assert varied["relative"] == pytest.approx(same["relative"])
    assert varied["high"] - varied["low"] > 2 * (same["high"] - same["low"])


def test_descriptive_metrics_and_single_targets_are_not_scored():
    levels = {"real": 0.1, "independent": 0.9, "default": 0.3}
    jobs = [job(name, 1, {"error": v, "described": v}, targets=("all", "age")) for name, v in levels.items()]
    metrics, replicates = tables(*jobs)
    assert set(metrics["target"]) == {"all", "age"}
    assert list(cards.make_scorecard(cards.compute_scores(metrics, replicates, COMPARE))["metric"].unique()) == [
        "error"
    ]


def test_what_has_no_value_or_no_reference_is_not_applicable():
    found = row(cards.make_scorecard(cards.compute_scores(*study(np.nan), COMPARE)))
    assert found["status"] == "not_applicable"
    without = tables(job("real", 1, {"error": 0.1}), job("default", 1, {"error": 0.3}))
    found = row(cards.make_scorecard(cards.compute_scores(*without, COMPARE)))
    assert found["status"] == "not_applicable"
    assert np.isnan(found["floor"])


def test_a_seed_without_a_value_is_left_out_for_all():
    jobs = [
        job(name, seed, {"error": np.nan if (name, seed) == ("default", 2) else value})
        for seed in (1, 2)
        for name, value in {"real": 0.1, "independent": 0.9, "default": 0.3}.items()
    ]
    assert row(cards.make_scorecard(cards.compute_scores(*tables(*jobs), COMPARE)))["seeds"] == 1


def test_the_metrics_table_has_one_row_per_metric_target_and_job():
    metrics, replicates = study(0.3)
    assert list(metrics.columns) == cards.METRIC_COLUMNS
    assert not metrics.duplicated(["cohort", "generator", "seed", "stage", "modality", "metric", "target"]).any()
    assert set(metrics["pillar"]) == {"utility"}
    assert len(replicates) == 9 * REPLICATES


def test_composites_lie_between_zero_and_one_and_name_their_parts():
    jobs = [
        job(name, seed, {"error": error, "agreement": agreement})
        for seed in (1, 2)
        for name, (error, agreement) in {
            "real": (0.1, 0.9), "independent": (0.9, 0.1), "default": (0.5, 0.95), "worse": (5.0, 0.1),
        }.items()
    ]  # fmt: skip
    table = cards.compute_composites(cards.compute_scores(*tables(*jobs), [*COMPARE, "worse"]))
    assert row(table, "real")["relative"] == pytest.approx(1)
    assert row(table, "independent")["relative"] == pytest.approx(0)
    assert row(table, "worse")["relative"] == pytest.approx(0, abs=0.01)
    assert row(table)["relative"] == pytest.approx((0.5 + 1) / 2)  # above the ceiling counts as the ceiling
    assert row(table)["parts"] == "survival (2)"
    stages = cards.compute_stage_scores(cards.compute_scores(*tables(*jobs), [*COMPARE, "worse"]))
    assert row(stages)["relative"] == row(table)["relative"]  # of one stage
    assert (row(stages)["stage"], row(stages)["metrics"]) == ("survival", 2)
    assert ((table["low"] <= table["relative"]) & (table["relative"] <= table["high"])).all()


def test_a_contest_is_paired_and_antisymmetric():
    jobs = [
        job(name, seed, {"error": value}, noise=0.005, shared=0.1)
        for seed in (1, 2, 3)
        for name, value in {"real": 0.1, "independent": 0.9, "default": 0.3, "forest": 0.35}.items()
    ]
    ours, theirs = (cards.contest(*tables(*jobs), *pair) for pair in (("default", "forest"), ("forest", "default")))
    assert list(ours["verdict"]) == ["win", "win"]
    assert list(theirs["verdict"]) == ["loss", "loss"]
    np.testing.assert_allclose(ours["difference"], -theirs["difference"])
    assert list(ours["metric"]) == ["error", "all"]
    np.testing.assert_allclose(ours["difference"], [0.05, 0.05 / 0.8])


def test_equal_generators_tie():
    jobs = [
        job(name, seed, {"error": value}, noise=0.02)
        for seed in (1, 2, 3)
        for name, value in {"real": 0.1, "independent": 0.9, "default": 0.3, "forest": 0.301}.items()
    ]
    assert set(cards.contest(*tables(*jobs), "default", "forest")["verdict"]) == {"tie"}
    itself = cards.contest(*tables(*jobs), "default", "default")
    assert (itself["difference"] == 0).all()


def test_several_contests_stand_below_each_other():
    tables = study(0.3)
    both = cards.contests(*tables, ["default", "real"], "independent")
    assert list(both["generator"]) == ["default", "default", "real", "real"]
    assert set(both["verdict"]) == {"win"}
    assert list(cards.contests(*tables, [], "independent").columns) == cards.CONTEST_COLUMNS


@pytest.mark.filterwarnings("error")
def test_tables_that_were_written_and_read_give_the_same_scorecard(tmp_path):
    levels = {"real": 0.1, "independent": 0.9, "default": 0.3, "forest": np.nan}
    jobs = [job(name, 1, {"error": value}) for name, value in levels.items()]
    read = []
    for key, *both in jobs:
        for table, ending in zip(both, ("values.tsv", "replicates.parquet"), strict=True):
            write_table(table, tmp_path / f"{key.generator}.{ending}")
        read.append(
            (key, *(read_table(tmp_path / f"{key.generator}.{end}") for end in ("values.tsv", "replicates.parquet")))
        )
    before, after = (cards.make_scorecard(cards.compute_scores(*tables(*parts), COMPARE)) for parts in (jobs, read))
    pd.testing.assert_frame_equal(before, after)
    assert set(tables(*read)[0]["reason"]) == {"", "why"}


def test_the_scorecard_is_deterministic():
    first, second = (cards.make_scorecard(cards.compute_scores(*study(0.3), COMPARE)) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_the_dictionary_declares_every_metric_of_a_stage(monkeypatch):
    monkeypatch.undo()
    stages = ("survival", "distance", "disclosure")
    table = cards.make_dictionary(stages)
    assert set(table["stage"]) == set(stages)
    assert not table.duplicated(["name", "stage"]).any()
    assert (table["formula"].str.len() > 10).all()
    assert table.loc[table["kind"] == "target", "target"].notna().all()
    assert table.loc[table["kind"] != "target", "target"].isna().all()
    assert (table["low"] < table["high"]).all()
