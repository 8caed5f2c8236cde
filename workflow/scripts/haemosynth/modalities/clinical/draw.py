"""Drawing clinical records from a fitted generator, perhaps given the alterations of patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

from haemosynth.core.cohort import read_alterations
from haemosynth.core.schema import read_schema
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.clinical import given as given_alterations
from haemosynth.modalities.clinical import joint


def draw(
    algorithm: ModuleType, model: Fitted, schema: Path, given: Sequence[Path], patients: int, rng: np.random.Generator
) -> dict[str, pd.DataFrame]:
    """The table `clinical` of a number of patients, or of those whose alterations and mutations are `given`.

    Args:
        schema: the file of the training patients' schema. given: the files of alterations and mutations, or none.

    A record that was learned together with alterations has them as further columns, see `joint`.
    """
    known = read_schema(schema)
    if given:
        table = given_alterations.sample(algorithm, model, known, read_alterations(schema, *given), rng)
    elif "joint" in model.description:
        table = joint.sample(algorithm, model, known, patients, rng)
    else:
        table = algorithm.sample(model, known, patients, rng)
    return {"clinical": table.rename_axis("patient_id").reset_index()}
