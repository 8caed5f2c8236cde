"""cBioPortal study folders: clinical files with commented headers, mutations, fusions, copy number, gene panels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from haemosynth.core.errors import InputError, Mistakes
from haemosynth.core.panel import read_min_carriers
from haemosynth.modalities.clinical.ingest import PANEL
from haemosynth.modalities.genomic.ingest import events
from haemosynth.modalities.genomic.ingest.mutations import make_account, read_maf, read_yes_no
from haemosynth.reading.genes import approve
from haemosynth.reading.numbers import numbers
from haemosynth.reading.source import FileRead, Raw, Table, find_rows, read, set_patients

# What a meta file says of a data file, and the names it has where there is no meta file.
DATA: dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = {
    "patients": ((("datatype", "PATIENT_ATTRIBUTES"),), ("data_clinical_patient.txt", "data_clinical.txt")),
    "samples": ((("datatype", "SAMPLE_ATTRIBUTES"),), ("data_clinical_sample.txt",)),
    "mutations": (
        (("genetic_alteration_type", "MUTATION_EXTENDED"),),
        ("data_mutations.txt", "data_mutations_extended.txt", "data_mutations.maf"),
    ),
    "fusions": ((("genetic_alteration_type", "STRUCTURAL_VARIANT"),), ("data_sv.txt",)),
    "copy_number": (
        (("genetic_alteration_type", "COPY_NUMBER_ALTERATION"), ("datatype", "DISCRETE")),
        ("data_cna.txt", "data_CNA.txt"),
    ),
    "panels": ((("datatype", "GENE_PANEL_MATRIX"),), ("data_gene_panel_matrix.txt",)),
}
# Case lists: the end of their stable id, their category, and the column of the panel matrix that says the same.
PROFILES = {
    "mutations": ("sequenced", "all_cases_with_mutation_data", ("mutations",)),
    "fusions": ("sv", "all_cases_with_sv_data", ("structural_variants", "sv", "fusion")),
}
WHOLE = frozenset({"wes", "wxs", "wgs", "wxs/wgs", "wes/wgs"})  # panels that leave no gene out
# Columns of the sample file that say which sample of a patient is the earlier one.
TIMES = (
    "SAMPLE_COLLECTION_DAYS", "DAYS_TO_SAMPLE_COLLECTION", "DAYS_TO_COLLECTION", "COLLECTION_DAYS", "SAMPLE_DAYS",
    "DAYS_FROM_DIAGNOSIS", "MONTHS_FROM_DIAGNOSIS", "SAMPLE_COLLECTION_MONTHS", "COLLECTION_MONTHS",
    "AGE_AT_COLLECTION", "AGE_AT_SAMPLE_COLLECTION", "AGE_AT_PROCUREMENT", "AGE_AT_SPECIMEN_ACQUISITION",
    "AGE_AT_SEQ_REPORT", "SAMPLE_COLLECTION_DATE", "COLLECTION_DATE", "SAMPLE_DATE", "DATE_OF_SAMPLE",
)  # fmt: skip
OTHER_SAMPLE = "another sample of the patient"
CHOICES = ("sequenced", "earliest", "first")
NAMES_OF_PANELS = ("data_gene_panel", "gene_panel")


@dataclass
class Folder:
    """The files of a study: those that are read, by what they hold, and what the meta files say of all of them."""

    path: Path
    files: dict[str, Path]
    meta: dict[str, dict[str, str]]
    used: set[Path] = field(default_factory=set)
    mistakes: Mistakes = field(default_factory=Mistakes)

    def table(self, what: str) -> Table | None:
        """A file as a table; None where the study has none, or where it is damaged, which is kept as a mistake."""
        if what not in self.files:
            return None
        self.used.add(self.files[what])
        with self.mistakes.keep():
            return read(self.files[what], quoted=False)
        return None


def _folder(path: Path) -> Folder:
    if path.is_file():
        raise InputError(f"{path}: a file, not a folder; unpack an archive first, none is read")
    if not path.is_dir():
        raise InputError(f"{path}: no such folder; expected a cBioPortal study")
    meta = [(file, _meta(file)) for file in sorted(path.glob("meta_*.txt"))]
    folder = Folder(path, {}, {lines["data_filename"]: lines for _, lines in meta if "data_filename" in lines})
    for what, (marks, defaults) in DATA.items():
        named = [
            (file, lines["data_filename"])
            for file, lines in meta
            if "data_filename" in lines and all(lines.get(key, "").startswith(value) for key, value in marks)
        ]
        if named and Path(named[0][1]).name != named[0][1]:
            raise InputError(f"{named[0][0]}: data_filename {named[0][1]!r} is not the name of a file in {path}")
        if named and not (path / named[0][1]).is_file():
            raise InputError(f"{named[0][0]}: data_filename names {named[0][1]}, which is not in {path}")
        names = [named[0][1]] if named else [n for n in defaults if (path / n).is_file() and n not in folder.meta]
        if names:
            folder.files[what] = path / names[0]
    return folder


def _meta(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; save it again as UTF-8") from None
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def read_source(source: Mapping[str, Any], genomic: bool | None) -> Raw:
    """Read a study folder, one sample of each patient: that which was sequenced, then the earliest (`sample`).

    Mistakes in other files than that of the patients are kept in the result.

    Args:
        genomic: whether mutations, fusions and copy number are read; None reads them where there are some.

    Raises:
        InputError: a file is missing, or the patients cannot be read; it holds the mistakes of the other files too.
    """
    folder = _folder(Path(source["path"]))
    if "patients" not in folder.files:
        raise InputError(f"{folder.path}: no file data_clinical_patient.txt; expected a cBioPortal study")
    mistakes = folder.mistakes
    notes: list[str] = []
    readings: list[FileRead] = []
    table, clinical = folder.table("patients"), pd.DataFrame()
    if table is not None:
        with mistakes.keep():
            id_column = _id(table, str(source.get("id", "PATIENT_ID")))
            clinical = set_patients(table, id_column)
    if table is None or mistakes.lines:
        for what in DATA if genomic is not False else ("samples",):
            folder.table(what)
    if table is None or clinical.index.name is None:
        mistakes.tell()
    assert table is not None
    readings.append(table.reading)
    columns = dict.fromkeys(map(str, clinical.columns), table.path)
    rows = {table.path: find_rows(table, id_column)}
    hidden: dict[str, str] = {}
    patient_of = {patient: patient for patient in clinical.index}
    kept = set(clinical.index)
    maf = folder.table("mutations") if genomic is not False else None
    panels = folder.table("panels") if genomic is not False else None
    profiles = {what: _profile(folder, what, panels) for what in PROFILES} if genomic is not False else {}
    linked = "samples" not in folder.files  # else nobody knows whose mutations they are
    if (sample_table := folder.table("samples")) is not None:
        with mistakes.keep():
            sequenced = _find_sequenced(sample_table, profiles.get("mutations"), maf)
            samples, patient_of, sample_rows, hidden = _samples(
                sample_table, clinical.index, notes, id_column, source.get("sample"), sequenced
            )
            kept = set(samples.pop("SAMPLE_ID").dropna())
            others = len(sample_table.frame) - len(kept)
            readings.append(make_account(sample_table, len(kept), {OTHER_SAMPLE: others} if others else {}))
            linked = True
        if linked:
            with mistakes.keep():
                clinical = _join(clinical, samples, table.path, sample_table.path, sample_rows)
                new = [name for name in map(str, samples.columns) if name not in columns]
                columns |= dict.fromkeys(new, sample_table.path)
                rows[sample_table.path] = sample_rows
    raw = Raw(clinical, columns, rows, hidden=hidden, samples=frozenset(patient_of))
    if genomic is not False and linked:
        assayed = Assayed(maf, panels, profiles, patient_of, frozenset(kept))
        raw = _with_genomic(raw, source, folder, assayed, notes, readings)
    notes += _not_read(folder, source)
    return replace(raw, notes=tuple(notes), readings=tuple(readings), mistakes=tuple(mistakes.lines))


def _join(
    clinical: pd.DataFrame, samples: pd.DataFrame, patient_file: Path, sample_file: Path, sample_rows: pd.Series
) -> pd.DataFrame:
    """Patient and sample attributes side by side; a column that both files have must be the same in both."""
    for name in [name for name in samples.columns if name in clinical]:
        both = clinical[name].notna() & samples[name].notna() & (clinical[name] != samples[name])
        if both.any():
            patient = both.index[int(both.argmax())]
            raise InputError(
                f"{sample_file}, row {sample_rows[patient]}, patient {patient}: column {name} is "
                f"{samples[name][patient]!r} but {clinical[name][patient]!r} in {patient_file.name}"
            )
        clinical[name] = clinical[name].where(clinical[name].notna(), samples[name])
    return pd.concat([clinical, samples[[name for name in samples.columns if name not in clinical]]], axis=1)


def _id(table: Table, name: str) -> str:
    found = table.column(name)
    if found is None:
        raise InputError(f"{table.path}: column {name} is missing; expected a clinical file of cBioPortal")
    return found


# samples


def _samples(
    table: Table,
    patients: pd.Index,
    notes: list[str],
    id_column: str,
    choice: Any,
    sequenced: tuple[frozenset[str], str],
) -> tuple[pd.DataFrame, dict[str, str], pd.Series, dict[str, str]]:
    """One row per patient of the sample file, and the patient of every sample."""
    patient, sample = _id(table, id_column), _id(table, "SAMPLE_ID")
    frame = table.frame
    for name in (patient, sample):
        if frame[name].isna().any():
            raise InputError(f"{table.row(int(frame[name].isna().argmax()))}: column {name} is empty")
    if frame[sample].duplicated().any():
        position = int(frame[sample].duplicated().argmax())
        raise InputError(f"{table.row(position)}: sample {frame[sample][position]} occurs more than once")
    unknown = ~frame[patient].isin(patients)
    if unknown.any():
        position = int(unknown.argmax())
        raise InputError(f"{table.row(position)}: patient {frame[patient][position]!r} is not in the patient file")
    order, how = _order(table, sample, choice, sequenced)
    first = frame.loc[order][~frame.loc[order, patient].duplicated()].sort_index()
    several = frame[patient].duplicated(keep=False)
    if several.any():
        owners = frame.loc[several, patient].nunique()
        moved = int((~first.index.isin(frame.index[~frame[patient].duplicated()])).sum())
        notes.append(
            f"samples: {owners} patients have several samples ({int(several.sum())}); taken is {how}; of "
            f"{moved} patients it is not the first of {table.path.name}"
        )
    lacking = len(patients) - len(first)
    if lacking:
        notes.append(f"samples: {lacking} patients have no sample; the columns of the sample file are missing for them")
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


def _order(table: Table, sample: str, choice: Any, sequenced: tuple[frozenset[str], str]) -> tuple[pd.Index, str]:
    """The rows of the sample file, those to be taken first, and by what they are ordered."""
    frame = table.frame
    rank = pd.DataFrame(index=frame.index)
    how = []
    if isinstance(choice, Mapping):
        for name, wanted in choice.items():
            column = _id(table, str(name))
            levels = [str(level) for level in (wanted if isinstance(wanted, list) else [wanted])]
            there = set(frame[column].dropna())
            for level in levels:
                if level not in there:
                    raise InputError(
                        f"{table.path}: column {column} has no value {level!r}, named under `sample`; there are "
                        f"{', '.join(sorted(there)[:12])}"
                    )
            rank[column] = frame[column].map({level: i for i, level in enumerate(levels)}).fillna(len(levels))
            how.append(f"that of {column} {' before '.join(levels)}")
    elif choice not in (None, *CHOICES):
        raise InputError(
            f"sample: {choice!r} is unknown; expected one of {', '.join(CHOICES)}, or a column with the value that is "
            f"taken: {{SAMPLE_TYPE: Diagnosis}}"
        )
    if choice in (None, "sequenced") and sequenced[1]:
        rank["sequenced"] = ~frame[sample].isin(list(sequenced[0]))
        how.append(f"the sequenced one ({sequenced[1]})")
    time = next((found for name in TIMES if (found := table.column(name)) is not None), None)
    if choice != "first" and time is not None:
        when = numbers(frame[time])
        dates = pd.to_datetime(frame[time], errors="coerce", format="ISO8601")
        rank["time"] = when if when.notna().any() else dates
        how.append(f"the earliest by {time}")
    how.append("the first of the file")
    if rank.empty:
        return frame.index, how[-1]
    ordered = rank.sort_values(list(rank.columns), kind="stable", na_position="last").index
    return ordered, ", then ".join(how)


def order_samples(source: Mapping[str, Any]) -> dict[str, str]:
    """The patient of each sample of a study folder, the sample that ingestion takes of a patient before the others.

    Sources of other formats have no samples.

    Raises:
        InputError: the sample file, or one that says which samples were sequenced, cannot be read.
    """
    if source["format"] != "cbioportal":
        return {}
    folder = _folder(Path(source["path"]))
    table, profile, maf = folder.table("samples"), None, None
    if table is not None and "genomic" in (source.get("modalities") or ["genomic"]):
        profile = _profile(folder, "mutations", folder.table("panels"))
        if profile is None and table.column("SEQUENCED") is None:
            maf = folder.table("mutations")
    folder.mistakes.tell()
    if table is None:
        return {}
    patient, sample = _id(table, str(source.get("id", "PATIENT_ID"))), _id(table, "SAMPLE_ID")
    order, _ = _order(table, sample, source.get("sample"), _find_sequenced(table, profile, maf))
    frame = table.frame.loc[order]
    return dict(zip(frame[sample], frame[patient], strict=True))


def _find_sequenced(
    table: Table, profile: tuple[frozenset[str], str] | None, maf: Table | None
) -> tuple[frozenset[str], str]:
    """The samples that were sequenced, and what says so: case list, panel matrix, a column, or else the mutations."""
    if profile is not None:
        return profile
    sample, told = table.column("SAMPLE_ID"), table.column("SEQUENCED")
    if sample and told:
        flags = read_yes_no(table.frame[told]).eq(1)
        return frozenset(table.frame.loc[flags, sample].dropna()), f"by {told}"
    barcode = None if maf is None else maf.column("Tumor_Sample_Barcode")
    if maf is None or barcode is None:
        return frozenset(), ""
    return frozenset(maf.frame[barcode].dropna()), f"that of {maf.path.name}, nothing else says which was"


# who was looked at for what


def _profile(folder: Folder, what: str, panels: Table | None) -> tuple[frozenset[str], str] | None:
    """The samples that a case list, or else the panel matrix, says were examined; None where neither does."""
    ending, category, names = PROFILES[what]
    for path in sorted((folder.path / "case_lists").glob("*.txt")):
        lines = _meta(path)
        if lines.get("stable_id", path.stem).endswith(f"_{ending}") or lines.get("case_list_category") == category:
            folder.used.add(path)
            if not lines.get("case_list_ids", "").split():
                raise InputError(f"{path}: case_list_ids is empty or missing; expected the samples, tabs between them")
            return frozenset(lines["case_list_ids"].split()), f"by {path.name}"
    column = None if panels is None else panels.column(*names)
    if panels is None or column is None:
        return None
    flags = panels.frame[column].notna()
    return frozenset(panels.frame.loc[flags, _id(panels, "SAMPLE_ID")].dropna()), f"by {panels.path.name}"


def _panel_genes(
    folder: Folder, panels: Table, what: str, declared: Mapping[str, Any], of: Mapping[str, str], notes: list[str]
) -> dict[str, frozenset[str]]:
    """The genes of each patient's panel, for patients of whom not all genes were examined."""
    column, sample = panels.column(*PROFILES[what][2]), _id(panels, "SAMPLE_ID")
    if column is None:
        return {}
    of_patient = {
        of[one]: str(panel)
        for one, panel in zip(panels.frame[sample], panels.frame[column], strict=True)
        if one in of and panel is not None
    }
    names = sorted(set(of_patient.values()))
    partial = [name for name in names if name.lower() not in WHOLE and declared.get(name) != "all"]
    if len(names) < 2 or not partial:
        return {}
    genes: dict[str, frozenset[str]] = {}
    known = _panel_files(folder)
    for name in partial:
        listed = declared.get(name, known.get(name))
        if listed is None:
            raise InputError(
                f"{panels.path}: column {column} names the panel {name} ({list(of_patient.values()).count(name)} "
                f"patients), but no file of {folder.path} says which genes it has; put its gene panel file "
                f"(stable_id, gene_list) there, or declare it: `gene_panels: {{{name}: [NPM1, FLT3]}}`, or "
                f"`gene_panels: {{{name}: all}}`"
            )
        genes[name] = frozenset(approve(str(gene)) for gene in listed)
    told = ", ".join(
        f"{name} ({f'{len(genes[name])} genes' if name in genes else 'all genes'}, "
        f"{list(of_patient.values()).count(name)} patients)"
        for name in names
    )
    notes.append(f"{panels.path.name}: {what} by panel: {told}; genes off a patient's panel are unknown")
    return {patient: genes[panel] for patient, panel in of_patient.items() if panel in genes}


