"""The folder of a cohort: its record, and a file for each further modality."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from haemosynth.core.cohort import Cohort, read_record, write_record
from haemosynth.modalities.registry import FURTHER, MODALITIES, OF_RECORD, load


def read_cohort(folder: str | Path, modalities: Collection[str] = ()) -> Cohort:
    """Read a cohort folder: record and alterations, and of the further modalities those that are named.

    Raises:
        InputError: a file is missing, a patient occurs twice, or tables disagree about the patients.
    """
    cohort = read_record(folder)
    for name in FURTHER:
        if name in modalities:
            cohort = cohort.replace(**{name: load(name, "part").read(Path(folder) / MODALITIES[name].files[0])})
    return cohort


def write_cohort(cohort: Cohort, folder: str | Path, modalities: Collection[str] = ()) -> None:
    """Write record and alterations; the latter also where the cohort lacks them and `modalities` names them."""
    write_record(cohort, folder, altered=bool({*OF_RECORD[1:]} & {*modalities}))
