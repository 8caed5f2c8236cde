"""Write the raw study folder of docs/tutorial.md: what `make tutorial` calls.

The patients are simulated from published aggregates of multiple myeloma (resources/myeloma/), and written as a clinic
would hand them over: a spreadsheet of patients and a table of mutation calls, with identifiers, dates, a code for
missing values and a column of remarks. Nobody in it exists.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

PATIENTS = 800
EVENTS = {"gain(1q)": "GAIN_1Q", "del(17p)": "DEL_17P", "t(4;14)": "T_4_14", "t(11;14)": "T_11_14",
          "hyperdiploidy": "HYPERDIPLOIDY", "del(13q)": "DEL_13Q"}  # fmt: skip
KEPT = ("age", "sex", "ECOG", "ISS", "isotype", "haemoglobin", "creatinine", "LDH", "beta2_microglobulin", "albumin")
STUDY = """# The study of docs/tutorial.md, as it is at the start: three lines.
cohorts:
  tutorial: {format: tables, path: tutorial/raw, endpoint: OS}
"""
MENDED = """# The study of docs/tutorial.md, as it is at the end.
cohorts:
  tutorial:
    format: tables
    path: tutorial/raw
    endpoint: [OS, PFS]
    sequenced: SEQUENCED                # nobody's mutations are absent because they were not looked for
    alterations: [GAIN_1Q, DEL_*, T_*, HYPERDIPLOIDY]
    repair: true                        # a progression after the last follow-up is set to it, and noted
    columns:
      LDH: {missing: ["-9"]}           # the laboratory's code for a lost sample
      ISS: {kind: ordinal, categories: [I, II, III]}
# A part of the stages and of the resamples, so that the run takes minutes.
imputation: {draws: 2}
compare: [real, independent, uniform, forest, default]
stages:
  [marginals, correlations, missingness, mutation_frequency, co_occurrence, survival,
   distance, memory, disclosure, audit]
validation:
  common: {repeats: 1, replicates: 10}
"""
REFUSED = """# Nearly four times the number of training patients: such a release is refused.
synthetic_patients: 1900
"""
ELSEWHERE = """generators:
  elsewhere: {external: tutorial/elsewhere}