def _panel_files(folder: Folder) -> dict[str, list[str]]:
    """Gene panel files anywhere in the folder: stable id and genes."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.path.rglob("*.txt")):
        if not (path.name.startswith(NAMES_OF_PANELS) or path.parent.name.startswith("gene_panel")):
            continue
        if path in folder.files.values():
            continue
        lines = _meta(path)
        if "stable_id" in lines and "gene_list" in lines:
            if lines["stable_id"] in found and found[lines["stable_id"]] != lines["gene_list"].split():
                raise InputError(f"{path}: a second list of genes of the panel {lines['stable_id']}; remove one")
            found[lines["stable_id"]] = lines["gene_list"].split()
            folder.used.add(path)
    return found


# mutations, fusions, copy number


class Assayed(NamedTuple):
    """Which samples there are, and what was looked for in them.

    maf, panels: tables of mutations, and of the genes that were examined. profiles: of mutations and of fusions, the
    samples that were examined, and what says so. patient_of: sample -> patient. kept: one sample of each patient.
    """

    maf: Table | None
    panels: Table | None
    profiles: Mapping[str, tuple[frozenset[str], str] | None]
    patient_of: Mapping[str, str]
    kept: frozenset[str]


def _with_genomic(
    raw: Raw,
    source: Mapping[str, Any],
    folder: Folder,
    assayed: Assayed,
    notes: list[str],
    readings: list[FileRead],
) -> Raw:
    maf, panels, profiles, patient_of, kept = assayed
    patients = raw.clinical.index
    of = {sample: patient for sample, patient in patient_of.items() if sample in kept}
    declared = source.get("gene_panels") or {}
    mutations, sequenced, panel_genes = None, None, {}
    if panels is not None:
        readings.append(panels.reading)
    mistakes = folder.mistakes
    if maf is not None:
        with mistakes.keep():
            mutations, more, reading = read_maf(maf, patient_of, kept)
            notes += more
            readings.append(reading)
    if maf is not None and mutations is not None:
        if (profile := profiles["mutations"]) is not None:
            sequenced = pd.Series(patients.isin([of[sample] for sample in profile[0] if sample in of]), index=patients)
            notes.append(f"sequenced: {int(sequenced.sum())} of {len(patients)} patients, {profile[1]}")
            if not source.get("sequenced"):
                with mistakes.keep():
                    _check_listed(maf, mutations, sequenced, profile, folder)
            strange = sorted(profile[0] - set(patient_of))
            if strange:
                notes.append(
                    f"samples: {len(strange)} sequenced ones ({profile[1]}) are not in the sample file: "
                    f"{', '.join(strange[:5])}"
                )
        if panels is not None:
            with mistakes.keep():
                panel_genes = _panel_genes(folder, panels, "mutations", declared, of, notes)
    panel = source.get("panel") or PANEL
    least, listed = (
        read_min_carriers(panel, "panel"),
        frozenset(map(str, panel)) if isinstance(panel, list) else frozenset(),
    )
    parts = []
    if (table := folder.table("fusions")) is not None:
        with mistakes.keep():
            told = _read_sequenced(raw, source) if sequenced is None else sequenced
            who = _find_profiled(profiles, panels, folder, declared, of, patients, told, notes)
            parts.append(events.read_fusions(table, patient_of, kept, patients, who))
    states = source.get("copy_number", "deep")
    if states not in events.EVENTS:
        mistakes.add([f"copy_number: {states!r} is unknown; expected one of {', '.join(events.EVENTS)}"])
    elif states != "none" and (table := folder.table("copy_number")) is not None:
        with mistakes.keep():
            parts.append(events.read_copy_number(table, patient_of, kept, patients, states))
    matrices = []
    for part in parts:
        matrix, more = events.select_recurrent(part, least or events.LISTED, listed)
        notes += [*part.notes, *more]
        readings.append(part.reading)
        matrices.append(matrix)
    matrix = pd.concat(matrices, axis=1) if matrices else pd.DataFrame(index=patients)
    return replace(
        raw, mutations=mutations, sequenced=sequenced, panels=panel_genes, matrix=matrix if matrix.shape[1] else None
    )


def _check_listed(
    maf: Table,
    mutations: pd.DataFrame,
    sequenced: pd.Series,
    profile: tuple[frozenset[str], str],
    folder: Folder,
) -> None:
    """Patients with mutations must be among the sequenced ones."""
    strange = ~mutations["patient_id"].map(sequenced).astype(bool)
    if strange.any():
        patient = mutations.loc[strange, "patient_id"].iloc[0]
        file = profile[1].removeprefix("by ")
        path = next((path for path in folder.used if path.name == file), folder.path / file)
        count, gene = mutations.loc[strange, "patient_id"].nunique(), mutations.loc[strange, "gene"].iloc[0]
        raise InputError(
            f"{path}: {count} patients have mutations in {maf.path.name} but are not listed as sequenced, the first of "
            f"them {patient} ({gene}); add their samples to the list, or remove the list: then all count as sequenced"
        )


def _find_profiled(
    profiles: Mapping[str, tuple[frozenset[str], str] | None],
    panels: Table | None,
    folder: Folder,
    declared: Mapping[str, Any],
    of: Mapping[str, str],
    patients: pd.Index,
    sequenced: pd.Series | None,
    notes: list[str],
) -> events.Profiled:
    """Who was examined for structural variants: as listed, else everyone who was sequenced, with a note."""
    if (profile := profiles["fusions"]) is not None:
        known = frozenset(of[sample] for sample in profile[0] if sample in of)
        genes = _panel_genes(folder, panels, "fusions", declared, of, notes) if panels is not None else {}
        return events.Profiled(known, genes, listed=True)
    who = "all patients" if sequenced is None else "those who were sequenced"
    notes.append(
        f"{folder.files['fusions'].name}: nothing says who was looked at for structural variants; taken are {who} "
        f"(a case list cases_sv.txt would say it)"
    )
    return events.Profiled(frozenset(patients if sequenced is None else patients[sequenced]), {}, listed=False)


def _read_sequenced(raw: Raw, source: Mapping[str, Any]) -> pd.Series | None:
    """Who was sequenced by a clinical column; None where there is none."""
    name = source.get("sequenced") or next((c for c in raw.clinical if str(c).upper() == "SEQUENCED"), None)
    return read_yes_no(raw.clinical[name]).eq(1) if name in raw.clinical else None


# what is not read


def _not_read(folder: Folder, source: Mapping[str, Any]) -> list[str]:
    """A note that lists every file of the folder that was not read."""
    read_elsewhere = {"MRNA_EXPRESSION"} if "expression" in (source.get("modalities") or []) else set()
    expression = (source.get("expression") or {}).get("path")
    found = []
    for path in sorted(folder.path.rglob("*")):
        name = path.relative_to(folder.path).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(folder.path).parts)
        if not path.is_file() or path in folder.used or hidden or path.name.startswith("meta_"):
            continue
        about = folder.meta.get(name, {})
        kind = about.get(
            "datatype" if about.get("genetic_alteration_type") == "CLINICAL" else "genetic_alteration_type"
        )
        if kind in read_elsewhere or name == expression:
            continue
        found.append(f"{name} ({kind.replace('_', ' ').lower()})" if kind else name)
    return [f"not read: {', '.join(found)}"] if found else []
