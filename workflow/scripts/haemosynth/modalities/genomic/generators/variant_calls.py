"""The mutations behind the alteration matrix: variants, protein changes, read depth and allele fractions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit, ndtr, ndtri

from haemosynth.core.cohort import MUTATION_COLUMNS, Alterations, Cohort
from haemosynth.core.streams import one_of_each
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.genomic.cell_fraction import count_copies, is_male, is_x_linked
from haemosynth.modalities.genomic.generators.missingness import sample_missingness
from haemosynth.stats.quantiles import LEAST_PIECE, quantiles
from haemosynth.stats.ranking import ranks_of

LEVELS = np.linspace(0.01, 0.99, 33)  # where quantile functions are held: the extremes stay with their owners
LEAST_RESIDUAL = 1e-6  # where every patient has values of one size, the factor alone would determine them
PSEUDO = 10.0  # prior observations, from all genes together, behind each gene's distribution


def fit_clones(train: Cohort, design: np.ndarray, min_carriers: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Learn the mutations of the carriers of each gene.

    Variants: how many a carrier has; class of each, given the cytogenetic event that best predicts it (internal tandem
    duplications in FLT3, for example) and the variant before it in the same patient; a protein change only where at
    least `min_carriers` training patients share it, else the class alone.

    Copy number: the recorded value, given the cytogenetic event that best predicts it.

    Allele fractions: with v the VAF times copies / 2 (half the cancer cell fraction), logit v of gene g in patient i is
    Q_g(Phi(z)), z = loading_g b_i + noise, b_i the patient's purity, linear in the clinical record plus a normal
    deviate; Q_g is the gene's quantile function, less the spread that binomial reads add. Copies are the recorded
    copy number; where it is unknown a gene is taken to be diploid, and a man's X-linked gene single.
    Read depth has the same form with an effect of the patient's library.

    Args:
        train: training patients.
        design: (patients, features) clinical record.
        min_carriers: patients that must share a protein change.

    Returns:
        Arrays, and plain data.
    """
    assert train.alterations is not None
    assert train.mutations is not None
    genes = train.schema.genes
    rows = train.mutations
    rows = rows[rows["gene"].isin(genes) & rows["patient_id"].isin(train.patients)].reset_index(drop=True)
    gene = pd.Categorical(rows["gene"], categories=genes).codes.astype(np.int64)
    patient = train.patients.get_indexer(pd.Index(rows["patient_id"]))
    plain: dict[str, Any] = {"genes": {}}
    for g, name in enumerate(genes):
        variants = rows[gene == g]
        plain["genes"][name] = _describe_variants(variants, train.alterations, train.schema.alterations, min_carriers)
    on_x = is_x_linked(genes, (plain["genes"][name]["chromosome"] for name in genes))
    reads = (rows["alt_count"] + rows["ref_count"]).to_numpy(dtype=float)
    vaf = np.where(reads > 0, rows["alt_count"].to_numpy(dtype=float) / np.where(reads > 0, reads, 1.0), rows["vaf"])
    vaf = (
        vaf
        * count_copies(rows["copy_number"].to_numpy(dtype=float), on_x[gene] & is_male(train.clinical)[patient])
        / 2.0
    )
    n = len(train)
    known = ~np.isnan(vaf) & (vaf > 0)
    arrays = {"clones.x_linked": on_x.astype(np.uint8)}
    if known.any():
        value = logit(np.clip(vaf, 0.003, 0.997))
        with np.errstate(divide="ignore"):
            noise = np.where(reads > 0, 1.0 / (reads * np.clip(vaf * (1.0 - vaf), 0.003, None)), np.nan)
        arrays |= _fit_effects("vaf", value[known], gene[known], patient[known], noise[known], len(genes), n, design)
    known = reads > 0
    if known.any():
        value = np.log(reads[known])
        arrays |= _fit_effects(
            "depth", value, gene[known], patient[known], np.full(len(value), np.nan), len(genes), n, design[:, :0]
        )
    return arrays, plain


