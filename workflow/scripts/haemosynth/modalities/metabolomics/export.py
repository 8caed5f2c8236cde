"""Synthetic measurements in a release: a table that people read, and a line of the data card."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.files import write_table
from haemosynth.modalities.metabolomics.measured import HIGH, LOW, format_texts, limits_of, values_of
from haemosynth.modalities.metabolomics.part import find_measured
from haemosynth.privacy.tiers import stamp_name

NAMED = "metabolomics.tsv"
SIGNS = {LOW: "<", 0: "", HIGH: ">"}


def export(cohort: Cohort, folder: Path, tier: str = "open", balanced: bool = False) -> None:
    """Write `tables/metabolomics.tsv`: units in the header, values beyond a limit of detection as <0.6.

    tier: to whom the release may go; balanced: whether the cohort has quotas. The file's name says both.
    """
    data = find_measured(cohort)
    if data is not None:
        write_table(as_text(data), folder / "tables" / stamp_name(NAMED, tier, balanced))


def as_text(data: object) -> pd.DataFrame:
    """One row per patient: `patient_id`, and a column `name (unit)` for each analyte."""
    values, sides = values_of(data), limits_of(data)  # type: ignore[arg-type]
    names, units = data.var_names, format_texts(data, "unit")  # type: ignore[attr-defined,arg-type]
    columns = {"patient_id": list(map(str, data.obs_names))}  # type: ignore[attr-defined]
    for j, (name, unit) in enumerate(zip(names, units, strict=True)):
        columns[f"{name} ({unit})" if unit else str(name)] = [
            "" if np.isnan(value) else f"{SIGNS[int(side)]}{value:.12g}"
            for value, side in zip(values[:, j], sides[:, j], strict=True)
        ]
    return pd.DataFrame(columns)


def describe(cohort: Cohort, tier: str = "open", balanced: bool = False) -> list[str]:
    """The line of the data card, where the cohort has measurements."""
    data = find_measured(cohort)
    if data is None:
        return []
    patients, analytes = data.shape
    return [
        f"- measurements (metabolites, proteins, cells): {analytes} analytes of {patients} patients; the others have "
        f"none. {np.isnan(values_of(data)).mean():.0%} of their values are missing, "
        f"{(limits_of(data) != 0).mean():.0%} are at a limit of detection "
        f"(`tables/{stamp_name(NAMED, tier, balanced)}` writes <0.6)."
    ]
