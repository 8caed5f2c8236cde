"""A cohort of one clinical column passes every privacy stage: what cannot be attacked says why."""

import io
import math
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.schema import Column, Schema
from haemosynth.validate import load
from haemosynth.validate.stage import Comparison


def patients(seed: int, number: int, letter: str) -> Cohort:
    """Sex and survival, and nothing else."""
    rng = np.random.default_rng(seed)
    columns = {
        "SEX": Column("binary", categories=("F", "M")),
        "OS_time": Column("time", group="outcome"),
        "OS_event": Column("event", group="outcome"),
    }
    table = pd.DataFrame(
        {
            "SEX": rng.choice(["F", "M"], number),
            "OS_time": rng.exponential(30, number).round(1) + 0.1,
            "OS_event": rng.integers(0, 2, number).astype(float),
        },
        index=pd.Index([f"{letter}{i:04d}" for i in range(number)], name="patient_id"),
    )
    schema = Schema("one", columns, endpoints=("OS",))
    return Cohort(schema, set_types(table, schema))


@pytest.mark.parametrize(
    ("stage", "settings"),
    [
        ("inference", {}),
        ("singling_out", {}),
        ("linkability", {}),
        ("rare_patients", {}),
        ("memory", {}),
        ("distance", {}),
        ("disclosure", {}),
        ("audit", {"trials": 2}),
    ],
)
def test_one_column_and_survival_go_through(stage: str, settings: dict) -> None:
    module = load(stage)
    settings = {**module.DEFAULTS, **{key: value for key, value in settings.items() if key in module.DEFAULTS}}
    settings["released"] = None
    holdout = patients(2, 80, "H")
    comparison = Comparison(
        real=holdout,
        candidate=patients(3, 120, "S"),
        train=patients(1, 120, "T"),
        control=holdout.take(np.arange(40)),
        pool=patients(4, 480, "S"),
    )
    if hasattr(module, "prepare"):
        comparison = replace(comparison, prepared=module.prepare(comparison, settings, np.random.default_rng(0)))
    values = module.measure(comparison, settings, np.random.default_rng(1))
    assert {value.metric for value in values} <= {metric.name for metric in module.METRICS}
    for value in values:
        assert value.reason or not math.isnan(value.value), value
    if stage == "inference":  # whose one attribute leaves nothing to know it by
        assert all(math.isnan(v.value) for v in values if v.metric.startswith("inference_"))
    table = pd.DataFrame([asdict(value) for value in values])
    table = table.assign(
        low=table["value"], high=table["value"], status=np.where(table["value"].isna(), "not_applicable", "ok")
    )
    module.figure(comparison, table, settings, "one column").savefig(io.BytesIO(), format="svg")
