"""Alterations that were drawn together with the record, completed by mutations, reads and allele fractions.

The clinical method of the recipe has `joint: true`; this one adds what a table of events does not hold, see
`variant_calls`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Alterations, Cohort
from haemosynth.core.errors import InputError
from haemosynth.generate import at_most
from haemosynth.generate.fitted import Fitted
from haemosynth.modalities.encode.predictors import describe_record, design_matrix
from haemosynth.modalities.genomic.generators.logistic_chain import (
    find_kinships,
    find_normal_karyotypes,
    read_training_events,
)
from haemosynth.modalities.genomic.generators.variant_calls import fit_clones, sample_mutations

DEFAULTS: dict[str, Any] = {
    "patients": 20_000,  # training patients to learn from; of more so many are drawn at random
    "min_carriers": 5,  # training patients that must share a protein change before it is ever written
}

TAKES_UP = True  # what `draw` gives it has alterations


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None = None) -> Fitted:
    """Learn the mutations of the carriers of each gene.

    Raises:
        InputError: the training patients have no alterations.
    """
    train = at_most(train, int(settings["patients"]), rng)
    read_training_events(train)
    record = describe_record(train)
    clones, plain = fit_clones(train, design_matrix(record, train.clinical), int(settings["min_carriers"]))
    arrays = clones | {"kin": find_kinships(train), "normal": find_normal_karyotypes(train)}
    return Fitted(
        arrays,
        {
            "alterations": dict(train.schema.alterations),
            "record": record,
            "clones": plain,
            "patients": len(train),
            "parameters": int(sum(array.size for array in arrays.values())),
        },
        pd.DataFrame(),
    )


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Alterations:
    """The alterations that `given` has, and mutations of their carriers.

    An alteration named after a gene takes the gene with it, and a normal karyotype gives way to events that no training
    patient has with it. Genes of patients who were not sequenced are unknown.

    Raises:
        InputError: the patients have no alterations.
    """
    if given.alterations is None or given.sequenced is None:
        raise InputError("generators: the genomic method is joint; the clinical method needs joint: true")
    kinds: Mapping[str, str] = fitted.description["alterations"]
    events = given.alterations[list(kinds)].to_numpy(dtype=float, copy=True)
    for child, parent in fitted.arrays["kin"]:
        events[events[:, child] == 1, parent] = 1.0
    for karyotype, event in fitted.arrays["normal"]:
        events[events[:, event] == 1, karyotype] = 0.0
    gene = np.array([kind == "gene" for kind in kinds.values()], dtype=bool)
    events[np.ix_(~given.sequenced.to_numpy(dtype=bool), gene)] = np.nan
    matrix = pd.DataFrame(events, index=given.patients, columns=list(kinds))
    design = design_matrix(fitted.description["record"], given.clinical)
    mutations = sample_mutations(fitted.arrays, fitted.description["clones"], given, matrix, design, rng)
    return Alterations(matrix, given.sequenced.rename("sequenced"), mutations)