compare: [real, independent, uniform, forest, default, elsewhere]
"""


def shuffle(train: Path, folder: Path) -> None:
    """Write training patients with every column shuffled by itself: what a tool without associations would make.

    Genes are shuffled among the patients who were sequenced, so that the others stay unknown.
    """
    import numpy as np

    from haemosynth.core.files import read_table, write_table
    from haemosynth.core.streams import stream
    from haemosynth.modalities.registry import RECORD

    rng = stream(1, "tutorial elsewhere")
    clinical, matrix = (read_table(train / f"{name}.parquet") for name in (RECORD, "alterations"))
    clinical["patient_id"] = matrix["patient_id"] = [f"S{number:06d}" for number in range(1, len(clinical) + 1)]
    for table in (clinical, matrix):
        pairs = [name.removesuffix("_time") for name in table if name.endswith("_time")]
        alone = [name for name in table if name.rpartition("_")[0] not in pairs]
        for names in [[name] for name in alone] + [[f"{e}_time", f"{e}_event"] for e in pairs]:
            if names[0] in ("patient_id", "sequenced"):
                continue
            # Genes of the patients who were not sequenced stay unknown.
            rows = np.flatnonzero(table[names[0]].notna()) if table is matrix else np.arange(len(table))
            order = np.arange(len(table))
            order[rows] = rng.permutation(rows)
            for name in names:
                table[name] = table[name].iloc[order].array
    for name, table in ((RECORD, clinical), ("alterations", matrix)):
        write_table(table, folder / f"{name}.tsv")
    print(f"{folder}: {len(clinical)} patients with every column shuffled by itself")


def main(folder: Path) -> None:
    """Write `raw/clinical.csv`, `raw/mutations.tsv` and four study files into a folder."""
    import numpy as np
    import pandas as pd

    from haemosynth.core.files import write_table, write_text
    from haemosynth.core.streams import stream
    from haemosynth.modalities.registry import RECORD, load

    rng = stream(1, "tutorial")
    entry = {"format": "simulated", "disease": "myeloma", "patients": PATIENTS, "endpoint": ["OS", "PFS"]}
    cohort, _ = load(RECORD, "simulate").simulate_cohort("tutorial", entry, ROOT / "resources", rng)
    assert cohort.alterations is not None
    assert cohort.sequenced is not None
    assert cohort.mutations is not None
    record = cohort.clinical
    identifiers = [f"MM-{number:05d}" for number in rng.choice(np.arange(10_000, 99_999), PATIENTS, replace=False)]
    table = pd.DataFrame({"PATIENT_ID": identifiers}, index=cohort.patients)
    seen = pd.Timestamp("2014-01-01") + pd.to_timedelta(rng.integers(0, 2000, PATIENTS), unit="D")
    table["DATE_OF_DIAGNOSIS"] = seen.strftime("%d.%m.%Y")
    for name in KEPT:
        values, whole = cohort.clinical[name], cohort.schema.columns[name].grain == 1
        table[name.upper()] = values.round().astype("Int64") if whole else values.astype(object)
    table["LDH"] = table["LDH"].fillna(-9)
    for event, name in EVENTS.items():
        states = cohort.alterations[event]
        table[name] = np.where(states.isna(), None, np.where(states == 1, "yes", "no"))
    table["SEQUENCED"] = np.where(cohort.sequenced, "yes", "no")
    for endpoint in ("OS", "PFS"):
        table[f"{endpoint}_MONTHS"] = record[f"{endpoint}_time"]
        event = record[f"{endpoint}_event"]
        table[f"{endpoint}_STATUS"] = event.map({1.0: "1:EVENT", 0.0: "0:CENSORED"})
    # Three progressions were written down at a visit after the last follow-up: a mistake that every such table has.
    progressed = (record["PFS_event"] == 1) & (record["OS_event"] == 0)
    table.loc[table.index[progressed][:3], "PFS_MONTHS"] = table["OS_MONTHS"] + 1
    remarks = ("seen in the outpatient clinic", "referred by the family doctor", "second opinion asked for", "")
    table["REMARKS"] = [
        f"{remarks[kind]}, file {number}" if remarks[kind] else ""
        for kind, number in zip(rng.integers(0, 4, PATIENTS), identifiers, strict=True)
    ]
    named = dict(zip(cohort.patients, identifiers, strict=True))
    calls = cohort.mutations
    maf = pd.DataFrame(
        {
            "Hugo_Symbol": calls["gene"],
            "Chromosome": calls["chromosome"],
            "Variant_Classification": calls["variant_class"],
            "Tumor_Sample_Barcode": calls["patient_id"].map(named),
            "HGVSp_Short": calls["hgvsp"],
            "t_alt_count": calls["alt_count"].astype("Int64"),
            "t_ref_count": calls["ref_count"].astype("Int64"),
        }
    )
    write_table(maf, folder / "raw" / "mutations.tsv")
    write_text(table.to_csv(index=False), folder / "raw" / "clinical.csv")
    write_text(STUDY, folder / "study.yaml")
    write_text(MENDED, folder / "study_mended.yaml")
    refused = MENDED.replace("as it is at the end", "asking for more patients than may be released")
    write_text(refused + REFUSED, folder / "study_refused.yaml")
    elsewhere = [line for line in MENDED.splitlines(keepends=True) if not line.startswith("compare:")]
    write_text("".join(elsewhere).replace("tutorial.md, as it is at the end", "tutorial-elsewhere.md") + ELSEWHERE,
               folder / "study_elsewhere.yaml")  # fmt: skip
    print(f"{folder}: {PATIENTS} simulated patients and {len(maf)} mutation calls in raw/, and four study files")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--shuffled"]:
        shuffle(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else "tutorial"))