def _shares(values: pd.Series) -> dict[str, float]:
    counts = values.value_counts().sort_index()
    return {str(key): float(count / counts.sum()) for key, count in counts.items()}


def _describe_variants(
    variants: pd.DataFrame, alterations: pd.DataFrame, kinds: Mapping[str, str], min_carriers: int
) -> dict[str, Any]:
    """Plain data on the variants of one gene."""
    if variants.empty:
        return {"chromosome": None, "counts": [], "sets": [], "details": {}, "copies": []}
    label = variants["variant_class"].astype("object")
    label = label.where(label.notna(), "")
    number = variants.groupby("patient_id", sort=True).size().clip(upper=4)
    chromosomes = variants["chromosome"].dropna().astype(str).mode()
    sets = []
    for name, value, rows in _groups(label, variants["patient_id"], alterations, kinds):
        first = ~variants.loc[rows, "patient_id"].duplicated()
        before = label[rows].groupby(variants.loc[rows, "patient_id"]).shift()
        later = {
            str(key): _shares(label[rows][before == key]) | {"n": int((before == key).sum())}
            for key in sorted(before.dropna().unique())
        }
        sets.append({"event": name, "value": value, "first": _shares(label[rows][first]), "later": later})
    copy_number = variants["copy_number"].astype("object")
    copy_number = copy_number.where(copy_number.notna(), "").astype(str)
    details = {}
    for key in sorted(label.unique()):
        rows = label == key
        carriers = variants[rows].groupby("hgvsp", sort=True)["patient_id"].nunique()
        shared = [str(change) for change in carriers.index[carriers >= min_carriers]]
        reads = variants.loc[rows, ["alt_count", "ref_count"]].notna().all(axis=1)
        fraction = variants.loc[rows, "vaf"].notna()
        details[key] = {
            "changes": shared,
            "share": [float((variants.loc[rows, "hgvsp"] == change).mean()) for change in shared],
            "reads": float(reads.mean()),
            "fraction_only": float((fraction & ~reads).mean()),
        }
    return {
        "chromosome": str(chromosomes.iloc[0]) if len(chromosomes) else None,
        "counts": [float((number == k).mean()) for k in range(1, 5)],
        "sets": sets,
        "details": details,
        "copies": [
            {"event": name, "value": value, "share": _shares(copy_number[rows])}
            for name, value, rows in _groups(copy_number, variants["patient_id"], alterations, kinds)
        ],
    }


def _groups(
    label: pd.Series, patient: pd.Series, alterations: pd.DataFrame, kinds: Mapping[str, str]
) -> list[tuple[str | None, float | None, np.ndarray]]:
    """Rows by the state of the event that best predicts `label`, then all rows, for any other state."""
    everyone: list[tuple[str | None, float | None, np.ndarray]] = [(None, None, np.ones(len(label), dtype=bool))]
    event = _telling_event(label, patient, alterations, kinds)
    if event is None:
        return everyone
    state = alterations[event].reindex(patient).to_numpy()
    return [(event, value, state == value) for value in (0.0, 1.0) if (state == value).any()] + everyone


def _telling_event(
    label: pd.Series, patient: pd.Series, alterations: pd.DataFrame, kinds: Mapping[str, str]
) -> str | None:
    """The cytogenetic event that best predicts the class of a gene's variants, if it exceeds its BIC penalty."""
    best, chosen = 0.0, None
    codes = pd.factorize(label, sort=True)[0]
    for name, kind in kinds.items():
        if kind != "cytogenetic":
            continue
        state = alterations[name].reindex(patient).to_numpy()
        known = ~np.isnan(state)
        if known.sum() < 20 or len(np.unique(state[known])) < 2:
            continue
        table = np.zeros((2, codes.max() + 1))
        np.add.at(table, (state[known].astype(int), codes[known]), 1.0)
        total = table.sum()
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / total
        seen = table > 0
        information = float((table[seen] * np.log(table[seen] / expected[seen])).sum())
        gain = information - 0.5 * (np.count_nonzero(table.sum(axis=0)) - 1) * np.log(total) - np.log(len(kinds))
        if gain > best:
            best, chosen = gain, name
    return chosen


