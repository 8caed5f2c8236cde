"""Members of enlarged classes: copies of them are found, unseen ones pass, and the gate judges each class."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixtures_small import small_cohort

from haemosynth.core.streams import stream
from haemosynth.generate.balance import fill_quotas, read_quotas, rename_patients
from haemosynth.privacy.release_check import OF_CLASSES, gate, refusal
from haemosynth.privacy.stages import enlarged_classes as stage
from haemosynth.validate.resampling import evaluate, prepare_comparison
from haemosynth.validate.stage import Comparison

QUOTAS = {"t(4;14)": 0.4}
SETTINGS = stage.DEFAULTS | {"balance": QUOTAS, "exchanges": 200, "repeats": 1, "replicates": 4}


def streams(*names):
    return stream(1, "classes test", *names)


@pytest.fixture(scope="module")
def sides():
    cohort = small_cohort(900, 5)
    return cohort.take(np.arange(500)), cohort.take(np.arange(500, 900))


def found(sides, candidate, balance=QUOTAS):
    train, real = sides
    comparison = Comparison(real=real, candidate=candidate, train=train, control=real)
    settings = SETTINGS | {"balance": balance}
    comparison = prepare_comparison(stage, comparison, settings, streams)
    values, _ = evaluate(stage, comparison, settings, streams)
    stage.figure(comparison, values, settings, "test")
    return values


def judged(values):
    table = values.assign(cohort="c", generator="g", seed=1, stage="enlarged_classes")
    checks = gate(table, {}, stages=["enlarged_classes"], balanced=True)
    return checks.set_index("check")


@pytest.fixture(scope="module")
def unseen(sides):
    return found(sides, fill_quotas(small_cohort(3000, 9), read_quotas(QUOTAS, sides[0]), 500, 500))


def test_a_release_that_remembers_nobody_passes(unseen):
    checks = judged(unseen)
    assert list(checks.index) == list(OF_CLASSES)
    assert checks["passed"].all()


def test_copies_of_the_members_stop_the_release(sides):
    """Everybody else in the release is unseen: an average over all patients would see a tenth of it."""
    train, _ = sides
    made = fill_quotas(small_cohort(3000, 9), read_quotas(QUOTAS, train), 500, 500)
    own = train.take(np.flatnonzero(train.alterations["t(4;14)"] == 1))
    order = np.flatnonzero(made.alterations["t(4;14)"] != 1)
    rest = made.take(order)
    copies = rename_patients(own)
    copies = replace(copies, clinical=copies.clinical.set_axis([f"C{i}" for i in range(len(copies))]))
    leaked = rest.replace(
        clinical=pd.concat([rest.clinical, copies.clinical]),
        alterations=pd.concat([rest.alterations, own.alterations.set_axis(copies.clinical.index)]),
        sequenced=pd.concat([rest.sequenced, own.sequenced.set_axis(copies.clinical.index)]),
        mutations=rest.mutations,
    )
    checks = judged(found(sides, leaked))
    assert not checks.loc["class_exact_matches", "passed"]
    assert not checks.loc["class_linked_copies", "passed"]
    assert "t(4;14)" in checks.loc["class_exact_matches", "meaning"]


def test_the_worst_class_decides(unseen):
    """A class that chance explains does not hide another that it does not."""
    rows = [("class_disclosure_auc", "A", 0.8), ("enlarged_classes_chance", "class_disclosure_auc~A", 0.85),
            ("class_disclosure_auc", "B", 0.7), ("enlarged_classes_chance", "class_disclosure_auc~B", 0.6)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["metric", "target", "value"]).assign(
        modality="clinical", low=np.nan, high=np.nan, status="ok", reason=""
    )
    check = judged(table).loc["class_disclosure_auc"]
    assert not check["passed"]
    assert check["value"] == 0.7
    assert "(B)" in check["meaning"]
    line = refusal(gate(table.assign(cohort="c", generator="g", seed=1, stage="enlarged_classes"), {},
                        stages=["enlarged_classes"], balanced=True).iloc[:1])  # fmt: skip
    assert "class_disclosure_auc of B 0.7 is above 0.65. Ask for fewer patients of this class" in line


def test_a_study_without_quotas_is_not_asked(unseen, sides):
    table = unseen.assign(cohort="c", generator="g", seed=1, stage="enlarged_classes")
    assert not set(gate(table, {})["check"]) & set(OF_CLASSES)
    empty = found(sides, sides[0], balance=None)
    assert (empty["status"] == "not_applicable").all()
    missing = judged(unseen.iloc[:0])
    assert not missing["passed"].any()


def test_a_class_of_hardly_anybody_is_not_counted(sides):
    train, _ = sides
    few = next(n for n in train.alterations if 1 <= (train.alterations[n] == 1).sum() < 5)
    declared = {"by": "A. Person", "reason": "teaching"}
    values = found(sides, train, balance={few: 0.2, "declared": declared})
    assert (values["status"] == "not_applicable").all()
    assert not judged(values)["passed"].any()
