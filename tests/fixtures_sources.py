"""A small cohort in its source formats, for the tests of ingestion and split."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PATIENTS = 120
GENES = ("TP53", "DNMT3A", "NPM1", "FLT3")


def clinical_table(n: int = PATIENTS) -> pd.DataFrame:
    """One row per patient, every value text, the empty text where missing."""
    rng = np.random.default_rng(7)
    days = rng.integers(20, 2000, n)
    died = rng.random(n) < 0.6
    pfs = np.minimum(days, rng.integers(5, 2000, n))
    table = pd.DataFrame(
        {
            "PATIENT_ID": [f"P{i:03d}" for i in range(n)],
            "SEX": np.where(rng.random(n) < 0.5, "Male", "Female"),
            "AGE": rng.integers(20, 85, n).astype(str),
            "HEMOGLOBIN": [f"{x:.1f}" for x in rng.normal(10, 2, n).clip(4, 18)],
            "LDH": rng.integers(100, 900, n).astype(str),
            "ECOG": rng.choice(["E0", "E1", "E2", "E3"], n),
            "CENTRE": rng.choice(["North", "South", "East"], n),
            "CYTO_PLUS8": rng.choice(["Yes", "No", ""], n, p=[0.3, 0.6, 0.1]),
            "SEQUENCED": np.where(np.arange(n) % 10 == 0, "No", "Yes"),
            "OS_MONTHS": [f"{d * 12 / 365.25:.6g}" for d in days],
            "OS_STATUS": np.where(died, "1:DECEASED", "0:LIVING"),
            "PFS_MONTHS": [f"{d * 12 / 365.25:.6g}" for d in pfs],
            "PFS_STATUS": np.where((pfs < days) | died, "1:EVENT", "0:NONE"),
        }
    ).astype("object")
    table.loc[rng.random(n) < 0.2, "LDH"] = ""
    return table


def mutation_table(clinical: pd.DataFrame) -> pd.DataFrame:
    """MAF rows, every value text: each gene in a third of the sequenced patients."""
    rng = np.random.default_rng(8)
    rows = []
    for patient in clinical.loc[clinical["SEQUENCED"] == "Yes", "PATIENT_ID"]:
        for position, gene in enumerate(GENES):
            if rng.random() < 1 / 3:
                alt = int(rng.integers(5, 60))
                rows.append(
                    {
                        "Hugo_Symbol": gene,
                        "Chromosome": str(position + 1),
                        "Start_Position": str(1000 + position),
                        "Reference_Allele": "C",
                        "Tumor_Seq_Allele2": "T",
                        "Variant_Classification": "Missense_Mutation",
                        "HGVSp_Short": "ITD" if gene == "FLT3" and rng.random() < 0.5 else "p.R1H",
                        "Tumor_Sample_Barcode": patient,
                        "t_alt_count": str(alt),
                        "t_ref_count": str(100 - alt),
                    }
                )
    return pd.DataFrame(rows).astype("object")


def write(table: pd.DataFrame, path: Path) -> Path:
    """Write a table of text in the format of the file's ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.replace("", None).to_parquet(path)
    elif path.suffix == ".xlsx":
        table.replace("", None).to_excel(path, index=False)
    else:
        table.to_csv(path, sep="," if path.suffix == ".csv" else "\t", index=False)
    return path


def tables(folder: Path, clinical: pd.DataFrame | None = None, mutations: pd.DataFrame | None = None) -> dict[str, Any]:
    """A cohort in the format `tables`, and its entry of a study."""
    clinical = clinical_table() if clinical is None else clinical
    write(clinical, folder / "clinical.tsv")
    write(mutation_table(clinical_table()) if mutations is None else mutations, folder / "mutations.tsv")
    return {"format": "tables", "path": str(folder), "endpoint": "OS"}


def cbioportal(folder: Path, patients: pd.DataFrame, samples: pd.DataFrame, maf: pd.DataFrame) -> dict[str, Any]:
    """A cohort as a cBioPortal study folder, and its entry of a study."""
    for name, table in (("data_clinical_patient.txt", patients), ("data_clinical_sample.txt", samples)):
        write(table, folder / name)
        lines = ["\t".join(table.columns)] * 2 + [
            "\t".join(["STRING"] * table.shape[1]),
            "\t".join("1" * table.shape[1]),
        ]
        comments = "".join(f"#{line}\n" for line in lines)
        (folder / name).write_text(comments + (folder / name).read_text(encoding="utf-8"), encoding="utf-8")
    write(maf, folder / "data_mutations.txt")
    return {"format": "cbioportal", "path": str(folder), "endpoint": "OS"}
