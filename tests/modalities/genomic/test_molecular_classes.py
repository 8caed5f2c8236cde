"""Molecular classes: who belongs to which, and what is unknown."""

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.cohort import Cohort
from haemosynth.core.schema import Schema
from haemosynth.modalities.genomic.molecular_classes import (
    HIERARCHIES,
    LEAST,
    OTHER,
    classify_patients,
    find_molecular_classes,
)


def cohort(**events):
    table = pd.DataFrame(events, dtype=float)
    table.index = pd.Index([f"P{i}" for i in range(len(table))], name="patient_id")
    return Cohort.of(
        Schema("c", {}, alterations=dict.fromkeys(events, "gene")),
        pd.DataFrame(index=table.index),
        alterations=table,
        sequenced=pd.Series(True, index=table.index),
        mutations=pd.DataFrame(columns=["patient_id"]),
    )


def test_the_first_class_of_the_order_decides_and_unknown_is_not_other():
    found = classify_patients(
        cohort(**{"t(4;14)": [1, 0, 0, np.nan, np.nan], "hyperdiploidy": [1, 1, 0, 0, 1]}),
        {"t(4;14)": ["t(4;14)"], "hyperdiploid": ["hyperdiploidy"]},
    )
    assert found.astype(object).where(found.notna(), None).tolist() == [
        "t(4;14)", "hyperdiploid", OTHER, None, "hyperdiploid",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("event", "disease", "name"),
    [
        ("t(14;16)", "myeloma", "MAF translocation"),
        ("CYTO_T_8_21", "acute myeloid leukaemia", "t(8;21)"),
        ("RUNX1::RUNX1T1", "acute myeloid leukaemia", "t(8;21)"),
        ("CYTO_INV16_T16_16", "acute myeloid leukaemia", "inv(16)"),
        ("KMT2A::MLLT3", "acute myeloid leukaemia", "KMT2A fusion"),
        ("CYTO_COMPLEX", "acute myeloid leukaemia", "TP53 or complex"),
    ],
)
def test_events_are_known_however_a_cohort_spells_them(event, disease, name):
    second = "NPM1" if disease == "acute myeloid leukaemia" else "hyperdiploidy"
    half = np.repeat([1.0, 0.0], LEAST)
    found = find_molecular_classes(cohort(**{event: half, second: 1 - half}))
    assert found[name] == [event]
    assert name in HIERARCHIES[disease]


def test_a_tandem_duplication_is_no_fusion_and_one_class_is_none():
    half = np.repeat([1.0, 0.0], LEAST)
    assert find_molecular_classes(cohort(KMT2A_PTD=half, NPM1=1 - half)) == {}


def test_small_classes_have_no_name():
    train = small_cohort(300)
    found = find_molecular_classes(train)
    sizes = classify_patients(train, found).value_counts()
    assert len(found) > 1
    assert all(sizes[name] >= LEAST for name in found)
