"""From a cohort's source files to the canonical cohort.

One module per source format, each with
    read_source  (source, genomic) -> Raw
What follows is shared: endpoints, kinds of columns, panel and alterations. `source` is a cohort's entry of the study.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from haemosynth.errors import InputError

if TYPE_CHECKING:
    from haemosynth.cohort import Cohort

FORMATS = ("cbioportal", "tables")
IMAGES_ALONE = ("nifti", "dicom", "pictures")  # a cohort of these has images and no record
KEYS = {
    "format", "path", "endpoint", "milestones", "modalities", "panel", "columns", "exclude", "alterations", "variants",
    "sequenced", "winsorise", "stratify", "repair", "id", "expression", "images", "note",
    "missing", "decimal", "detection",
}  # fmt: skip
TABLE_KEYS = {"clinical", "mutations", "matrix"}
FOLDER_KEYS = {"sample", "copy_number", "gene_panels"}
MODALITIES = ("clinical", "genomic", "transcriptomic", "imaging")
PANEL = {"recurrent": {"min_carriers": 10}}


def ingest(name: str, source: Mapping[str, Any]) -> Cohort:
    """Read a cohort from its source format.

    Args:
        name: the cohort's name in the study. source: its entry, with the environment variables of `path` expanded.

    Raises:
        InputError: the entry or the files hold a mistake; one line says where and what to do.
    """
    from haemosynth.ingest import cbioportal, tables
    from haemosynth.ingest.canonical import assemble

    if source.get("format") in IMAGES_ALONE:
        return _bare(name, source)
    _check_keys(name, source)
    _check_shapes(name, source)
    reader = {"cbioportal": cbioportal, "tables": tables}[source["format"]]

    modalities = source.get("modalities")
    genomic = None if modalities is None else "genomic" in modalities
    return assemble(name, source, reader.read_source(source, genomic), genomic)


def _bare(name: str, source: Mapping[str, Any]) -> Cohort:
    """A cohort of images without a record: patients and no columns."""
    import pandas as pd

    from haemosynth.cohort import Cohort
    from haemosynth.ingest.images import image_patients
    from haemosynth.ingest.source import suggestion
    from haemosynth.schema import Schema

    known = ["format", "path", "modalities", "images", "note", "panel"]
    for key in source:
        if key not in known:
            raise InputError(
                f"cohorts.{name}: unknown key {key!r} of a cohort of images; {suggestion(str(key), known)}"
            )
    if source.get("modalities") != ["imaging"]:
        raise InputError(f"cohorts.{name}.modalities: a cohort of {source['format']} has images alone: [imaging]")
    patients = pd.Index(image_patients(name, source), name="patient_id")
    return Cohort(Schema(name, {}), pd.DataFrame(index=patients))


def _check_keys(name: str, source: Mapping[str, Any]) -> None:
    """The keys of the entry, its format and its path."""
    from haemosynth.ingest.source import suggestion

    where = f"cohorts.{name}"
    for key in ("format", "path", "endpoint"):
        if source.get(key) in (None, "", []):
            raise InputError(f"{where}: the key {key!r} is missing or empty")
    if source["format"] not in FORMATS:
        raise InputError(f"{where}.format: unknown format {source['format']!r}; expected one of {', '.join(FORMATS)}")
    known = sorted(KEYS | (TABLE_KEYS if source["format"] == "tables" else FOLDER_KEYS))
    for key in source:
        if key not in known:
            raise InputError(f"{where}: unknown key {key!r}; {suggestion(str(key), known)}")
    if "$" in str(source["path"]):
        raise InputError(f"{where}.path: {source['path']} names an environment variable that is not set")


def _check_shapes(name: str, source: Mapping[str, Any]) -> None:
    """The shape of the entry, before any file is read."""
    from haemosynth.ingest.infer import check_declaration
    from haemosynth.ingest.mutations import min_carriers
    from haemosynth.ingest.numbers import MARKS

    where = f"cohorts.{name}"
    shapes: dict[str, tuple[tuple[type, ...], str]] = {
        "endpoint": ((str, list), "a name or a list of names"),
        "milestones": ((Mapping,), "a mapping such as {CR: CR_MONTHS}"),
        "modalities": ((list,), "a list"),
        "columns": ((Mapping,), "a mapping from columns to their attributes"),
        "exclude": ((list, Mapping), "a list of columns, or a mapping from columns to reasons"),
        "alterations": ((list,), "a list of columns or patterns"),
        "variants": ((Mapping,), "a mapping such as {FLT3_ITD: {gene: FLT3, protein: ITD}}"),
        "sequenced": ((str,), "the name of a column"),
        "winsorise": ((Mapping,), "a mapping such as {WBC: [0.01, 0.99]}"),
        "stratify": ((str,), "the name of a column"),
        "repair": ((bool,), "true or false"),
        "id": ((str,), "the name of a column"),
        "missing": ((list,), "a list of words such as [not asked, 999]"),
        "decimal": ((str,), "'.' or ','"),
        "detection": ((str,), "limit or half"),
        "sample": ((str, Mapping), "sequenced, earliest, first, or a mapping such as {SAMPLE_TYPE: Diagnosis}"),
        "copy_number": ((str,), "deep, all or none"),
        "gene_panels": ((Mapping,), "a mapping such as {SMALL: [NPM1, FLT3], WHOLE: all}"),
    }
    for key, (types, expected) in shapes.items():
        if source.get(key) is not None and not isinstance(source[key], types):
            raise InputError(f"{where}.{key}: expected {expected}, found {source[key]!r}")
    for key, known in (("decimal", MARKS), ("detection", ("limit", "half"))):
        if source.get(key) is not None and source[key] not in known:
            raise InputError(f"{where}.{key}: expected {' or '.join(map(repr, known))}, found {source[key]!r}")
    for modality in source.get("modalities") or ["clinical"]:
        if modality not in MODALITIES:
            raise InputError(f"{where}.modalities: {modality!r} is unknown; expected some of {', '.join(MODALITIES)}")
    if "clinical" not in (source.get("modalities") or ["clinical"]):
        raise InputError(f"{where}.modalities: clinical is missing; every cohort has it")
    for column, declared in (source.get("columns") or {}).items():
        check_declaration(str(column), declared, f"{where}.columns.{column}")
    for column, limits in (source.get("winsorise") or {}).items():
        numbers = isinstance(limits, list) and len(limits) == 2 and all(isinstance(x, int | float) for x in limits)
        if not numbers or not 0 <= limits[0] < limits[1] <= 1:
            raise InputError(
                f"{where}.winsorise.{column}: expected two quantiles such as [0.01, 0.99], found {limits!r}"
            )
    min_carriers(source.get("panel") or PANEL, where)


def matching(patterns: list[str], names: list[str]) -> dict[str, str]:
    """The names that a pattern (`CYTO_*`) matches, each with its first pattern, in the order of `names`."""
    found = {name: next((p for p in patterns if name == p or fnmatchcase(name, p)), None) for name in names}
    return {name: pattern for name, pattern in found.items() if pattern is not None}
