"""The split: stratified, exact, and blind to the holdout."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort
from fixtures_sources import tables

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.streams import stream
from haemosynth.modalities.clinical.ingest import ingest
from haemosynth.study.split import LEAST_OF_CLASS, LEAST_PATIENTS, split

PANEL = {"recurrent": {"min_carriers": 5}}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    source = {**tables(tmp_path_factory.mktemp("source")), "endpoint": ["OS", "PFS"], "alterations": ["CYTO_*"]}
    return ingest("mine", {**source, "columns": {"AGE": {"low": 0, "high": 120}}})


def parts(cohort: Cohort, seed: int = 1, fraction: float = 0.6, stratify: str | None = "CENTRE", **more: object):
    return split(cohort, fraction, stratify, PANEL, stream(seed, "split"), **more)


@pytest.mark.parametrize("fraction", [0.3, 0.5, 0.6, 0.8])
def test_every_patient_is_on_one_side_and_the_sizes_are_exact(cohort: Cohort, fraction: float) -> None:
    train, holdout = parts(cohort, fraction=fraction)
    assert len(train) == round(fraction * len(cohort))
    assert set(train.patients).isdisjoint(holdout.patients)
    assert set(train.patients) | set(holdout.patients) == set(cohort.patients)
    assert list(train.patients) == [p for p in cohort.patients if p in set(train.patients)]


def test_each_stratum_gives_its_share_to_within_one_patient(cohort: Cohort) -> None:
    for seed in range(5):
        train, _ = parts(cohort, seed=seed)
        keys = ["OS_event", "CENTRE"]
        whole = cohort.clinical.groupby(keys, observed=True).size()
        taken = train.clinical.groupby(keys, observed=True).size().reindex(whole.index, fill_value=0)
        assert ((taken - 0.6 * whole).abs() <= 1).all()


def test_a_number_an_alteration_or_a_column_with_gaps_can_stratify(cohort: Cohort) -> None:
    for factor in ("LDH", "CYTO_PLUS8", "AGE"):
        train, _ = parts(cohort, stratify=factor)
        assert len(train) == 72
    train, _ = parts(cohort, stratify="CYTO_PLUS8")
    gaps = cohort.alterations["CYTO_PLUS8"].isna().sum()
    assert abs(train.alterations["CYTO_PLUS8"].isna().sum() - 0.6 * gaps) <= 2  # two strata, with and without event


def test_the_same_stream_gives_the_same_split_and_another_another(cohort: Cohort) -> None:
    assert parts(cohort)[0].patients.equals(parts(cohort)[0].patients)
    assert not parts(cohort)[0].patients.equals(parts(cohort, seed=2)[0].patients)


def test_nothing_of_the_holdout_reaches_the_schema(cohort: Cohort) -> None:
    train, holdout = parts(cohort)
    clinical, alterations = cohort.clinical.copy(), cohort.alterations.copy()
    others = clinical.index.isin(holdout.patients)
    for name in ("AGE", "HEMOGLOBIN", "LDH"):
        clinical.loc[others, name] = clinical.loc[others, name] * 7 + 0.123
    clinical["SEX"] = clinical["SEX"].cat.add_categories("Other")
    clinical.loc[others, "SEX"] = "Other"
    clinical.loc[others, ["OS_time", "PFS_time"]] *= 3
    alterations.loc[others] = alterations.loc[others].where(alterations.loc[others].isna(), 1.0)
    again, far = parts(cohort.replace(clinical=clinical, alterations=alterations))
    assert again.patients.equals(train.patients)
    assert again.schema == train.schema == far.schema
    pd.testing.assert_frame_equal(again.clinical, train.clinical)
    assert (far.clinical["SEX"] == "Other").all()  # a level that training patients lack is kept
    assert list(far.clinical["SEX"].cat.categories) == ["Female", "Male", "Other"]


def test_ranges_levels_and_panel_are_those_of_train(cohort: Cohort) -> None:
    train, holdout = parts(cohort)
    assert train.schema == holdout.schema
    for name in ("HEMOGLOBIN", "LDH", "OS_time"):
        column = train.schema.columns[name]
        assert (column.low, column.high) == (train.clinical[name].min(), train.clinical[name].max())
    assert (train.schema.columns["AGE"].low, train.schema.columns["AGE"].high) == (0, 120)  # declared
    assert (train.alterations.sum() >= 5).all()
    assert train.schema.notes == ()  # the notes of the raw cohort name patients


def test_an_event_too_rare_in_train_leaves_both_sides(cohort: Cohort) -> None:
    counts = parts(cohort)[0].alterations.sum()
    least = int(counts.min()) + 1
    rare = [name for name in counts.index if counts[name] < least]
    train, holdout = split(cohort, 0.6, "CENTRE", {"recurrent": {"min_carriers": least}}, stream(1, "split"))
    for side in (train, holdout):
        assert not set(rare) & {*side.alterations, *side.mutations["gene"]}
    for name in rare:
        assert train.schema.excluded[name] == f"{int(counts[name])} carriers in train, fewer than {least}"


def test_a_listed_panel_stays_whole_or_fails(cohort: Cohort) -> None:
    train, _ = split(cohort, 0.6, None, ["TP53", "NPM1", "FLT3", "DNMT3A"], stream(1, "split"))
    assert set(train.schema.genes) == {"TP53", "NPM1", "FLT3", "DNMT3A"}
    patients = parts(cohort, stratify=None)[0].patients
    alterations = cohort.alterations.copy()
    alterations.loc[patients, "TP53"] = alterations.loc[patients, "TP53"].where(
        alterations.loc[patients, "TP53"] != 1, 0
    )
    with pytest.raises(InputError, match="no training patient carries TP53"):
        split(cohort.replace(alterations=alterations), 0.6, None, ["TP53", "NPM1"], stream(1, "split"))


def test_a_column_constant_in_train_leaves_with_what_is_derived_from_it(cohort: Cohort) -> None:
    train, _ = parts(cohort)
    clinical = cohort.clinical.copy()
    clinical["LDH"] = np.where(clinical.index.isin(train.patients), np.nan, 300.0)
    columns = {**cohort.schema.columns}
    columns["LDH_KNOWN"] = replace(
        columns["SEX"], categories=("No", "Yes"), derived="present(LDH)", declared=("derived",)
    )
    clinical["LDH_KNOWN"] = pd.Categorical(np.where(clinical["LDH"].notna(), "Yes", "No"))
    schema = cohort.schema.with_columns(columns)
    found = parts(replace(cohort, schema=schema, clinical=clinical[list(columns)]))[0].schema
    assert found.excluded["LDH"] == "no value recorded in train"
    assert found.excluded["LDH_KNOWN"] == "derived from LDH, which left"


def test_winsorising_is_learned_from_train_and_applied_to_train_alone(cohort: Cohort) -> None:
    plain, other = parts(cohort)
    train, holdout = parts(cohort, winsorise={"LDH": [0.1, 0.9]})
    low, high = plain.clinical["LDH"].quantile([0.1, 0.9])
    pd.testing.assert_series_equal(train.clinical["LDH"], plain.clinical["LDH"].clip(low, high))
    pd.testing.assert_series_equal(holdout.clinical["LDH"], other.clinical["LDH"])
    assert (train.schema.columns["LDH"].low, train.schema.columns["LDH"].high) == (low, high)
    assert train.schema.notes[0].startswith("LDH: winsorised in train to")


def test_a_converted_column_keeps_its_grain(tmp_path) -> None:
    declared = {"HEMOGLOBIN": {"convert": {"from": "g/dL", "to": "mmol/L"}}}
    converted = ingest("mine", {**tables(tmp_path), "columns": declared})
    train, _ = parts(converted, stratify=None)
    assert train.schema.columns["HEMOGLOBIN"].grain == pytest.approx(0.06206, rel=1e-3)


def test_simulated_cohorts_are_split_too() -> None:
    whole = small_cohort(300)
    train, holdout = split(whole, 0.6, None, PANEL, stream(1, "split"))
    assert (len(train), len(holdout)) == (180, 120)


def test_mistakes_are_told(cohort: Cohort) -> None:
    few = cohort.take(range(2 * LEAST_PATIENTS - 1))
    with pytest.raises(InputError, match=r"39 patients give 23 to train and 16 to holdout; the split needs 20"):
        parts(few, stratify=None)
    with pytest.raises(InputError, match="stratify: there is no column CENTER; did you mean 'CENTRE'"):
        parts(cohort, stratify="CENTER")
    with pytest.raises(InputError, match="train_fraction is 1"):
        parts(cohort, fraction=1)
    clinical = cohort.clinical.copy()
    clinical["OS_event"] = 0.0
    clinical.iloc[: LEAST_OF_CLASS - 1, clinical.columns.get_loc("OS_event")] = 1.0
    with pytest.raises(InputError, match="4 patients have an event of OS; the split needs 5"):
        parts(replace(cohort, clinical=clinical))
    clinical["OS_event"] = 1 - clinical["OS_event"]
    with pytest.raises(InputError, match="4 patients have no event of OS"):
        parts(replace(cohort, clinical=clinical))


def test_a_listed_panel_is_declared_and_a_recurrent_one_is_not():
    cohort = small_cohort(n=500, seed=3)
    for panel, declared in ((list(cohort.schema.genes), ("panel",)), ({"recurrent": {"min_carriers": 5}}, ())):
        train, holdout = split(cohort, 0.6, None, panel, stream(1, "split"))
        assert train.schema.declared == holdout.schema.declared == declared
