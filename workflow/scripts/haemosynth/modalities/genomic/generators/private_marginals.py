"""Alterations with differential privacy: noisy marginals joined in a tree that hangs from the clinical record.

Every alteration is absent, present or unknown; each has one parent, another alteration or a clinical column of declared
levels, chosen and measured as in `private_tree`. Genes count in sequenced patients. Of the mutations themselves, only
allele fractions are measured: one mutation of each patient, all genes together. Class, protein change, reads and copy
number stay empty. The panel must be listed by the study: a recurrent one is chosen by training patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import MUTATION_COLUMNS, Alterations, Cohort
from haemosynth.core.errors import InputError
from haemosynth.core.schema import Schema
from haemosynth.core.streams import one_of_each, torch_seed
from haemosynth.generate.fitted import Fitted
from haemosynth.privacy import private_tree
from haemosynth.privacy.accountant import Noise, divide_budget, secret, statement, variance_of
from haemosynth.privacy.private_tree import Domain, Tree, count_levels, denoise

DEFAULTS: dict[str, Any] = {
    "epsilon": 8.0,  # of the whole release, with the other modality; .inf for no privacy
    "delta": 1e-5,  # of the whole release
    "share": 0.4,  # of the release's zCDP budget that this modality spends
    "shares": {"marginals": 0.3, "selection": 0.2, "pairs": 0.4, "fractions": 0.1},  # what it is spent on
    "parents": None,  # clinical columns that an alteration may hang from; null: see `find_possible_parents`
}
PARTS = ("marginals", "selection", "pairs", "fractions")
FRACTIONS = 16  # cells of the allele fraction, a power of two
PUBLIC = [
    "the declared panel, and which of its events any training patient carries",
    "categories of the clinical columns that alterations may hang from",
    "the settings, the code, and the number of training patients",
]


def fit(train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator, checkpoint: Path | None = None) -> Fitted:
    """Measure training patients with noise; `checkpoint` is not used (seconds of work).

    Raises:
        InputError: no secret of the noise, no alterations, a panel that training patients chose, a parent that is not a
            column of declared levels, or a setting out of its range.
    """
    where = f"cohort {train.schema.cohort}: private_marginals"
    spent = divide_budget(settings, PARTS, where)
    key = secret()
    if train.alterations is None or not train.schema.alterations:
        raise InputError(f"cohort {train.schema.cohort}: a genomic generator needs patients with alterations")
    if "panel" not in train.schema.declared:
        raise InputError(
            f"cohort {train.schema.cohort}: a private method needs a public panel, and this one was chosen by training "
            f"patients; list the genes: `panel: [{', '.join(train.schema.genes[:2])}, ...]`"
        )
    parents = find_possible_parents(train.schema, settings["parents"])
    clinical, domains = _record(parents, train.clinical)
    levels = np.column_stack([clinical, _events(train)])
    fractions = _fractions(train)
    noise = Noise(key, {"modality": "genomic", **settings}, np.column_stack([levels, fractions]), torch_seed(rng))
    domains += [Domain(2, ((0,), (1,)), alone=True)]
    domains += [Domain(3, ((0,), (1,), (2,)), block=int(kind == "gene")) for kind in train.schema.alterations.values()]
    tree = private_tree.fit_tree(levels, domains, spent, noise, bins=3, given=len(parents))
    # One mutation of each patient counts, any with equal chances: one patient changes one cell by one.
    picked = [noise.one_of(row) for row in fractions if row.any()]
    variance = variance_of(spent["fractions"], 1)
    counts = noise.add_noise(count_levels(np.array(picked, dtype=np.int64), FRACTIONS + 1), variance)
    domain = Domain(FRACTIONS + 1, ((0,), tuple(range(1, FRACTIONS + 1))))
    cells = denoise(counts, domain, float(variance), max(1.0, float(counts.sum())))
    arrays, plain = tree.save()
    arrays["fractions"] = cells / cells.sum()
    names = [*parents, "sequenced", *train.schema.alterations]
    return Fitted(
        arrays,
        {
            "alterations": dict(train.schema.alterations),
            "record": {name: list(levels) for name, levels in parents.items()},
            "tree": plain,
            "edges": [[names[tree.parent[i]], names[i]] for i in tree.order if tree.parent[i] >= 0],
            "parameters": int(sum(table.size for table in tree.table.values())) + len(cells),
            "privacy": statement(settings, spent, PUBLIC),
        },
        pd.DataFrame(),
    )


def sample(fitted: Fitted, given: Cohort, rng: np.random.Generator) -> Alterations:
    """Alterations, sequencing and mutations for every patient of `given`, whose clinical record is read."""
    tree = Tree.load(fitted.arrays, fitted.description["tree"])
    parents, kinds = fitted.description["record"], fitted.description["alterations"]
    record, _ = _record(parents, given.clinical)
    levels = np.column_stack([record, np.zeros((len(given), 1 + len(kinds)), dtype=np.int64)])
    for i in tree.order:
        levels[:, i] = one_of_each(tree.probability(i, levels), rng)
    sequenced = levels[:, len(parents)] == 1
    states = np.array([0.0, 1.0, np.nan])[levels[:, len(parents) + 1 :]]
    gene = np.array([kind == "gene" for kind in kinds.values()], dtype=bool)
    states[np.ix_(~sequenced, gene)] = np.nan
    alterations = pd.DataFrame(states, index=given.patients, columns=list(kinds))
    patient, which = np.nonzero(alterations.loc[:, gene].to_numpy() == 1)
    cell = one_of_each(np.tile(fitted.arrays["fractions"], (len(patient), 1)), rng)
    vaf = np.where(cell > 0, (cell - rng.random(len(cell))) / FRACTIONS, np.nan)
    mutations = pd.DataFrame(
        {
            "patient_id": given.patients.to_numpy()[patient],
            "gene": np.array(list(kinds), dtype=object)[gene][which],
            **{name: np.full(len(patient), None, dtype=object) for name in ("chromosome", "variant_class", "hgvsp")},
            **{name: np.full(len(patient), np.nan) for name in ("alt_count", "ref_count", "copy_number")},
            "vaf": vaf,
        }
    )[list(MUTATION_COLUMNS)]
    return Alterations(alterations, pd.Series(sequenced, index=given.patients, name="sequenced"), mutations)


def tree_levels(fitted: Fitted, cohort: Cohort) -> np.ndarray:
    """(patients, variables) level of each variable of the tree, -1 for genes without sequencing."""
    return np.column_stack([_record(fitted.description["record"], cohort.clinical)[0], _events(cohort)])


# -------------------------------------------------------------------- levels


def find_possible_parents(schema: Schema, chosen: list[str] | None) -> dict[str, tuple[str, ...]]:
    """Clinical columns that an alteration may hang from, each with its declared levels.

    `chosen` None: levels of demographic and disease columns that were declared, and the primary event. Each costs a
    one-way count, so that few are better than many.

    Raises:
        InputError: a chosen column is not there, is derived, is a number, or its categories were not declared.
    """
    events = {f"{endpoint}_event" for endpoint in schema.endpoints}
    usable = {
        name: ("0", "1") if name in events else column.categories
        for name, column in schema.columns.items()
        if name in events or (not column.numeric and column.derived is None and "categories" in column.declared)
    }
    if chosen is None:
        first = {f"{schema.endpoints[0]}_event"} if schema.endpoints else set()
        groups = ("demographic", "disease")
        return {n: levels for n, levels in usable.items() if n in first or schema.columns[n].group in groups}
    for name in chosen:
        if name not in usable:
            raise InputError(
                f"cohort {schema.cohort}: private_marginals: parents: {name} is no column of declared levels; "
                f"expected one of {', '.join(usable)}"
            )
    return {name: usable[name] for name in chosen}


def _record(
    parents: Mapping[str, list[str] | tuple[str, ...]], clinical: pd.DataFrame
) -> tuple[np.ndarray, list[Domain]]:
    """(patients, parents) level of each parent, 0 for missing or undeclared ones, and their domains."""
    columns, domains = [], []
    for name, levels in parents.items():
        values = clinical[name]
        if not isinstance(values.dtype, pd.CategoricalDtype):
            values = values.map({0.0: "0", 1.0: "1"})
        columns.append(pd.Index(list(levels)).get_indexer(pd.Index(values.astype("object"))) + 1)
        domains.append(Domain(len(levels) + 1, tuple((code,) for code in range(len(levels) + 1))))
    return np.stack(columns, axis=1) if columns else np.empty((len(clinical), 0), dtype=np.int64), domains


def _events(train: Cohort) -> np.ndarray:
    """(patients, 1 + alterations): sequenced or not, then 0, 1 or 2 (unknown); -1 for genes without sequencing."""
    assert train.alterations is not None
    assert train.sequenced is not None
    sequenced = train.sequenced.to_numpy(dtype=bool)
    states = train.alterations.fillna(2.0).to_numpy().astype(np.int64)
    gene = np.array([kind == "gene" for kind in train.schema.alterations.values()], dtype=bool)
    states[np.ix_(~sequenced, gene)] = -1
    return np.column_stack([sequenced.astype(np.int64), states])


def _fractions(train: Cohort) -> np.ndarray:
    """(patients, 1 + cells) mutations without an allele fraction, and in each cell of it."""
    assert train.mutations is not None
    table = train.mutations
    vaf = pd.to_numeric(table["vaf"]).to_numpy(dtype=float)
    reads = [pd.to_numeric(table[name]).to_numpy(dtype=float) for name in ("alt_count", "ref_count")]
    with np.errstate(divide="ignore", invalid="ignore"):
        vaf = np.where(np.isnan(vaf), reads[0] / (reads[0] + reads[1]), vaf)
    cell = np.where(np.isnan(vaf), 0, np.clip(np.ceil(np.nan_to_num(vaf) * FRACTIONS), 1, FRACTIONS)).astype(np.int64)
    counts = np.zeros((len(train), FRACTIONS + 1), dtype=np.int64)
    row = train.patients.get_indexer(pd.Index(table["patient_id"]))
    np.add.at(counts, (row[row >= 0], cell[row >= 0]), 1)
    return counts
