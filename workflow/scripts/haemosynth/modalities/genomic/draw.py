"""Drawing alterations and mutations from a fitted generator, given clinical records or before them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from haemosynth.core.cohort import bare, matrix_of, read_clinical
from haemosynth.core.files import read_table
from haemosynth.core.schema import Schema, read_schema
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities import joint_table


def draw(
    algorithm: ModuleType, model: Fitted, schema: Path, given: Sequence[Path], patients: int, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """The tables `alterations` and `mutations` of patients whose record is `given`, or of patients without one.

    Args:
        schema: the file of the training patients' schema. given: the file of clinical records, or none.
    """
    cohort = read_clinical(given[0], schema) if given else bare(Schema(read_schema(schema).cohort, {}), patients)
    if getattr(algorithm, "TAKES_UP", False):  # alterations that were drawn together with the record
        table = read_table(given[0]).set_index("patient_id").loc[cohort.patients]
        cohort = joint_table.take_up(cohort, table, model.description["alterations"])
    drawn = algorithm.sample(model, cohort, rng)
    return {"alterations": matrix_of(drawn.alterations, drawn.sequenced), "mutations": drawn.mutations}
