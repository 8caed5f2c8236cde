"""Gene expression from its source format: cBioPortal files, matrices, h5ad; single cells summed per patient.

Nothing is learned here: what leaves, leaves by itself (a gene without a name, a patient without reads), and is listed
with its reason. Normalisation constants and variable genes are learned after the split, from training patients.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError, Mistakes
from haemosynth.modalities.clinical.ingest.cbioportal import order_samples
from haemosynth.modalities.expression.part import NAME, Quantities, keep_profiles
from haemosynth.modalities.expression.profiles import VALUES
from haemosynth.modalities.quantitative import LEFT, Left, fill_matrix, keep_one_each, read_settings
from haemosynth.reading.genes import DATE, NO_GENE
from haemosynth.reading.numbers import plain_matrix
from haemosynth.reading.source import Table, find_suffix, read, suggestion

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    "path": None,  # file, relative to the cohort's path; null: the expression file of a cBioPortal study folder
    "values": None,  # counts, normalised or log; null: as the meta file of cBioPortal says
    "genes": None,  # how many are kept after the split, those that vary most in train; null: all
    "variable": 500,  # how many are marked as highly variable
    "batch": None,  # the clinical column that names centre, plate or platform
    "layer": None,  # h5ad: the layer that holds the values, or raw; null: X
    "patient": None,  # h5ad: the column of obs that names the patient; null: patient_id, or the names of the rows
    "min_library": 0.1,  # counts: least library size, as a share of the median
    "min_detected": 0.5,  # counts: least number of detected genes, as a share of the median
}
# Columns of a matrix that name or describe its genes; the first that is there names them.
SYMBOLS = ("hugo_symbol", "gene_symbol", "symbol", "gene_name", "genename")
BESIDE = (*SYMBOLS, "entrez_gene_id", "entrez", "gene_id", "ensembl", "ensembl_id", "gene", "description", "name")


def settings(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The key `expression` of a cohort's entry, with its defaults.

    Raises:
        InputError: a key or value that is not known.
    """
    result, where = read_settings(NAME, name, entry, DEFAULTS, "path: expression.tsv, values: counts")
    if result["values"] not in (None, *VALUES):
        raise InputError(f"{where}.values: {result['values']!r} is unknown; expected one of {', '.join(VALUES)}")
    for key in ("genes", "variable"):
        value = result[key]
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{where}.{key}: {value!r}; expected a whole number from 1")
    return result


def ingest_expression(name: str, entry: Mapping[str, Any], cohort: Cohort) -> tuple[AnnData, pd.DataFrame]:
    """Expression of those patients of the cohort who have it, in table order, and what left with its reason.

    Args:
        name: of the cohort; entry: its entry of the study; cohort: its ingested clinical record.

    Raises:
        InputError: the file or the entry holds a mistake, or a patient of the file is not in the cohort.
    """
    import scanpy as sc

    chosen = settings(name, entry)
    path, declared = _file(name, entry, chosen)
    left: Left = []
    if find_suffix(path) == ".h5ad":
        found = _h5ad(path, chosen, cohort, left)
    else:
        found = _matrix(path, entry["format"] != "cbioportal", order_samples(entry), cohort, left)
    values = chosen["values"] or declared or _read_declared(found)
    if values not in VALUES:
        raise InputError(
            f"cohorts.{name}.expression.values is missing; say whether {path.name} holds {', '.join(VALUES)}"
        )
    found = _genes(_with_values(found, left), left)
    _check_values(found, values, path)
    found = found[cohort.patients[cohort.patients.isin(found.obs_names)]].copy()
    found.uns = {"values": values, "batch": chosen["batch"] or ""}
    if values == "counts":
        sc.pp.calculate_qc_metrics(found, percent_top=None, log1p=False, inplace=True)
        total, detected = (found.obs[key].to_numpy(dtype=float) for key in ("total_counts", "n_genes_by_counts"))
        found.obs = pd.DataFrame({"library_size": total}, index=found.obs_names)
        found.var = found.var[[]]
        small = total < chosen["min_library"] * np.median(total)
        few = detected < chosen["min_detected"] * np.median(detected)
        for patient, reads, genes in zip(
            found.obs_names[small | few], total[small | few], detected[small | few], strict=True
        ):
            left.append(("patient", str(patient), f"library size {reads:.0f}, {genes:.0f} genes detected"))
        found = found[~(small | few)].copy()
    constant = np.ptp(found.X, axis=0) == 0
    left += [("gene", str(gene), "the same value in every patient") for gene in found.var_names[constant]]
    found = found[:, ~constant].copy()
    if found.n_obs == 0 or found.n_vars == 0:
        raise InputError(f"{path}: no patient or no gene is left after quality control")
    if chosen["batch"]:
        from haemosynth.modalities.expression.generators.owners import batches

        if chosen["batch"] not in cohort.clinical:
            there = suggestion(chosen["batch"], list(cohort.clinical.columns))
            raise InputError(f"cohorts.{name}.expression.batch: no clinical column {chosen['batch']!r}; {there}")
        found.obs["batch"] = batches(cohort, chosen["batch"], found.obs_names)
    return found, pd.DataFrame(left, columns=list(LEFT))