def _fit_effects(
    prefix: str,
    value: np.ndarray,
    gene: np.ndarray,
    patient: np.ndarray,
    noise: np.ndarray,
    n_genes: int,
    n: int,
    design: np.ndarray,
) -> dict[str, np.ndarray]:
    """Quantile function of each gene, and one factor over patients on the normal scores, by EM.

    Values that are all the same (a depth of 100 everywhere) are drawn as they are: they say nothing about a factor.
    """
    if value.min() == value.max():
        return {
            f"clones.{prefix}.quantile": np.full((n_genes, len(LEVELS)), value[0]),
            f"clones.{prefix}.loading": np.zeros(n_genes),
            f"clones.{prefix}.residual": np.ones(n_genes),
            f"clones.{prefix}.record": np.zeros(design.shape[1]),
            f"clones.{prefix}.spread": np.ones(1),
        }
    pooled = _smooth_quantiles(value)
    middle, width = np.median(value), _spread(value)
    quantile = np.empty((n_genes, len(LEVELS)))
    score = np.empty(len(value))
    low, high = float(value.min()), float(value.max())
    for g in range(n_genes):
        own = value[gene == g]
        trust = len(own) / (len(own) + PSEUDO)
        quantile[g] = pooled
        if len(own):
            # A gene of few carriers has the shape of all genes, at its own place and width.
            scale = (_spread(own) / width) ** trust if len(own) > 5 and width > 0 else 1.0
            quantile[g] = middle + trust * (np.median(own) - middle) + scale * (pooled - middle)
        if len(own) >= 2 * LEAST_PIECE:
            quantile[g] = trust * _smooth_quantiles(own) + (1.0 - trust) * quantile[g]
        quantile[g] = np.clip(quantile[g], low, high)
        if len(own):
            # Ranks among the gene's own mutations, exact where these are many: only what is drawn is smoothed.
            ranked = (ranks_of(own) - 0.5) / len(own)
            placed = trust * ranked + (1.0 - trust) * np.interp(own, quantile[g], LEVELS)
            score[gene == g] = ndtri(np.clip(placed, LEVELS[0], LEVELS[-1]))
            spread = np.var(own) if len(own) > 5 else np.var(value)
            extra = noise[gene == g]
            if np.isfinite(extra).any() and spread > 0:
                # reads are drawn binomially later: take the spread they add out of the fractions
                keep = np.sqrt(np.clip(1.0 - np.nanmedian(extra) / spread, 0.2, 1.0))
                quantile[g] = np.median(own) + keep * (quantile[g] - np.median(own))
    loading, residual = np.full(n_genes, 0.5), np.full(n_genes, 0.75)
    slope = np.zeros(design.shape[1])
    penalty = 50.0 * np.eye(design.shape[1])
    seen = np.bincount(patient, minlength=n) > 0
    counts = np.bincount(gene, minlength=n_genes)
    for _ in range(60):
        mean = design @ slope
        precision = 1.0 + np.bincount(patient, (loading**2 / residual)[gene], n)
        total = mean + np.bincount(patient, (loading / residual)[gene] * score, n)
        factor, variance = total / precision, 1.0 / precision
        square = (factor**2 + variance)[patient]
        common = float((score * factor[patient]).sum() / square.sum())
        loading = (np.bincount(gene, score * factor[patient], n_genes) + PSEUDO * common) / (
            np.bincount(gene, square, n_genes) + PSEUDO
        )
        error = score**2 - 2.0 * score * loading[gene] * factor[patient] + loading[gene] ** 2 * square
        residual = (np.bincount(gene, error, n_genes) + PSEUDO * error.mean()) / (counts + PSEUDO)
        residual = np.maximum(residual, LEAST_RESIDUAL)
        if design.shape[1]:
            slope = np.linalg.solve(design[seen].T @ design[seen] + penalty, design[seen].T @ factor[seen])
    return {
        f"clones.{prefix}.quantile": quantile,
        f"clones.{prefix}.loading": loading,
        f"clones.{prefix}.residual": residual,
        f"clones.{prefix}.record": slope,
        f"clones.{prefix}.spread": np.array([1.0 + float(np.var(design[seen] @ slope))]),
    }


