"""Three patients, written out in full."""

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.schema import Column, Schema


def tiny(genomic=True):
    schema = Schema(
        cohort="tiny",
        columns={
            "AGE": Column("integer", "demographic", unit="years", low=18, high=90, grain=1.0),
            "SEX": Column("binary", "demographic", categories=("Female", "Male")),
            "OS_time": Column("time", "outcome", unit="months"),
            "OS_event": Column("event", "outcome"),
        },
        endpoints=("OS",),
        alterations={"TP53": "gene", "del(17p)": "cytogenetic"} if genomic else {},
        excluded={"MRN": "identifier"},
    )
    ids = pd.Index(["P1", "P2", "P3"], name="patient_id")
    raw = pd.DataFrame(
        {"AGE": [60, np.nan, 45], "SEX": ["Male", None, "Female"], "OS_time": [1.5, 2, 3], "OS_event": [1, 0, np.nan]},
        index=ids,
    )
    if not genomic:
        return Cohort(schema, set_types(raw, schema))
    mutations = pd.DataFrame(
        {"patient_id": ["P1"], "gene": ["TP53"], "chromosome": ["17"], "variant_class": ["Missense_Mutation"],
         "hgvsp": ["p.R175H"], "alt_count": [30.0], "ref_count": [70.0], "vaf": [0.3], "copy_number": [np.nan]}
    )  # fmt: skip
    return Cohort.of(
        schema,
        set_types(raw, schema),
        alterations=pd.DataFrame({"TP53": [1.0, np.nan, 0.0], "del(17p)": [0.0, 1.0, np.nan]}, index=ids),
        sequenced=pd.Series([True, False, True], index=ids),
        mutations=mutations,
    )