def _file(name: str, entry: Mapping[str, Any], chosen: Mapping[str, Any]) -> tuple[Path, str | None]:
    """The expression file, and what its meta file says of its values."""
    folder = Path(entry["path"]) if Path(entry["path"]).is_dir() else Path(entry["path"]).parent
    meta = {}
    for file in sorted(folder.glob("meta_*.txt")):
        lines = dict(line.partition(":")[::2] for line in file.read_text(encoding="utf-8").splitlines())
        lines = {key.strip(): value.strip() for key, value in lines.items()}
        if lines.get("genetic_alteration_type") == "MRNA_EXPRESSION" and "data_filename" in lines:
            meta[lines["data_filename"]] = lines.get("datatype", "")
    if chosen["path"]:
        path = folder / os.path.expanduser(os.path.expandvars(str(chosen["path"])))
    else:
        usable = [file for file, kind in meta.items() if kind.upper() != "Z-SCORE" and (folder / file).is_file()]
        usable = usable or [
            f.name for pattern in ("data_mrna_seq_*.txt", "data_expression*.txt") for f in sorted(folder.glob(pattern))
        ]
        if len(usable) != 1:
            told = "no expression file" if not usable else f"{' and '.join(usable[:2])} could both be meant"
            raise InputError(f"cohorts.{name}.expression.path is missing: {told} in {folder}; name one")
        path = folder / usable[0]
    if not path.is_file():
        raise InputError(f"{path}: no such file (named under cohorts.{name}.expression.path)")
    kind = meta.get(path.name, "").upper()
    if kind == "Z-SCORE" or "zscores" in path.name.lower():
        raise InputError(
            f"{path}: z-scores against other samples are no expression values; name the file they are from"
        )
    return path, "log" if kind == "LOG2-VALUE" else None


def _h5ad(path: Path, chosen: Mapping[str, Any], cohort: Cohort, left: Left) -> AnnData:
    """One row per patient; several rows of a patient (cells) are summed where they are counts, else averaged."""
    import anndata
    import scanpy as sc

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # repeated names are reported below
            whole = _layer(anndata.read_h5ad(path), chosen["layer"], path)
    except InputError:
        raise
    except Exception as error:  # damaged files end in many kinds of errors
        raise InputError(f"{path}: cannot be read as h5ad: {' '.join(str(error).split())}") from None
    column = chosen["patient"] or ("patient_id" if "patient_id" in whole.obs else None)
    if column is not None and column not in whole.obs:
        raise InputError(
            f"{path}: obs has no column {column!r}; {suggestion(column, list(map(str, whole.obs.columns)))}"
        )
    if (
        column is None
        and whole.var_names.isin(cohort.patients).any()
        and not whole.obs_names.isin(cohort.patients).any()
    ):
        whole = whole.T.copy()
        left.append(("table", path.name, "the patients are in var, and not in obs: read the other way round"))
    if not whole.n_obs or not whole.n_vars:
        raise InputError(f"{path}: {whole.n_obs} rows and {whole.n_vars} genes; expected values of both")
    owners = list(map(_plain, whole.obs_names if column is None else whole.obs[column]))
    if "" in owners:
        raise InputError(
            f"{path}: column {column} of obs is empty in row {owners.index('') + 1}; every row needs its patient"
        )
    twice, most = Counter(owners).most_common(1)[0]
    if column is None and most > 1:
        raise InputError(
            f"{path}: {twice!r} stands {most} times in the index of obs; where the rows are cells or samples, name the"
            f" column of obs that holds their patients, such as `patient: donor`"
            f" (there are {', '.join(map(str, whole.obs.columns)) or 'none'})"
        )
    if strangers := [owner for owner in owners if owner not in cohort.patients]:
        holds = [str(c) for c in whole.obs if whole.obs[c].map(_plain).isin(cohort.patients).all() and c != column]
        told = f"; the column {holds[0]} of obs holds patients: `patient: {holds[0]}`" if holds else ""
        raise InputError(
            f"{path}: patient {strangers[0]!r} is not in the clinical record ({len(set(strangers))} such){told}"
        )
    if list(whole.var_names) == [str(j) for j in range(whole.n_vars)]:
        raise InputError(
            f"{path}: the index of var counts from 0 to {whole.n_vars - 1}; expected the genes' names there"
            f" (columns of var: {', '.join(map(str, whole.var.columns)) or 'none'})"
        )
    values = chosen["values"] or _read_declared(whole)
    patients = pd.Categorical(owners)
    if most == 1:
        made = anndata.AnnData(fill_matrix(whole.X, np.float32), pd.DataFrame(index=owners), whole.var[[]])
    else:
        function = "sum" if values == "counts" else "mean"
        # Of rows and genes with names that are unique; repeated names of genes are reported below, not here.
        plain = anndata.AnnData(
            whole.X, pd.DataFrame({"patient": patients}, index=[str(i) for i in range(len(owners))])
        )
        sums = sc.get.aggregate(plain, by="patient", func=function)
        made = anndata.AnnData(
            fill_matrix(sums.layers[function], np.float32),
            pd.DataFrame(index=sums.obs_names),
            pd.DataFrame(index=whole.var_names),
        )
        cells = pd.Series(owners).value_counts().sort_index()
        left += [("cells", str(patient), f"{n} cells: {function} taken") for patient, n in cells.items()]
    made.uns["values"] = values
    return made