def _smooth_quantiles(value: np.ndarray) -> np.ndarray:
    """The quantile function of `value` at LEVELS, one piece for at least `LEAST_PIECE` mutations, without extremes."""
    low, high = np.quantile(value, LEVELS[[0, -1]])
    return quantiles(np.clip(np.sort(value), low, high), LEVELS)


def _spread(value: np.ndarray) -> float:
    """Distance of the quartiles."""
    low, high = np.quantile(value, [0.25, 0.75])
    return float(high - low)


def _sample_effects(
    arrays: Mapping[str, np.ndarray],
    prefix: str,
    gene: np.ndarray,
    patient: np.ndarray,
    design: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """(mutations,) values on the scale of the quantile functions."""
    part = {name: arrays[f"clones.{prefix}.{name}"] for name in ("quantile", "loading", "residual", "record", "spread")}
    factor = rng.standard_normal(len(design))
    if part["record"].size:
        factor = factor + design @ part["record"]
    scale = np.sqrt(part["loading"] ** 2 * part["spread"][0] + part["residual"])
    score = part["loading"][gene] * factor[patient] + rng.standard_normal(len(gene)) * np.sqrt(part["residual"][gene])
    level = ndtr(score / scale[gene])
    value = np.empty(len(gene))
    for g in np.unique(gene):
        value[gene == g] = np.interp(level[gene == g], LEVELS, part["quantile"][g])
    return value


def sample_mutations(
    arrays: Mapping[str, np.ndarray],
    plain: Mapping[str, Any],
    given: Cohort,
    alterations: pd.DataFrame,
    design: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The mutations of synthetic patients, by patient and gene.

    Args:
        arrays: arrays of `fit_clones`.
        plain: plain data of `fit_clones`.
        given: the patients, with their clinical record.
        alterations: (patients, events) complete for the events; genes 0 where not sequenced.
        design: (patients, features) clinical record.
        rng: random stream.
    """
    genes = list(plain["genes"])
    patient, gene, label, change, shown, copy_numbers = [], [], [], [], [], []
    for g, name in enumerate(genes):
        about = plain["genes"][name]
        carriers = np.flatnonzero(alterations[name].to_numpy() == 1)
        if not about["counts"] or not len(carriers):
            continue
        counts = 1 + one_of_each(np.tile(about["counts"], (len(carriers), 1)), rng)
        for i, count in zip(carriers, counts, strict=True):
            group = _group(about["sets"], alterations, int(i))
            share = _group(about["copies"], alterations, int(i))["share"]
            copy_number = list(share)[int(one_of_each(np.array([list(share.values())]), rng)[0])]
            previous, used = None, set()
            for _ in range(count):
                current = _class_of_variant(group, previous, rng)
                detail = about["details"][current]
                share = [*detail["share"], max(0.0, 1.0 - sum(detail["share"]))]
                picked = int(one_of_each(np.array([share]), rng)[0])
                wording = detail["changes"][picked] if picked < len(detail["changes"]) else None
                wording = None if wording in used else wording  # a patient carries a protein change once
                used.add(wording)
                u = rng.random()
                patient.append(int(i))
                gene.append(g)
                label.append(current or None)
                change.append(wording)
                shown.append(2 if u < detail["reads"] else 1 if u < detail["reads"] + detail["fraction_only"] else 0)
                copy_numbers.append(float(copy_number) if copy_number else np.nan)
                previous = current
    who, which, how = np.array(patient, dtype=int), np.array(gene, dtype=int), np.array(shown, dtype=int)
    alt, ref, vaf = (np.full(len(who), np.nan) for _ in range(3))
    if len(who) and "clones.vaf.quantile" in arrays:
        fraction = expit(_sample_effects(arrays, "vaf", which, who, design, rng))
        single = arrays["clones.x_linked"].astype(bool)[which] & is_male(given.clinical)[who]
        in_clone = count_copies(np.array(copy_numbers), single)
        fraction = np.clip(2.0 * fraction / in_clone, 0.0, 1.0)
        if "clones.depth.quantile" in arrays:
            depth = np.maximum(np.rint(np.exp(_sample_effects(arrays, "depth", which, who, design, rng))), 1).astype(
                int
            )
            reads = np.maximum(rng.binomial(depth, fraction), 1)  # what was called was seen at least once
            alt, ref = np.where(how == 2, reads, np.nan), np.where(how == 2, depth - reads, np.nan)
            fraction = reads / depth
        vaf = np.where(how >= 1, fraction, np.nan)
    chromosome = [plain["genes"][name]["chromosome"] for name in genes]
    if not np.isnan(alt).any():
        alt, ref = alt.astype(np.int64), ref.astype(np.int64)
    table = pd.DataFrame(
        {
            "patient_id": given.patients.to_numpy()[who],
            "gene": np.array(genes, dtype=object)[which],
            "chromosome": np.array(chromosome, dtype=object)[which],
            "variant_class": np.array(label, dtype=object),
            "hgvsp": np.array(change, dtype=object),
            "alt_count": alt,
            "ref_count": ref,
            "vaf": vaf,
            "copy_number": np.array(copy_numbers, dtype=float),
        }
    )[list(MUTATION_COLUMNS)]
    return table.iloc[np.lexsort((which, who))].reset_index(drop=True)


def _group(sets: list[dict[str, Any]], alterations: pd.DataFrame, i: int) -> dict[str, Any]:
    for group in sets:
        if group["event"] is None or alterations[group["event"]].iloc[i] == group["value"]:
            return group
    return sets[-1]


def _class_of_variant(group: Mapping[str, Any], previous: str | None, rng: np.random.Generator) -> str:
    """The first variant's class, or that of a later one: learned transitions, leaning on the first where few."""
    share = dict(group["first"])
    if previous is not None and previous in group["later"]:
        later = dict(group["later"][previous])
        n = later.pop("n")
        trust = n / (n + 5.0)
        share = {
            key: (1.0 - trust) * share.get(key, 0.0) + trust * later.get(key, 0.0) for key in sorted({*share, *later})
        }
    names = [str(name) for name in share]
    return names[int(one_of_each(np.array([list(share.values())]), rng)[0])]


def complete(
    fitted: Fitted, given: Cohort, events: np.ndarray, design: np.ndarray, rng: np.random.Generator
) -> Alterations:
    """The genomic modality of synthetic patients from their complete alterations.

    Unknown alterations are taken out, and mutations are sampled for the genes that remain.

    Args:
        fitted: a generator whose description holds `alterations`, `left_out`, `missing` and `clones`.
        given: the patients.
        events: (patients, events) complete, 0 or 1.
        design: (patients, features) clinical record.
        rng: random stream.
    """
    kinds: Mapping[str, str] = fitted.description["alterations"]
    events = np.where([name in fitted.description["left_out"] for name in kinds], 0.0, events)
    sequenced, unknown = sample_missingness(fitted.arrays, fitted.description["missing"], kinds, design, rng)
    matrix = pd.DataFrame(np.where(unknown, np.nan, events), index=given.patients, columns=list(kinds))
    full = pd.DataFrame(events, index=given.patients, columns=list(kinds))
    gene = [name for name, kind in kinds.items() if kind == "gene"]
    full[gene] = matrix[gene]
    mutations = sample_mutations(fitted.arrays, fitted.description["clones"], given, full, design, rng)
    return Alterations(matrix, pd.Series(sequenced, index=given.patients, name="sequenced"), mutations)
