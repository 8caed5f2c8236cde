"""Classes of real patients are found again in real patients, and what is planted is caught."""

from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fixtures_candidates import compared, independent
from fixtures_figures import drawn_alike, overlapping
from fixtures_small import small_cohort

from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.streams import stream
from haemosynth.modalities.genomic.stages import dirichlet
from haemosynth.validate.resampling import evaluate

SETTINGS = dirichlet.DEFAULTS | {"chains": 4, "sweeps": 80, "candidate_sweeps": 60}
KINDS = {metric.name: metric.kind for metric in dirichlet.METRICS}


def prepared(comparison):
    return replace(comparison, prepared=dirichlet.prepare(comparison, SETTINGS, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def comparison():
    cohort = compared(small_cohort(1000, 3), train_fraction=0.5)
    return prepared(replace(cohort, candidate=cohort.train))


def measured(comparison, candidate=None, seed=0):
    if candidate is not None:
        comparison = replace(comparison, candidate=candidate)
    values = dirichlet.measure(comparison, SETTINGS, np.random.default_rng(seed))
    keyed = {(value.metric, value.target): value for value in values}
    assert len(keyed) == len(values)
    return keyed


@pytest.fixture(scope="module")
def real(comparison):
    return measured(comparison)


def scored(found):
    return {name: found[name, "all"].value for name, kind in KINDS.items() if kind != "descriptive"}


def test_the_holdout_itself_has_the_same_classes(comparison):
    found = measured(comparison, comparison.real)
    for name in ("class_frequency_distance", "certainty_distance", "class_survival_distance"):
        assert found[name, "all"].value == pytest.approx(0, abs=1e-12)
    assert found["profile_concordance", "all"].value == pytest.approx(1)


def test_real_patients_are_better_than_shuffled_columns(comparison, real):
    shuffled = [scored(measured(comparison, independent(comparison.train, seed), seed)) for seed in range(4)]
    for name, value in scored(real).items():
        others = [found[name] for found in shuffled]
        if name == "class_frequency_distance":  # frequent alterations alone decide it: see the next test
            continue
        if name == "class_survival_distance":  # few events in each class: only in the mean
            assert value < np.mean(others)
        elif KINDS[name] == "error":
            assert value < min(others), name
        else:
            assert value > max(others), name


def test_alterations_at_random_rates_fill_other_classes(comparison, real):
    assert {m.references for m in dirichlet.METRICS if m.name == "class_frequency_distance"} == {("real", "uniform")}
    rng = np.random.default_rng(0)
    events = comparison.train.alterations
    rates = pd.DataFrame(rng.random(events.shape) < rng.random(events.shape[1]), events.index, events.columns)
    found = measured(comparison, comparison.train.replace(alterations=rates.astype(float)))
    assert scored(found)["class_frequency_distance"] > 3 * scored(real)["class_frequency_distance"]


def test_classes_are_not_found_where_columns_are_independent(comparison):
    found = measured(comparison, independent(comparison.train))
    assert found["classes_found", "all"].value == 1
    assert found["partition_agreement", "all"].value == 0
    assert found["reclustered_profiles", "all"].value == 0


def test_a_dropped_class_is_caught_by_the_frequencies(comparison, real):
    learned = comparison.prepared
    chosen = learned.classes.count - 1  # the rarest
    kept, events = dirichlet.select_known(comparison.train)
    assigned = learned.classes.assign(events)
    without = kept.take(np.flatnonzero(assigned != chosen))
    found = measured(comparison, without)
    name = learned.names[chosen]
    share = learned.classes.sizes[chosen] / learned.classes.sizes.sum()
    lost = found["class_frequency_distance", name].value
    assert lost > 0.5 * share
    assert lost > 2 * real["class_frequency_distance", name].value
    assert found["class_frequency_distance", "all"].value > real["class_frequency_distance", "all"].value


def test_swapped_profiles_are_caught(comparison, real):
    events = comparison.train.alterations
    swapped = events.set_axis(list(np.random.default_rng(1).permutation(events.columns)), axis=1)[list(events.columns)]
    found = measured(comparison, comparison.train.replace(alterations=swapped))
    for name in ("profile_concordance", "reclustered_profiles", "partition_agreement"):
        assert found[name, "all"].value < real[name, "all"].value - 0.2, name
    assert found["class_frequency_distance", "all"].value > real["class_frequency_distance", "all"].value + 0.1


def test_survival_exchanged_between_classes_is_caught(comparison, real):
    kept, events = dirichlet.select_known(comparison.train)
    order = np.argsort(comparison.prepared.classes.assign(events), kind="stable")
    clinical = kept.clinical.copy()
    times = np.sort(clinical["OS_time"].to_numpy(float))
    clinical.iloc[order, clinical.columns.get_loc("OS_time")] = times  # the first class dies first, the last one last
    found = measured(comparison, replace(kept, clinical=clinical))
    distance = "class_survival_distance", "all"
    assert found[distance].value > 2 * real[distance].value
    assert scored(found)["class_frequency_distance"] < 0.1


def test_patients_without_known_alterations_are_left_out_and_counted(comparison, real):
    events = comparison.train.alterations.copy()
    events.iloc[::4] = np.nan
    found = measured(comparison, comparison.train.replace(alterations=events))
    assert found["without_alteration_known", "all"].value >= 0.25
    assert found["class_frequency_distance", "all"].value < real["class_frequency_distance", "all"].value + 0.05


def test_every_class_has_its_row(comparison, real):
    names = (*comparison.prepared.names, dirichlet.NO_CLASS)
    rows = {target for metric, target in real if metric == "class_frequency_distance"}
    assert rows == {"all", *names}
    total = sum(real["class_frequency_distance", name].value for name in names) / 2
    assert real["class_frequency_distance", "all"].value == pytest.approx(total)


def test_values_stay_within_their_bounds(real):
    bounds = {metric.name: metric.bounds for metric in dirichlet.METRICS}
    assert {metric for metric, _ in real} == set(bounds)
    for (metric, _), value in real.items():
        assert np.isnan(value.value) or bounds[metric][0] <= value.value <= bounds[metric][1]


def reasons(comparison):
    values = dirichlet.measure(comparison, SETTINGS, np.random.default_rng(0))
    return {value.metric: value.reason for value in values if value.target == "all" and np.isnan(value.value)}


def test_degenerate_cohorts_are_told(comparison):
    sides = ("real", "candidate", "train")
    clinical = replace(comparison, **{name: getattr(comparison, name).record() for name in sides})
    found = reasons(prepared(clinical))
    assert set(found) == set(KINDS)
    assert all("no alterations" in reason for reason in found.values())

    few = prepared(replace(comparison, train=comparison.train.take(np.arange(5))))
    assert all("training patients" in reason for reason in reasons(few).values())

    tiny = reasons(replace(comparison, candidate=comparison.candidate.take(np.arange(6))))
    assert "patients" in tiny["partition_agreement"]
    assert "no class with" in tiny["class_survival_distance"]

    unknown = comparison.candidate.alterations * np.nan
    nobody = reasons(replace(comparison, candidate=comparison.candidate.replace(alterations=unknown)))
    assert set(nobody) == set(KINDS) - {"without_alteration_known"}


def test_one_class_of_training_patients_is_told(comparison):
    found = reasons(prepared(replace(comparison, train=independent(comparison.train))))
    assert {"profile_concordance", "reclustered_profiles", "partition_agreement"} <= set(found)
    assert all("one class" in found[name] for name in ("reclustered_profiles", "partition_agreement"))


def test_a_cohort_without_endpoint_has_no_class_survival(comparison):
    def without(cohort):
        kept = {name: column for name, column in cohort.schema.columns.items() if name not in cohort.schema.survival}
        schema = replace(cohort.schema, columns=kept, endpoints=())
        return replace(cohort, schema=schema, clinical=cohort.clinical[list(kept)])

    bare = replace(comparison, real=without(comparison.real), candidate=without(comparison.candidate))
    assert reasons(bare) == {"class_survival_distance": "the cohort has no survival endpoint"}
    drawn = dirichlet.figure(bare, pd.DataFrame(columns=["metric", "target", "value", "status"]), SETTINGS, "candidate")
    assert any("no survival endpoint" in text.get_text() for text in drawn.axes[3].texts)


def test_the_figure_hides_counts_under_five(comparison, tmp_path):
    settings = SETTINGS | {"repeats": 1, "replicates": 2}
    values, _ = evaluate(dirichlet, comparison, settings, lambda *names: stream(1, *names))
    assert (values.status == "ok").any()
    drawn = dirichlet.figure(comparison, values, settings, "candidate")
    assert overlapping(drawn) == []
    assert drawn_alike(lambda: dirichlet.figure(comparison, values, settings, "candidate"), tmp_path)
    side = dirichlet.assign_side(comparison.real, comparison.prepared.classes)
    counts = np.bincount(side.assigned, minlength=comparison.prepared.classes.count + 1)
    few = counts < MIN_CELL_COUNT
    assert few.any()  # hardly anybody is like no class
    bars = [patch.get_width() for patch in drawn.axes[0].patches[: len(counts)]]
    assert [width == 0 for width in bars] == list(few)
    shares = drawn.axes[1].images[0].get_array().compressed()
    assert (shares * counts.max() >= MIN_CELL_COUNT - 1e-9).all()


@pytest.mark.slow
def test_the_published_classes_of_amlsg_are_found(real_data):
    """Numbers: `python benchmarks/published_classes.py`."""
    path = Path(__file__).resolve().parents[3] / "benchmarks" / "published_classes.py"
    spec = spec_from_file_location("published_classes", path)
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    table, _ = script.compared(real_data)
    print(table.to_string(index=False))
    assert (table["largest_by_chance"] < 0.05).all()
    assert (table["agreement"] > 0.3).all()
    assert (table["agreement_in_classified"] > table["agreement"]).all()