def _layer(whole: AnnData, layer: str | None, path: Path) -> AnnData:
    """The part of a file that holds the values: X, one of its layers, or `raw`.

    Raises:
        InputError: there is no X and no layer is named, or no layer of this name.
    """
    import anndata

    there = [*map(str, whole.layers), *(["raw"] if whole.raw is not None else [])]
    if layer is None:
        if whole.X is None:
            if not there:
                raise InputError(f"{path}: neither X nor a layer; the file holds no values")
            raise InputError(
                f"{path}: no X; name where the values are, such as `layer: {there[0]}` (there are {', '.join(there)})"
            )
        return whole
    if layer in whole.layers:
        return anndata.AnnData(whole.layers[layer], whole.obs, whole.var)
    if layer == "raw" and whole.raw is not None:
        return anndata.AnnData(whole.raw.X, whole.obs, whole.raw.var)
    raise InputError(f"{path}: no layer {layer!r}; {suggestion(str(layer), there)}")


def _read_declared(whole: AnnData) -> str | None:
    """What a file says itself that its values are."""
    found = whole.uns.get("values")
    return found if isinstance(found, str) else None


def _plain(value: Any) -> str:
    """An identifier as text: a whole number that was stored as 7.0 is 7; nothing where there is none."""
    if pd.isna(value):
        return ""
    return str(int(value)) if isinstance(value, float | np.floating) and value == int(value) else str(value).strip()


def _matrix(path: Path, quoted: bool, samples: Mapping[str, str], cohort: Cohort, left: Left) -> AnnData:
    """A matrix of genes by patients or of patients by genes: the side that holds the patients is found by itself."""
    import anndata

    table = read(path, quoted=quoted)
    frame = table.frame
    told = {**table.reading.left, **table.reading.repaired}
    left += [("file", path.name, f"{count} x {what}") for what, count in told.items() if what != "header"]
    owner = {**dict(zip(cohort.patients, cohort.patients, strict=True)), **samples}
    first = str(frame.columns[0])
    across = [c for c in map(str, frame.columns) if c in owner]
    down = int(frame[first].isin(list(owner)).sum())
    if not across and not down:
        raise InputError(
            f"{path}: neither its header nor its column {first} holds a patient or sample of the cohort; "
            f"expected identifiers such as {cohort.patients[0]}"
        )
    if first in owner:
        raise InputError(
            f"{path}: the header is missing: its first name is {first}, a patient; expected names of genes"
        )
    names: list[Any]
    if len(across) >= down:
        symbols = table.column(*SYMBOLS) or first
        names = [c for c in frame.columns if c != symbols and (c in owner or (c != first and c.lower() not in BESIDE))]
        genes = frame[symbols].tolist()
        numbers = _numbers(frame[names], table, genes).T
    else:
        names = frame[first].tolist()
        genes = [c for c in frame.columns if c != first]
        numbers = _numbers(frame[genes], table, names)
    if None in names:
        raise InputError(f"{table.row(names.index(None))}: column {first} is empty; every row needs its patient")
    unknown = [n for n in names if n not in owner]
    if unknown:
        raise InputError(f"{path}: {unknown[0]!r} is no patient or sample of the cohort ({len(unknown)} such)")
    taken = keep_one_each(names, owner, left)  # patients, then samples as they are chosen
    _check_known(list(taken), cohort, path)
    genes = ["" if gene is None else str(gene) for gene in genes]
    return anndata.AnnData(
        numbers[list(taken.values())].astype(np.float32), pd.DataFrame(index=list(taken)), pd.DataFrame(index=genes)
    )


