"""A cohort as a cBioPortal study folder (docs.cbioportal.org, file formats)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from haemosynth.cohort import Cohort
from haemosynth.files import without_formulas, write_text

EVENT_WORDS = {"OS": ("LIVING", "DECEASED")}
OTHER_WORDS = ("NONE", "EVENT")
GENOMIC_COLUMN = "ALTERATION_"


def study_files(genomic: bool) -> list[str]:
    """Names of the files of a study."""
    names = ["meta_study.txt", "meta_clinical_patient.txt", "data_clinical_patient.txt"]
    names += ["meta_clinical_sample.txt", "data_clinical_sample.txt"]
    if genomic:
        names += ["meta_mutations.txt", "data_mutations.txt", "case_lists/cases_sequenced.txt"]
    return names


def write_study(cohort: Cohort, folder: Path, study: str, title: str, disease: str = "heme") -> None:
    """Write `cohort` as a cBioPortal study, one sample per patient.

    Cytogenetic events stand as columns of the sample file, Yes/No/empty; genes stand in the mutation file, and
    `case_lists/cases_sequenced.txt` says who was sequenced, so that an unsequenced patient is not wild type.
    """
    samples = cohort.patients.astype(str) + "_1"
    write_text(
        f"type_of_cancer: {disease}\ncancer_study_identifier: {study}\nname: {title}\n"
        f"description: Synthetic patients. No row is a real patient.\n",
        folder / "meta_study.txt",
    )
    patient = pd.DataFrame({"PATIENT_ID": cohort.patients})
    for name, column in cohort.schema.columns.items():
        values = cohort.clinical[name].reset_index(drop=True)
        if column.kind == "time":
            patient[f"{name.removesuffix('_time').upper()}_MONTHS"] = values
        elif column.kind == "event":
            endpoint = name.removesuffix("_event").upper()
            none, event = EVENT_WORDS.get(endpoint, OTHER_WORDS)
            patient[f"{endpoint}_STATUS"] = values.map({0.0: f"0:{none}", 1.0: f"1:{event}"})
        else:
            patient[_attribute(name)] = values
    _write_clinical(patient, "PATIENT", folder, study)
    sample = pd.DataFrame({"PATIENT_ID": cohort.patients, "SAMPLE_ID": samples})
    if cohort.alterations is not None and cohort.sequenced is not None and cohort.mutations is not None:
        for event in (name for name, kind in cohort.schema.alterations.items() if kind == "cytogenetic"):
            values = cohort.alterations[event].reset_index(drop=True)
            sample[GENOMIC_COLUMN + _attribute(event)] = values.map({0.0: "No", 1.0: "Yes"})
        sample["SEQUENCED"] = np.where(cohort.sequenced, "Yes", "No")
        _write_mutations(cohort.mutations, folder, study)
        listed = "\t".join(samples[cohort.sequenced.to_numpy()])
        write_text(
            f"cancer_study_identifier: {study}\nstable_id: {study}_sequenced\ncase_list_name: Sequenced samples\n"
            f"case_list_description: Samples that were assayed for mutations\ncase_list_ids: {listed}\n",
            folder / "case_lists" / "cases_sequenced.txt",
        )
    _write_clinical(sample, "SAMPLE", folder, study)


def _attribute(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name).upper()


def _write_clinical(table: pd.DataFrame, level: str, folder: Path, study: str) -> None:
    table = without_formulas(table)
    kinds = ["NUMBER" if pd.api.types.is_numeric_dtype(table[name]) else "STRING" for name in table]
    titles = [str(name).replace("_", " ").capitalize() for name in table]
    head = ["#" + "\t".join(line) for line in (titles, titles, kinds, ["1"] * len(kinds))]
    body = table.to_csv(sep="\t", index=False, na_rep="", float_format="%.9g", lineterminator="\n")
    name = f"data_clinical_{level.lower()}.txt"
    write_text("\n".join(head) + "\n" + body, folder / name)
    write_text(
        f"cancer_study_identifier: {study}\ngenetic_alteration_type: CLINICAL\ndatatype: {level}_ATTRIBUTES\n"
        f"data_filename: {name}\n",
        folder / f"meta_clinical_{level.lower()}.txt",
    )


def _write_mutations(mutations: pd.DataFrame, folder: Path, study: str) -> None:
    maf = pd.DataFrame(
        {
            "Hugo_Symbol": mutations["gene"],
            "Chromosome": mutations["chromosome"],
            "Variant_Classification": mutations["variant_class"],
            "HGVSp_Short": mutations["hgvsp"],
            "Tumor_Sample_Barcode": mutations["patient_id"].astype(str) + "_1",
            "t_alt_count": mutations["alt_count"],
            "t_ref_count": mutations["ref_count"],
        }
    )
    write_text(
        without_formulas(maf).to_csv(sep="\t", index=False, na_rep="", float_format="%.9g", lineterminator="\n"),
        folder / "data_mutations.txt",
    )
    write_text(
        f"cancer_study_identifier: {study}\ngenetic_alteration_type: MUTATION_EXTENDED\ndatatype: MAF\n"
        "stable_id: mutations\nshow_profile_in_analysis_tab: true\nprofile_name: Mutations\n"
        "profile_description: Synthetic somatic mutations\ndata_filename: data_mutations.txt\n",
        folder / "meta_mutations.txt",
    )
