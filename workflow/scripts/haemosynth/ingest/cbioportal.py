"""cBioPortal study folders: patient and sample files with commented headers, mutations as MAF, case lists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from haemosynth.errors import InputError
from haemosynth.ingest.mutations import read_maf
from haemosynth.ingest.source import Raw, Table, keyed, read, rows_of

# What a meta file says of a data file -> the names it has where no meta file tells.
DATA = {
    ("datatype", "PATIENT_ATTRIBUTES"): ("data_clinical_patient.txt", "data_clinical.txt"),
    ("datatype", "SAMPLE_ATTRIBUTES"): ("data_clinical_sample.txt",),
    ("genetic_alteration_type", "MUTATION_EXTENDED"): (
        "data_mutations.txt",
        "data_mutations_extended.txt",
        "data_mutations.maf",
    ),
}


def _files(folder: Path) -> tuple[Path, Path | None, Path | None, Path | None]:
    """Patients, samples, mutations and the list of sequenced samples; None where the folder has none."""
    if folder.is_file():
        raise InputError(f"{folder}: a file, not a folder; unpack an archive first, none is read")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a cBioPortal study")
    found: list[Path | None] = []
    meta = [(path, _meta(path)) for path in sorted(folder.glob("meta_*.txt"))]
    for (key, value), defaults in DATA.items():
        named = [
            (path, lines["data_filename"])
            for path, lines in meta
            if lines.get(key) == value and "data_filename" in lines
        ]
        if named and Path(named[0][1]).name != named[0][1]:
            raise InputError(f"{named[0][0]}: data_filename {named[0][1]!r} is not the name of a file in {folder}")
        if named and not (folder / named[0][1]).is_file():
            raise InputError(f"{named[0][0]}: data_filename names {named[0][1]}, which is not in {folder}")
        names = [named[0][1]] if named else [name for name in defaults if (folder / name).is_file()]
        found.append(folder / names[0] if names else None)
    patients, samples, mutations = found
    if patients is None:
        raise InputError(f"{folder}: no file data_clinical_patient.txt; expected a cBioPortal study")
    cases = folder / "case_lists" / "cases_sequenced.txt"
    return patients, samples, mutations, cases if cases.is_file() else None


def _meta(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it again as UTF-8") from None
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def read_source(source: Mapping[str, Any], genomic: bool | None) -> Raw:
    """Read a study folder. Of several samples of a patient the first one of the sample file is kept.

    Args:
        genomic: whether mutations are read; None reads them where there are some.

    Raises:
        InputError: a file is missing or damaged, or files disagree about patients.
    """
    patient_file, sample_file, mutation_file, case_file = _files(Path(source["path"]))
    notes: list[str] = []
    table = read(patient_file, quoted=False)
    id_column = _id(table, str(source.get("id", "PATIENT_ID")))
    clinical = keyed(table, id_column)
    columns = dict.fromkeys(map(str, clinical.columns), patient_file)
    rows = {patient_file: rows_of(table, id_column)}
    hidden: dict[str, str] = {}
    patient_of = {patient: patient for patient in clinical.index}
    kept = set(clinical.index)
    if sample_file is not None:
        samples, patient_of, sample_rows, hidden = _samples(
            read(sample_file, quoted=False), clinical.index, notes, id_column
        )
        kept = set(samples.pop("SAMPLE_ID").dropna())
        for name in [name for name in samples.columns if name in clinical]:
            both = clinical[name].notna() & samples[name].notna() & (clinical[name] != samples[name])
            if both.any():
                patient = both.index[int(both.argmax())]
                raise InputError(
                    f"{sample_file}, row {sample_rows[patient]}, patient {patient}: column {name} is "
                    f"{samples[name][patient]!r} but {clinical[name][patient]!r} in {patient_file.name}"
                )
            clinical[name] = clinical[name].where(clinical[name].notna(), samples.pop(name))
        columns |= dict.fromkeys(map(str, samples.columns), sample_file)
        rows[sample_file] = sample_rows
        clinical = pd.concat([clinical, samples], axis=1)
    mutations, sequenced = None, None
    if mutation_file is not None and genomic is not False:
        mutations, thinned = read_maf(read(mutation_file, quoted=False), patient_of, frozenset(kept))
        notes += thinned
        if case_file is not None:
            listed = {sample for sample in _meta(case_file).get("case_list_ids", "").split() if sample in kept}
            patients = {patient_of[sample] for sample in listed}
            sequenced = pd.Series(clinical.index.isin(list(patients)), index=clinical.index)
    return Raw(clinical, columns, rows, mutations, None, sequenced, hidden, tuple(notes))


def _id(table: Table, name: str) -> str:
    found = table.column(name)
    if found is None:
        raise InputError(f"{table.path}: column {name} is missing; expected a clinical file of cBioPortal")
    return found


def _samples(
    table: Table, patients: pd.Index, notes: list[str], id_column: str
) -> tuple[pd.DataFrame, dict[str, str], pd.Series, dict[str, str]]:
    """One row per patient of the sample file, and the patient of every sample."""
    patient, sample = _id(table, id_column), _id(table, "SAMPLE_ID")
    frame = table.frame
    for name in (patient, sample):
        if frame[name].isna().any():
            raise InputError(f"{table.row(int(frame[name].isna().argmax()))}: column {name} is empty")
    if frame[sample].duplicated().any():
        position = int(frame[sample].duplicated().argmax())
        raise InputError(f"{table.row(position)}: sample {frame[sample][position]} stands more than once")
    unknown = ~frame[patient].isin(patients)
    if unknown.any():
        position = int(unknown.argmax())
        raise InputError(f"{table.row(position)}: patient {frame[patient][position]!r} is not in the patient file")
    first = frame[~frame[patient].duplicated()]
    several = int(frame[patient].duplicated(keep=False).sum())
    if several:
        notes.append(
            f"samples: {first[patient].isin(frame.loc[frame[patient].duplicated(), patient]).sum()} patients have "
            f"several samples ({several}); the first of each is kept"
        )
    lacking = len(patients) - len(first)
    if lacking:
        notes.append(f"samples: {lacking} patients have no sample; what samples tell is missing for them")
    rows = pd.Series(table.rows[first.index], index=first[patient]).reindex(patients)
    one = (
        first.set_index(pd.Index(first[patient], name="patient_id"))
        .drop(columns=patient)
        .rename(columns={sample: "SAMPLE_ID"})
    )
    one = one.reindex(patients)
    one = one.astype("object").mask(one.isna(), None)
    of = dict(zip(frame[sample], frame[patient], strict=True))
    return one, of, rows, {sample: "identifier"}
