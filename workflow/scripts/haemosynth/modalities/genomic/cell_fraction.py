"""In what share of the cancer cells is a mutation? Copies of a gene, and cancer cell fractions from read counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Recurrently mutated genes of the X chromosome, for cohorts that record no chromosomes.
X_LINKED = ("ATRX", "BCOR", "BCORL1", "BRCC3", "DDX3X", "KDM6A", "PHF6", "PIGA", "SMC1A", "STAG2", "ZRSR2")


def is_male(clinical: pd.DataFrame) -> Flags:
    """Who is recorded as a man, in a column named sex or gender.  (patients,)"""
    flags = np.zeros(len(clinical), dtype=bool)
    for name in clinical:
        if str(name).lower() in ("sex", "gender"):
            flags = clinical[name].astype("object").astype(str).str.lower().isin(["male", "m"]).to_numpy()
    return flags


def is_x_linked(genes: Iterable[Any], chromosomes: Iterable[Any]) -> Flags:
    """Whether each gene lies on the X chromosome: as recorded, by name (`X_LINKED`) where nothing is recorded."""
    pairs = zip(genes, chromosomes, strict=True)
    return np.array(
        [gene in X_LINKED if pd.isna(x) else str(x) in ("X", "chrX", "23") for gene, x in pairs], dtype=bool
    )


def count_copies(copy_number: Vector, single: Flags) -> Vector:
    """Copies of the gene in a cell: as recorded, else 1 where `single` (a man's X-linked gene), else 2."""
    return np.asarray(np.where(copy_number >= 0.5, copy_number, np.where(single, 1.0, 2.0)))