def _numbers(frame: pd.DataFrame, table: Table, rows: list[Any]) -> np.ndarray:
    """The cells as numbers, missing NaN.

    Raises:
        InputError: a cell that is no number; the line says where it is.
    """
    numbers = plain_matrix(frame, str(table.path)).apply(pd.to_numeric, errors="coerce")
    # A limit of detection, a share or a value with its unit is no level of expression.
    beyond = frame.apply(lambda column: column.str.contains(r"[^\d.,eE+\s'\u2019\u2212-]", regex=True, na=False))
    wrong = (numbers.isna() | beyond).to_numpy() & frame.notna().to_numpy()
    if wrong.any():
        i, j = (int(k[0]) for k in np.nonzero(wrong))
        raise InputError(f"{table.row(i)} ({rows[i]}), column {frame.columns[j]}: {frame.iloc[i, j]!r} is no number")
    return np.asarray(numbers, dtype=np.float64)


def _with_values(found: AnnData, left: Left) -> AnnData:
    """The patients who have any value at all; the others would take every gene with them."""
    nothing = np.isnan(np.asarray(found.X)).all(axis=1)
    left += [("patient", str(patient), "no value") for patient in found.obs_names[nothing]]
    return found[~nothing].copy() if nothing.any() else found


def _check_known(patients: Any, cohort: Cohort, path: Path) -> None:
    unknown = [p for p in patients if p not in cohort.patients]
    if unknown:
        raise InputError(f"{path}: patient {unknown[0]!r} is not in the clinical record ({len(unknown)} such)")


def _genes(found: AnnData, left: Left) -> AnnData:
    """Genes with a usable name and no missing value; of several rows of a gene the one with the highest mean."""
    names = [str(name).strip() for name in found.var_names]
    mean = np.nan_to_num(np.asarray(found.X).mean(axis=0), nan=-np.inf)
    missing = np.isnan(np.asarray(found.X)).sum(axis=0)
    best: dict[str, int] = {}
    for j, name in enumerate(names):
        if not name or name.lower() == "nan":
            left.append(("gene", f"row {j + 1}", "no name"))
        elif DATE.fullmatch(name):
            left.append(("gene", name, "a date: a spreadsheet overwrote the gene's name"))
        elif NO_GENE.fullmatch(name):
            left.append(("gene", name, "no gene symbol"))
        elif missing[j]:
            left.append(("gene", name, f"missing in {missing[j]} patients"))
        elif name in best and mean[best[name]] >= mean[j]:
            left.append(("gene", name, "occurs more than once; the row with the highest mean is kept"))
        else:
            if name in best:
                left.append(("gene", name, "occurs more than once; the row with the highest mean is kept"))
            best[name] = j
    keep = sorted(best.values())
    found.var_names = [f"{j}" for j in range(len(names))]
    one = found[:, keep].copy()
    one.var_names = [names[j] for j in keep]
    return one


def _check_values(found: AnnData, values: str, path: Path) -> None:
    """The values must be what they are declared to be.

    Raises:
        InputError: a value that contradicts the declaration; the line names patient and gene.
    """
    x = np.asarray(found.X)
    wrong = ~np.isfinite(x)
    told = "is no finite number"
    if not wrong.any() and values != "log":
        wrong, told = x < 0, f"is negative, but the values are declared {values}"
    if not wrong.any() and values == "counts":
        wrong, told = np.abs(x - np.rint(x)) > 1e-3, "is no whole number, but the values are declared counts"
    if wrong.any():
        i, j = (int(k[0]) for k in np.nonzero(wrong))
        raise InputError(f"{path}: patient {found.obs_names[i]}, gene {found.var_names[j]}: {x[i, j]:g} {told}")


def ingest(name: str, entry: Mapping[str, Any], cohort: Cohort) -> tuple[Quantities, pd.DataFrame]:
    """The expression of a cohort as its part, and what was left out with its reason (see `ingest_expression`)."""
    expression, left = ingest_expression(name, entry, cohort)
    return keep_profiles(expression), left


def check(name: str, entry: Mapping[str, Any], cohort: Cohort, mistakes: Mistakes) -> pd.DataFrame | None:
    """Read the expression of a cohort and keep its mistakes; what was left out, or None where it cannot be read."""
    if not cohort.schema.columns:  # the record has mistakes of its own: its columns are not there to be named
        chosen = entry.get("expression")
        entry = {**entry, "expression": {**chosen, "batch": None}} if isinstance(chosen, Mapping) else entry
    with mistakes.keep():
        return ingest_expression(name, entry, cohort)[1]
    return None
