"""Which gene was mutated before which, patient by patient, from read counts.

Cancer cell fraction = VAF x copies of the gene, at most 1 (a higher VAF shows loss of the other allele). In a patient,
gene i comes before gene j if
1. more cells hold i: a one-sided Fisher test on reads, and
2. some cells hold both: the fractions add up to more than 1 (the pigeonhole principle), so that j arose within i.
Papaemmanuil et al., N Engl J Med 2016;374:2209.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort
from haemosynth.modalities.genomic.cell_fraction import count_copies, is_male, is_x_linked

Vector = np.ndarray[Any, np.dtype[np.float64]]
Matrix = np.ndarray[Any, np.dtype[np.float64]]
Positions = np.ndarray[Any, np.dtype[np.intp]]


@dataclass(frozen=True)
class CellFractions:
    """Mutations whose cancer cell fraction is known; each field is (mutations,).

    patient: code of the patient. times: how often the patient, with all mutations, is in the cohort (a resample).
    gene: position in the list of genes. fraction: of the cancer cells. depth: reads, NaN where only a VAF is known.
    """

    patient: Positions
    times: Vector
    gene: Positions
    fraction: Vector
    depth: Vector


def compute_cell_fractions(cohort: Cohort, genes: list[str], unreliable: Collection[str] = ()) -> CellFractions:
    """Cancer cell fractions of the mutations of `genes`.

    Copies are the recorded copy number, else 1 for a man's X-linked gene and 2 for all others.

    Args:
        unreliable: genes and variant classes whose allele fractions are left out, as internal tandem duplications.
    """
    table = pd.DataFrame(columns=list(MUTATION_COLUMNS)) if cohort.mutations is None else cohort.mutations
    alt, ref, vaf, copy_number = (
        pd.to_numeric(table[name]).to_numpy(np.float64) for name in ("alt_count", "ref_count", "vaf", "copy_number")
    )
    depth = np.where(alt + ref > 0, alt + ref, np.nan)
    vaf = np.where(np.isnan(depth), vaf, alt / depth)
    people = pd.DataFrame({"male": is_male(cohort.clinical)}, index=cohort.patients)
    people["times"] = people.groupby(level=0)["male"].transform("size")
    people = people[~people.index.duplicated()]
    patient = people.index.get_indexer(pd.Index(table["patient_id"]))
    single = is_x_linked(table["gene"], table["chromosome"]) & people["male"].to_numpy()[patient]
    gene = pd.Index(genes).get_indexer(pd.Index(table["gene"]))
    trusted = ~(table["gene"].isin(unreliable) | table["variant_class"].isin(unreliable)).to_numpy()
    known = trusted & (gene >= 0) & (patient >= 0) & ~np.isnan(vaf)
    return CellFractions(
        patient[known],
        people["times"].to_numpy(np.float64)[patient][known],
        gene[known],
        np.minimum(vaf * count_copies(copy_number, single), 1.0)[known],
        depth[known],
    )


@dataclass(frozen=True)
class Precedence:
    """Who came before whom.

    wins: (genes, genes), patients in whom the row gene came before the column gene. cases: (genes,), patients in whom
    the gene has its place before or after another. pairs: pairs of genes with read counts, over all patients.
    burden: (patients,), precedences of each patient who has such a pair; times: (patients,), how often each of them
    is in the cohort.
    """

    wins: Matrix
    cases: Vector
    pairs: float
    burden: Vector
    times: Vector


def find_precedence(mutations: CellFractions, genes: int, significance: float) -> Precedence:
    """Precedences of all pairs of genes within patients.

    Of several mutations of a gene in a patient, the one in most cells counts. Reads are those that two copies
    would show (alternative reads = depth x fraction / 2), so that genes with unequal copies are tested for the same
    fraction of cells: as observed for diploid genes, conservative for a man's X-linked gene.
    """
    from scipy.stats import hypergeom

    usable = np.flatnonzero(~np.isnan(mutations.depth))
    key = mutations.patient[usable] * genes + mutations.gene[usable]
    order = usable[np.lexsort((-mutations.depth[usable], -mutations.fraction[usable], key))]
    key = mutations.patient[order] * genes + mutations.gene[order]
    order = order[np.r_[True, key[1:] != key[:-1]]] if len(order) else order
    patient, gene = mutations.patient[order], mutations.gene[order]
    fraction, depth, times = mutations.fraction[order], np.rint(mutations.depth[order]), mutations.times[order]

    # Rows are sorted by patient: a patient's pairs are rows 1, 2, 3 ... apart.
    most = int(np.unique(patient, return_counts=True)[1].max(initial=0))
    apart = [np.flatnonzero(patient[k:] == patient[:-k]) for k in range(1, most)]
    one = np.concatenate([np.empty(0, dtype=np.intp), *apart])
    other = one + np.repeat(np.arange(1, max(most, 1)), [len(rows) for rows in apart])
    first = np.where(fraction[one] >= fraction[other], one, other)
    later = one + other - first
    shared = fraction[first] + fraction[later] > 1
    alt = np.rint(depth * fraction / 2)
    p = np.ones(len(one))
    a, b = first[shared], later[shared]
    # P(as many alternative reads on the first side), given how many there are on both.
    p[shared] = hypergeom.sf(alt[a] - 1, depth[a] + depth[b], alt[a] + alt[b], depth[a])
    ordered = shared & (fraction[first] > fraction[later]) & (p < significance)

    wins = np.zeros((genes, genes))
    np.add.at(wins, (gene[first[ordered]], gene[later[ordered]]), times[one[ordered]])
    placed = np.unique(np.concatenate([first[ordered], later[ordered]]))
    cases = np.bincount(gene[placed], times[placed], genes).astype(np.float64)
    people = np.unique(patient[one])
    burden = np.bincount(np.searchsorted(people, patient[one[ordered]]), minlength=len(people)).astype(np.float64)
    standing = times[np.searchsorted(patient, people)]
    return Precedence(wins, cases, float(times[one].sum()), burden, standing)
