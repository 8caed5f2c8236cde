"""The AML array data of Bullinger et al. (N Engl J Med 2004;350:1605) from R's package TH.data -> plain tables.

usage: python resources/aml_arrays.py path/to/AML_Bullinger.rda $HAEMOSYNTH_DATA/aml_arrays

Writes clinical.csv (116 patients; days as months; cytogenetic groups as one column each) and expression.parquet (log
ratios of 6,283 clones, missing values as the package imputed them). resources/README.md says where the file comes from.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import rdata

DAYS_PER_MONTH = 365.25 / 12
GROUPS = {"inv(16)": "inv16", "t(15;17)": "t15_17", "t(8;21)": "t8_21", "del(7q)/-7": "del7q", "t(9;11)": "t9_11"}
COLUMNS = {
    "Sex": "SEX", "Age": "AGE", "WBC": "WBC", "PB.Blasts": "PB_BLASTS", "BM.Blasts": "BM_BLASTS", "LDH": "LDH",
    "FAB.subtype.": "FAB", "Preceding.Malignancy.": "SECONDARY", "Study": "TRIAL",
}  # fmt: skip


def main(source: Path, folder: Path) -> None:
    """Write the two tables into the folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = rdata.read_rda(source)
    known = data["clinical"]
    table = pd.DataFrame({"patient_id": known.index.astype(str)})
    for old, new in COLUMNS.items():
        table[new] = known[old].astype(object).to_numpy()
    table["SOURCE"] = [str(value)[:2] for value in known["Sample.source."]]  # bone marrow or peripheral blood
    group = known["Cytogenetic.group"].astype(str)
    for old, new in GROUPS.items():
        table[f"CYTO_{new}"] = (group == old).astype(int).to_numpy()
    table["CYTO_complex"] = (group == "complex karyotype").astype(int).to_numpy()
    table["CYTO_normal"] = (group == "normal karyotype").astype(int).to_numpy()
    for old, new in {"FLT3.aberration.": "FLT3", "MLL.PTD": "KMT2A_PTD"}.items():
        table[new] = known[old].astype(object).map({"yes": 1, "no": 0}).to_numpy()
    table["OS_MONTHS"] = (known["time"].astype(float) / DAYS_PER_MONTH).round(2).to_numpy()
    table["OS_STATUS"] = np.where(known["event"].astype(bool), "1:DECEASED", "0:LIVING")
    folder.mkdir(parents=True, exist_ok=True)
    table.to_csv(folder / "clinical.csv", index=False)
    arrays = data["iexpressions"]
    symbols = data["selgenes"].dropna().set_index("Clone.ID")["Gene.Symbol"]
    clones = pd.Index(arrays.coords["dim_1"].to_numpy().astype(str))
    names = [f"{symbols[c]}|{c}" if c in symbols.index else str(c) for c in clones]
    matrix = pd.DataFrame(np.asarray(arrays.values), columns=names)
    matrix.insert(0, "patient_id", arrays.coords["dim_0"].to_numpy().astype(str))
    matrix.to_parquet(folder / "expression.parquet", index=False)
    print(f"{len(table)} patients, {matrix.shape[1] - 1} clones -> {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python resources/aml_arrays.py path/to/AML_Bullinger.rda folder")
    main(Path(sys.argv[1]), Path(sys.argv[2]))
