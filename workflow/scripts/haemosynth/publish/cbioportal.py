"""A cohort as a cBioPortal study folder that the importer's validator accepts.

Formats: docs.cbioportal.org/file-formats; rules: `validateData.py` of cBioPortal-core's importer.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.files import without_formulas, write_text
from haemosynth.core.schema import Column
from haemosynth.reading.genes import is_known

# Words of censored and event; those of overall and of disease-free survival are prescribed.
EVENT_WORDS = {"OS": ("LIVING", "DECEASED"), "DFS": ("DiseaseFree", "Recurred/Progressed")}
OTHER_WORDS = ("NONE", "EVENT")
GENOMIC_COLUMN = "ALTERATION_"
CANCER_TYPE = "synthetic_heme"  # defined by the study itself, so that every portal knows it
# What a portal knows as a lower-case word of a missing value: no column may be titled so (NA, sodium).
NULL_WORDS = frozenset({
    "", "na", "[not applicable]", "[not available]", "[pending]", "[discrepancy]", "[completed]", "[null]",
})  # fmt: skip
# Attributes that a portal reserves: at which level they stand, and of which type they are.
RESERVED_LEVEL = {
    **dict.fromkeys(("AGE", "GENDER", "SEX", "PATIENT_DISPLAY_NAME", "TUMOR_SITE"), "PATIENT"),
    **dict.fromkeys(
        ("METASTATIC_SITE", "OTHER_SAMPLE_ID", "PRIMARY_SITE", "SAMPLE_CLASS", "SAMPLE_DISPLAY_NAME", "SAMPLE_TYPE",
         "TUMOR_TISSUE_SITE", "TUMOR_TYPE"),
        "SAMPLE",
    ),
}  # fmt: skip
RESERVED_TEXT = frozenset({
    "CANCER_TYPE", "CANCER_TYPE_DETAILED", "HISTOLOGY", "KNOWN_MOLECULAR_CLASSIFIER", *RESERVED_LEVEL,
}) - {"AGE"}  # fmt: skip
REFUSED = frozenset({"MUTATION_COUNT", "FRACTION_GENOME_ALTERED", "PATIENT_ID", "SAMPLE_ID"})
# Variant classes that a portal knows (those of MAF, Splice_Region and Fusion); others are written as Unknown.
CLASSES = frozenset({
    "Frame_Shift_Del", "Frame_Shift_Ins", "In_Frame_Del", "In_Frame_Ins", "Missense_Mutation", "Nonsense_Mutation",
    "Splice_Site", "Translation_Start_Site", "Nonstop_Mutation", "Targeted_Region", "De_novo_Start_InFrame",
    "De_novo_Start_OutOfFrame", "Silent", "Intron", "3'UTR", "3'Flank", "5'UTR", "5'Flank", "IGR", "RNA",
    "Splice_Region", "Fusion", "Unknown",
})  # fmt: skip
NO_CHANGE = "MUTATED"  # the portal's own word where a protein change is not given
MONTHS = frozenset({"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"})


def write_study(cohort: Cohort, folder: Path, study: str, title: str, reference_genome: str = "hg19") -> None:
    """Write `cohort` as a cBioPortal study, one sample per patient.

    Genes are in the mutation file, and `case_lists/cases_sequenced.txt` says who was sequenced, so that an
    unsequenced patient is not wild type. Cytogenetic events are columns of the sample file, Yes/No/empty; so do
    genes that are unknown of some sequenced patients, since the mutation file cannot say it.

    Args:
        study: its identifier; characters that a portal refuses become underscores.
        reference_genome: hg19 or hg38; no positions are published, so that nothing depends on it.
    """
    study = re.sub(r"[^a-z0-9_]", "_", study.lower())[:255]
    samples = cohort.patients.astype(str) + "_1"
    _write_meta(
        folder / "meta_study.txt",
        type_of_cancer=CANCER_TYPE,
        cancer_study_identifier=study,
        name=_line(title)[:255],
        description="Synthetic patients. No row is a real patient.",
        add_global_case_list="true",
        reference_genome=reference_genome,
    )
    _write_meta(
        folder / "meta_cancer_type.txt",
        genetic_alteration_type="CANCER_TYPE",
        datatype="CANCER_TYPE",
        data_filename="cancer_type.txt",
    )
    write_text(f"{CANCER_TYPE}\tHaematological neoplasm (synthetic)\tLightSalmon\ttissue\n", folder / "cancer_type.txt")
    names: dict[str, str] = {}  # source -> attribute, of both files
    tables = {
        "PATIENT": pd.DataFrame({"PATIENT_ID": cohort.patients}),
        "SAMPLE": pd.DataFrame({"PATIENT_ID": cohort.patients, "SAMPLE_ID": samples}),
    }
    columns: dict[str, Column] = {}
    for name, column in sorted(cohort.schema.columns.items(), key=lambda item: item[1].kind not in ("time", "event")):
        values = cohort.clinical[name].reset_index(drop=True)
        if column.kind == "event":
            none, event = EVENT_WORDS.get(name.removesuffix("_event").upper(), OTHER_WORDS)
            values = values.map({0.0: f"0:{none}", 1.0: f"1:{event}"})
        names[name] = attribute = _attribute(name, column, set(names.values()))
        columns[attribute] = column
        tables[RESERVED_LEVEL.get(attribute, "PATIENT")][attribute] = values
    order = [names[name] for name in cohort.schema.columns]
    for level, table in tables.items():
        ids = [name for name in table if name not in order]
        tables[level] = table[[*ids, *(name for name in order if name in table)]]
    if cohort.alterations is not None and cohort.sequenced is not None and cohort.mutations is not None:
        sequenced = cohort.sequenced.to_numpy(dtype=bool)
        for event, kind in cohort.schema.alterations.items():
            if kind == "gene" and cohort.alterations.loc[sequenced, event].notna().all():
                continue
            attribute = _free(GENOMIC_COLUMN + _upper(event), set(names.values()))
            names[GENOMIC_COLUMN + event] = attribute
            values = cohort.alterations[event].reset_index(drop=True)
            tables["SAMPLE"][attribute] = values.map({0.0: "No", 1.0: "Yes"})
        tables["SAMPLE"][_free("SEQUENCED", set(names.values()))] = np.where(sequenced, "Yes", "No")
        if sequenced.any():
            _write_mutations(cohort.mutations, folder, study)
            _write_meta(
                folder / "case_lists" / "cases_sequenced.txt",
                cancer_study_identifier=study,
                stable_id=f"{study}_sequenced",
                case_list_name="Sequenced samples",
                case_list_description="Samples that were assayed for mutations",
                case_list_category="all_cases_with_mutation_data",
                case_list_ids="\t".join(samples[sequenced]),
            )
    for level, table in tables.items():
        _write_clinical(table, level, folder, study, columns)


def _write_meta(path: Path, **fields: str) -> None:
    write_text("".join(f"{key}: {value}\n" for key, value in fields.items()), path)


def _line(text: str) -> str:
    return " ".join(text.split())


def _upper(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name).upper()


def _free(name: str, taken: Iterable[str]) -> str:
    """The name, or the first of NAME_2, NAME_3, ... that is not taken."""
    taken = set(taken)
    return next(one for i in range(1, len(taken) + 2) if (one := name if i == 1 else f"{name}_{i}") not in taken)


def _attribute(name: str, column: Column, taken: set[str]) -> str:
    """The attribute of a column: in capitals, of its own, and none that the portal keeps for something else."""
    if column.kind == "time":
        return f"{_upper(name.removesuffix('_time'))}_MONTHS"
    if column.kind == "event":
        return f"{_upper(name.removesuffix('_event'))}_STATUS"
    one = _upper(name)
    if not one.isupper():  # no letter that has capitals
        one = f"COLUMN_{one}"
    pairs = {other.removesuffix("_MONTHS") for other in taken if other.endswith("_MONTHS")}
    if one in REFUSED or one.removesuffix("_STATUS") in pairs or one in ("OS_STATUS", "DFS_STATUS"):
        one = f"RECORDED_{one}"
    if one == "AGE" and not column.numeric:
        one = "AGE_GROUP"
    if one in ("OS_MONTHS", "DFS_MONTHS") and not column.numeric:
        one = f"RECORDED_{one}"
    return _free(one, taken)


def _plain(value: Any) -> Any:
    """Text that fits in one cell and is not taken for a date."""
    if not isinstance(value, str):
        return value
    text = _line(value)
    parts = text.split("-")
    if len(parts) == 2 and any(part.lower() in MONTHS for part in parts):  # the validator would see a date
        text = " ".join(parts)
    return text


def _text(table: pd.DataFrame) -> str:
    """The table with tabs between cells, none of them quoted: a portal takes quotes for part of a value."""
    return without_formulas(table).to_csv(
        sep="\t",
        index=False,
        na_rep="",
        float_format="%.9g",
        lineterminator="\n",
        quoting=csv.QUOTE_NONE,
        quotechar="\x07",
    )


def _write_limits(values: pd.Series, column: Column) -> pd.Series:
    """Numbers as text, those at a limit of detection with its sign: <0.6, >90."""
    text = values.map(lambda value: f"{value:.9g}", na_action="ignore").astype("object")
    for side, sign in (("low", "<"), ("high", ">")):
        at = values.isin(list(column.detection.get(side, ())))
        text = text.mask(at, sign + text.where(at, ""))
    return text


def _write_clinical(table: pd.DataFrame, level: str, folder: Path, study: str, columns: Mapping[str, Column]) -> None:
    names = [str(name) for name in table]
    numeric = [pd.api.types.is_numeric_dtype(table[name]) and name not in RESERVED_TEXT for name in names]
    texts: dict[str, Any] = {
        name: table[name].astype("object").map(_plain) for name, flag in zip(names, numeric, strict=True) if not flag
    }
    texts |= {
        name: _write_limits(table[name], columns[name]) for name in names if name in columns and columns[name].detection
    }
    table = table.assign(**texts)
    titles = [name.replace("_", " ").capitalize() for name in names]
    titles = [f"{title} (recorded)" if title.lower() in NULL_WORDS else title for title in titles]
    unit = {name: _line(columns[name].unit or "") for name in names if name in columns}
    about = [f"{title}, {unit[name]}" if unit.get(name) else title for name, title in zip(names, titles, strict=True)]
    kinds = ["NUMBER" if flag else "STRING" for flag in numeric]
    head = ["#" + "\t".join(line) for line in (titles, about, kinds, ["1"] * len(kinds))]
    name = f"data_clinical_{level.lower()}.txt"
    write_text("\n".join(head) + "\n" + _text(table), folder / name)
    _write_meta(
        folder / f"meta_clinical_{level.lower()}.txt",
        cancer_study_identifier=study,
        genetic_alteration_type="CLINICAL",
        datatype=f"{level}_ATTRIBUTES",
        data_filename=name,
    )


def _write_mutations(mutations: pd.DataFrame, folder: Path, study: str) -> None:
    """The mutations as MAF, with classes and protein changes as a portal writes them.

    An alteration that is named after its gene (FLT3_ITD) is under the gene's symbol, its name beside it.
    """
    name = mutations["gene"].astype(str)
    symbol, rest = name.map(_gene), name.map(lambda text: text[len(_gene(text)) + 1 :])
    recorded = mutations["variant_class"].astype("object")
    known = recorded.isin(list(CLASSES))
    change = (
        mutations["hgvsp"]
        .astype("object")
        .map(lambda text: re.sub(r"[,;]|(?<=.)p\.", "/", text)[:255], na_action="ignore")
    )
    change = change.where(change.notna(), rest.where(rest != "", NO_CHANGE))
    maf = pd.DataFrame(
        {
            "Hugo_Symbol": symbol,
            "Chromosome": mutations["chromosome"],
            "Variant_Classification": recorded.where(known, recorded.map({"ITD": "In_Frame_Ins"}).fillna("Unknown")),
            "HGVSp_Short": change,
            "Tumor_Sample_Barcode": mutations["patient_id"].astype(str) + "_1",
            "t_alt_count": mutations["alt_count"],
            "t_ref_count": mutations["ref_count"],
            "Alteration": name,
            "Recorded_Classification": recorded,
        }
    )
    write_text(_text(maf.map(_plain)), folder / "data_mutations.txt")
    _write_meta(
        folder / "meta_mutations.txt",
        cancer_study_identifier=study,
        genetic_alteration_type="MUTATION_EXTENDED",
        datatype="MAF",
        stable_id="mutations",
        show_profile_in_analysis_tab="true",
        profile_name="Mutations",
        profile_description="Synthetic somatic mutations",
        data_filename="data_mutations.txt",
    )


def _gene(alteration: str) -> str:
    """The gene of an alteration that is named after it, as FLT3 of FLT3_ITD; else the name itself."""
    found = re.match(r"([A-Za-z0-9]+)[_-].", alteration)
    return found[1] if found and is_known(found[1]) and not is_known(alteration) else alteration
