"""From a cohort's source files to the canonical cohort.

One module per source format, each with
    read_source  (source, genomic) -> Raw
What follows is shared: endpoints, kinds of columns, panel and alterations. `source` is a cohort's entry of the study.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from haemosynth.core.errors import InputError
from haemosynth.modalities.registry import ALONE, FORMER, FURTHER, NAMES, OF_RECORD, RECORD, load

if TYPE_CHECKING:
    from haemosynth.core.cohort import Cohort
    from haemosynth.reading.source import Raw

FORMATS = ("cbioportal", "tables")
KEYS = {
    "format", "path", "endpoint", "milestones", "modalities", "panel", "columns", "exclude", "alterations", "variants",
    "sequenced", "winsorise", "stratify", "repair", "id", "note", "missing", "decimal", "detection", *FURTHER,
}  # fmt: skip
TABLE_KEYS = {"clinical", "mutations", "matrix"}
FOLDER_KEYS = {"sample", "copy_number", "gene_panels"}
PANEL = {"recurrent": {"min_carriers": 10}}


def ingest(name: str, source: Mapping[str, Any]) -> Cohort:
    """Read a cohort from its source format.

    Args:
        name: the cohort's name in the study. source: its entry, with the environment variables of `path` expanded.

    Raises:
        InputError: the entry or the files hold mistakes; a line for each says where and what to do.
    """
    return ingest_with_strings(name, source)[0]


def ingest_with_strings(name: str, source: Mapping[str, Any]) -> tuple[Cohort, dict[str, set[str]]]:
    """The same with the strings of raw records that must appear nowhere, by kind (`ingest.strings`)."""
    from haemosynth.modalities.clinical.ingest.canonical import assemble
    from haemosynth.reading.collect_strings import find_withheld

    if isinstance(source.get("modalities"), list):
        source = {**source, "modalities": [FORMER.get(name, name) for name in source["modalities"]]}
    if source.get("format") in ALONE:
        cohort = _bare(name, source)
        return cohort, {"identifier": set(map(str, cohort.patients))}
    check_entry(name, source)
    raw = read_raw(source)
    cohort = assemble(name, source, raw, asks_genomic(source))
    return cohort, find_withheld(raw, cohort.schema.excluded)


def read_raw(source: Mapping[str, Any]) -> Raw:
    """The files of a cohort whose entry was checked; mistakes in other files than the clinical one are kept in it.

    Raises:
        InputError: the clinical table cannot be read.
    """
    from haemosynth.modalities.clinical.ingest import cbioportal, tables

    reader = {"cbioportal": cbioportal.read_source, "tables": tables.read_source}[source["format"]]
    return reader(source, asks_genomic(source))


def asks_genomic(source: Mapping[str, Any]) -> bool | None:
    """Whether an entry asks for mutations; None where it leaves that to the files."""
    modalities = source.get("modalities")
    return None if modalities is None else OF_RECORD[1] in modalities


def check_entry(name: str, source: Mapping[str, Any]) -> None:
    """Check the entry of a cohort before any file is read.

    Raises:
        InputError: a key is unknown, missing or of the wrong shape; it holds a line for each.
    """
    from haemosynth.core.errors import Mistakes

    mistakes = Mistakes()
    for lines in faults(name, source).values():
        mistakes.add(lines)
    mistakes.tell()


def _bare(name: str, source: Mapping[str, Any]) -> Cohort:
    """A cohort of images, or of another modality, without a record: patients and no columns."""
    import pandas as pd

    from haemosynth.core.cohort import Cohort
    from haemosynth.core.schema import Schema
    from haemosynth.reading.source import suggestion

    alone = ALONE[source["format"]]
    known = ["format", "path", "modalities", alone, "note", "panel"]
    for key in source:
        if key not in known:
            raise InputError(
                f"cohorts.{name}: unknown key {key!r} of a cohort of {alone}; {suggestion(str(key), known)}"
            )
    if source.get("modalities") != [alone]:
        raise InputError(f"cohorts.{name}.modalities: a cohort of {source['format']} has {alone} alone: [{alone}]")
    patients = pd.Index(load(alone, "ingest").patients_of(name, source), name="patient_id")
    return Cohort(Schema(name, {}), pd.DataFrame(index=patients))


def faults(name: str, source: Mapping[str, Any]) -> dict[str, list[str]]:
    """What is wrong with the entry of a cohort, before any file is read: key -> lines; empty if nothing is wrong."""
    from haemosynth.reading.source import suggestion

    where = f"cohorts.{name}"
    found: dict[str, list[str]] = {}
    for key in ("format", "path", "endpoint"):
        if source.get(key) in (None, "", []):
            found[key] = [f"{where}: the key {key!r} is missing or empty"]
    if "format" not in found and source["format"] not in FORMATS:
        found["format"] = [f"{where}.format: unknown format {source['format']!r}; expected one of {', '.join(FORMATS)}"]
    known = sorted(KEYS | (TABLE_KEYS if source.get("format") == "tables" else FOLDER_KEYS))
    for key in source:
        if key not in known and "format" not in found:
            found[key] = [f"{where}: unknown key {key!r}; {suggestion(str(key), known)}"]
    if "$" in str(source.get("path")):
        found["path"] = [f"{where}.path: {source['path']} names an environment variable that is not set"]
    for key in source:
        if key not in found and (lines := list(_of_shape(key, source[key], where))):
            found[key] = lines
    return found


def _of_shape(key: str, value: Any, where: str) -> Iterator[str]:
    """What is wrong with the shape of one key of the entry."""
    from haemosynth.core.panel import read_min_carriers
    from haemosynth.modalities.clinical.ingest.infer import check_declaration
    from haemosynth.reading.numbers import MARKS

    shapes: dict[str, tuple[tuple[type, ...], str]] = {
        "endpoint": ((str, list), "a name or a list of names"),
        "milestones": ((Mapping,), "a mapping such as {CR: CR_MONTHS}"),
        "modalities": ((list,), f"a list: `modalities: [{value}]`"),
        "columns": ((Mapping,), "a mapping from columns to their attributes"),
        "exclude": ((list, Mapping), f"a list of columns, or a mapping from columns to reasons: `exclude: [{value}]`"),
        "alterations": ((list,), f"a list of columns or patterns: `alterations: [{value}]`"),
        "variants": ((Mapping,), "a mapping such as {FLT3_ITD: {gene: FLT3, protein: ITD}}"),
        "sequenced": ((str,), "the name of a column"),
        "winsorise": ((Mapping,), "a mapping such as {WBC: [0.01, 0.99]}"),
        "stratify": ((str,), "the name of a column"),
        "repair": ((bool,), "true or false"),
        "id": ((str,), "the name of a column"),
        "missing": ((list,), f"a list of words such as [not asked, 999]: `missing: [{value}]`"),
        "decimal": ((str,), "'.' or ','"),
        "detection": ((str,), "limit or half"),
        "sample": ((str, Mapping), "sequenced, earliest, first, or a mapping such as {SAMPLE_TYPE: Diagnosis}"),
        "copy_number": ((str,), "deep, all or none"),
        "gene_panels": ((Mapping,), "a mapping such as {SMALL: [NPM1, FLT3], WHOLE: all}"),
    }
    if value is None:
        return
    if key in shapes and not isinstance(value, shapes[key][0]):
        yield f"{where}.{key}: expected {shapes[key][1]}, found {value!r}"
        return
    words = {"decimal": MARKS, "detection": ("limit", "half")}
    if key in words and value not in words[key]:
        yield f"{where}.{key}: expected {' or '.join(map(repr, words[key]))}, found {value!r}"
    if key == "modalities":
        for modality in value:
            if modality not in NAMES:
                yield f"{where}.modalities: {modality!r} is unknown; expected some of {', '.join(NAMES)}"
        if RECORD not in value:
            yield f"{where}.modalities: {RECORD} is missing; every cohort has it"
    if key == "columns":
        for column, declared in value.items():
            try:
                check_declaration(str(column), declared, f"{where}.columns.{column}")
            except InputError as error:
                yield from error.lines
    if key == "winsorise":
        for column, limits in value.items():
            numbers = isinstance(limits, list) and len(limits) == 2 and all(isinstance(x, int | float) for x in limits)
            if not numbers or not 0 <= limits[0] < limits[1] <= 1:
                yield f"{where}.winsorise.{column}: expected two quantiles such as [0.01, 0.99], found {limits!r}"
    if key == "panel" and value:
        try:
            read_min_carriers(value, where)
        except InputError as error:
            yield from error.lines


def find_matching(patterns: list[str], names: list[str]) -> dict[str, str]:
    """The names that a pattern (`CYTO_*`) matches, each with its first pattern, in the order of `names`."""
    found = {name: next((p for p in patterns if name == p or fnmatchcase(name, p)), None) for name in names}
    return {name: pattern for name, pattern in found.items() if pattern is not None}
