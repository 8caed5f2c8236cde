"""The whole cohort in one MuData file: clinical record, alterations and expression of the same patients."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.files import replacing
from haemosynth.modalities.quantitative import Quantities

if TYPE_CHECKING:
    from mudata import MuData


def collect_annotated(cohort: Cohort) -> dict[str, Any]:
    """The further modalities that are an AnnData with one row per patient, by the name that MuData gives them."""
    return {part.table: part.data.copy() for part in cohort.parts.values() if isinstance(part, Quantities)}


def convert_to_mudata(cohort: Cohort) -> MuData:
    """The cohort as MuData: obs is the clinical record of all patients; tables of alterations and of what is measured.

    Every patient is in obs and in `alterations` (0, 1, NaN for unknown); a table of what is measured holds those alone
    who have it.
    """
    import anndata
    import mudata

    events = cohort.alterations if cohort.alterations is not None else pd.DataFrame(index=cohort.patients)
    kinds = pd.DataFrame({"kind": list(cohort.schema.alterations.values())}, index=list(events.columns), dtype=object)
    own = pd.DataFrame(index=cohort.patients.rename(None))
    # First, since it has all patients: the whole keeps their order.
    parts = {"alterations": anndata.AnnData(events.to_numpy(dtype=np.float32), own, kinds)}
    parts |= collect_annotated(cohort)
    with mudata.set_options(pull_on_update=False):
        whole = mudata.MuData(parts)
    record = cohort.clinical.reindex(whole.obs_names)
    record.columns = [name.replace("/", "_") for name in record.columns]  # a key of HDF5 has no slash
    whole.obs = record.rename_axis(None)
    whole.uns["cohort"] = cohort.schema.cohort
    return whole


def write_mudata(cohort: Cohort, path: str | Path) -> None:
    """Write the cohort as h5mu."""
    with replacing(path) as temporary:
        convert_to_mudata(cohort).write_h5mu(temporary, compression="gzip")
