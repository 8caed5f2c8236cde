"""Newly diagnosed multiple myeloma, simulated from the published aggregates in `resources/myeloma/`.

Every table there has a `source` column; `assumption` marks what no publication gives. How a patient is made:

1. Alterations: subgroup, then the other events (`haemosynth.modalities.clinical.simulate.truth`, exact).
2. Clinical scores: a Gaussian structural model (`dependence.tsv`) on age, tumour burden, sex, light chain disease and
   alterations; each score has variance one and is carried to its column by the quantiles of `laboratory.tsv` or the
   level frequencies of `levels.tsv`. So the columns depend on one another and keep their published distributions.
3. Survival: a positive stable frailty Z of index a (Hougaard, Biometrika 1986;73:387) and, given Z, two independent
   times with Weibull hazards: death, Z A(t), and progression, Z (B(t) - A(t)). PFS is the earlier of the two. Then
   S_OS(t) = exp(-A(t)^a) and S_PFS(t) = exp(-B(t)^a): both are exactly proportional hazards with the published
   hazard ratios, PFS never exceeds OS, and the two are dependent beyond their covariates.
4. Clones: cytogenetic events come first and are in every tumour cell. Then genes race in independent exponential times
   with rates exp(log_ability), so that the order of mutation is exactly Bradley-Terry. What came before the last clonal
   sweep is in every tumour cell; the cancer cell fraction of what came later falls with its time. One copy of a gene is
   mutated; reads follow from copy number, purity and depth.
5. Recording: grain, digit preference, and missingness that depends on recorded age and centre only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.special import expit, ndtr, ndtri

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort, set_types
from haemosynth.core.derive import derive
from haemosynth.core.errors import InputError
from haemosynth.core.files import read_table
from haemosynth.core.schema import Column, Schema
from haemosynth.core.streams import one_of_each
from haemosynth.modalities.clinical.simulate.truth import (
    INSTABILITY,
    Array,
    EventModel,
    describe_pairs,
    solve_event_model,
)

BURDEN = "tumour burden"
TABLES = {
    "alterations": ("alteration", "kind", "chromosome", "frequency", "patients", "source"),
    "pairs": ("first", "second", "log_odds", "source"),
    "order": ("alteration", "log_ability", "source"),
    "laboratory": ("column", "quantile", "value", "source"),
    "levels": ("column", "level", "frequency", "source"),
    "level_effects": ("column", "level", "parent", "log_odds", "source"),
    "dependence": ("column", "parent", "coefficient", "source"),
    "hazard_ratios": ("covariate", "endpoint", "contrast", "hazard_ratio", "source"),
    "missingness": ("column", "rate", "age", "source"),
    "copy_numbers": ("gene", "event", "share", "copies", "source"),
    "hotspots": ("gene", "hgvsp", "share", "source"),
    "parameters": ("parameter", "value", "unit", "source"),
}
# Recording: the step, and the limits that every value keeps.
GRAINS = {
    "haemoglobin": ("g/dL", 0.1, 0.0, 25.0),
    "calcium": ("mmol/L", 0.01, 0.0, 8.0),
    "creatinine": ("umol/L", 1.0, 0.0, 3000.0),
    "LDH": ("U/L", 1.0, 0.0, 20000.0),
    "beta2_microglobulin": ("mg/L", 0.1, 0.0, 200.0),
    "albumin": ("g/L", 1.0, 0.0, 80.0),
    "plasma_cells": ("%", 5.0, 0.0, 100.0),
}
COMORBIDITIES = ("diabetes", "cardiac_disease", "pulmonary_disease")
HIGH_RISK = ("del(17p)", "t(4;14)", "t(14;16)")
DOUBLE_HIT = ("t(4;14)", "t(14;16)", "t(14;20)", "gain(1q)", "del(17p)")
SUPPRESSORS = frozenset(
    {"ATM", "CYLD", "DIS3", "FAT3", "HUWE1", "KDM6A", "MAX", "PRDM1", "RB1", "SP140", "TENT5C", "TP53", "TRAF3"}
)
LOSS_CLASSES = ("Nonsense_Mutation", "Frame_Shift_Del", "Frame_Shift_Ins", "Splice_Site", "Missense_Mutation")
LOSS_SHARES = (0.22, 0.16, 0.10, 0.07, 0.45)


@dataclass(frozen=True)
class Aggregates:
    """The published aggregates: one table each, and the single numbers by name."""

    tables: Mapping[str, pd.DataFrame]
    numbers: Mapping[str, float]

    def __getitem__(self, table: str) -> pd.DataFrame:
        return self.tables[table]

    def rows(self, table: str, column: str) -> pd.DataFrame:
        """The rows of a table that are about this clinical column."""
        whole = self.tables[table]
        return whole[whole["column"] == column]


def read_aggregates(folder: Path) -> Aggregates:
    """Read the tables of `resources/myeloma/`.

    Raises:
        InputError: a table or one of its columns is missing, or a row has no source.
    """
    tables = {}
    for name, columns in TABLES.items():
        path = folder / f"{name}.tsv"
        table = read_table(path)
        for column in columns:
            if column not in table:
                raise InputError(f"{path}: column {column} is missing")
        if table["source"].isna().any():
            row = int(np.flatnonzero(table["source"].isna())[0]) + 2
            raise InputError(f"{path}, line {row}: the source is missing; name the publication, or write assumption")
        tables[name] = table
    tables["levels"]["level"] = tables["levels"]["level"].astype(str)
    parameters = tables["parameters"]
    numbers = {
        str(name): float(value) for name, value in zip(parameters["parameter"], parameters["value"], strict=True)
    }
    return Aggregates(tables, numbers)


def simulate(
    name: str,
    patients: int,
    endpoints: tuple[str, ...],
    genomic: bool,
    missing: bool,
    folder: Path,
    rng: np.random.Generator,
) -> tuple[Cohort, dict[str, Any]]:
    """Simulate a cohort of newly diagnosed myeloma, and return the truth behind it; see `simulate_cohort`."""
    known = read_aggregates(folder)
    model = solve_event_model(known["alterations"], known["pairs"], known.numbers[INSTABILITY])
    state, drawn = model.sample(patients, rng)
    index = pd.Index([f"MM{i:05d}" for i in range(1, patients + 1)], name="patient_id")
    events = pd.DataFrame(drawn, index=index, columns=list(model.events))

    levels = _levels_given_state(known, model, state, rng)
    scores = _scores(known, model, state, events, levels, rng)
    clinical = pd.DataFrame(_record(known, scores, levels, rng), index=index)
    clinical["induction"] = _induction(known, clinical["transplant"], rng)
    design = _design(known, clinical, events)
    survival, survival_truth = _survival(known, design, rng)
    clinical = pd.concat([clinical, survival], axis=1)
    mutations, fractions = _mutations(known, events, clinical["sex"], rng)

    sequenced = pd.Series(True, index=index, name="sequenced")
    missingness: dict[str, Any] = {"mechanism": "none", "columns": {}}
    if missing:
        clinical, events, sequenced, missingness = _hide(known, clinical, events, rng)

    schema = _schema(name, known, endpoints, genomic=True)
    kept = mutations["patient_id"].isin(index[sequenced]).to_numpy()
    seen = mutations[kept].reset_index(drop=True)
    # Derived columns are computed from what is recorded, after values were hidden.
    cohort = derive(
        Cohort.of(schema, set_types(clinical.reindex(columns=list(schema.columns)), schema), events, sequenced, seen)
    )
    if not genomic:
        cohort = Cohort(_schema(name, known, endpoints, genomic=False), cohort.clinical)

    cytogenetic = [event for event, kind in schema.alterations.items() if kind == "cytogenetic"]
    truth = {
        "disease": "myeloma",
        "patients": patients,
        "method": "frequencies and odds ratios are exact sums over the planted model, not Monte Carlo estimates",
        "subgroups": {
            "frequency": _totals(model.subgroups, model.weights),
            "genomic_instability": known.numbers[INSTABILITY],
            "of_patient": {p: model.subgroups[s] for p, s in zip(index, state, strict=True)},
            "unstable": [p for p, s in zip(index, state, strict=True) if model.unstable[s]],
        },
        "alterations": {
            "frequency": dict(zip(model.events, model.frequencies.tolist(), strict=True)),
            "conditional_log_odds": known["pairs"][["first", "second", "log_odds"]].to_dict("records"),
            "intercepts": {e: float(a) for e, a in zip(model.events, model.intercepts, strict=True) if np.isfinite(a)},
            "pairs": describe_pairs(model, known["pairs"]),
        },
        "clinical": {
            "dependence": known["dependence"][["column", "parent", "coefficient"]].to_dict("records"),
            "level_effects": known["level_effects"][["column", "level", "parent", "log_odds"]].to_dict("records"),
            "anchors": known["laboratory"][["column", "quantile", "value"]].to_dict("records"),
        },
        "survival": survival_truth,
        "order": {
            "model": "a difference of log_ability is the log odds that the first gene is mutated before the second",
            "before_all_mutations": cytogenetic,
            "log_ability": known["order"].set_index("alteration")["log_ability"].astype(float).to_dict(),
        },
        "mutations": fractions[kept].to_dict("list"),
        "missingness": missingness,
    }
    return cohort, truth


def _totals(names: tuple[str, ...], weights: Array) -> dict[str, float]:
    return {name: float(weights[[n == name for n in names]].sum()) for name in dict.fromkeys(names)}


# ---- clinical record -------------------------------------------------------------------------------------------------


def _softmax_intercepts(frequencies: Array, weights: Array, effects: Array) -> Array:
    """Intercepts of a multinomial logit with these overall frequencies.

    frequencies: (levels,); weights: (groups,); effects: (groups, levels). Iterative proportional fitting.
    """
    intercepts = np.log(frequencies)
    for _ in range(500):
        chance = np.exp(intercepts + effects)
        chance /= chance.sum(axis=1, keepdims=True)
        step = np.log(frequencies) - np.log(weights @ chance)
        intercepts = intercepts + step
        if np.abs(step).max() < 1e-12:
            break
    return intercepts


def _level_chances(known: Aggregates, column: str, parents: list[str], weights: Array) -> tuple[list[str], Array]:
    """Levels of a column and their probabilities in each group of patients, groups named by their parent."""
    table = known.rows("levels", column)
    names = list(table["level"])
    effects = np.zeros((len(parents), len(names)))
    for _, row in known.rows("level_effects", column).iterrows():
        effects[[parent == row["parent"] for parent in parents], names.index(row["level"])] += row["log_odds"]
    chance = np.exp(_softmax_intercepts(table["frequency"].to_numpy(float), weights, effects) + effects)
    return names, chance / chance.sum(axis=1, keepdims=True)


def _draw(names: list[str], chances: Array, rng: np.random.Generator) -> NDArray[np.object_]:
    """One level per row of `chances`."""
    drawn: NDArray[np.object_] = np.array(names, dtype=object)[one_of_each(chances, rng)]
    return drawn


@dataclass(frozen=True)
class _Levels:
    """Columns that depend on the subgroup alone, and their chances given the state (for the structural model)."""

    drawn: Mapping[str, NDArray[np.object_]]
    female: Array
    light_chain: Array


def _levels_given_state(
    known: Aggregates, model: EventModel, state: NDArray[np.intp], rng: np.random.Generator
) -> _Levels:
    chances = {
        column: _level_chances(known, column, list(model.subgroups), model.weights)
        for column in ("sex", "isotype", "centre")
    }
    drawn = {column: _draw(names, chance[state], rng) for column, (names, chance) in chances.items()}

    def given(column: str, level: str) -> Array:
        names, chance = chances[column]
        return chance[:, names.index(level)]

    return _Levels(drawn, given("sex", "Female"), given("isotype", "Light chain"))


def _scores(
    known: Aggregates,
    model: EventModel,
    state: NDArray[np.intp],
    events: pd.DataFrame,
    levels: _Levels,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Scores of mean 0 and variance 1 in the population: the structural model of `dependence.tsv`.

    Each score is carried as its loadings on the exogenous variables, so that its residual variance is what is left to
    one; the covariance of the exogenous variables is exact (sex, isotype and events are independent given the state).
    """
    n = len(events)
    table = known["dependence"]
    columns = list(dict.fromkeys(table["column"]))
    given = {
        "female": levels.female,
        "light chain": levels.light_chain,
        INSTABILITY: model.unstable,
        **{event: model.given_state[:, j] for j, event in enumerate(model.events) if event in set(table["parent"])},
    }
    exogenous = ["age", BURDEN, *given, *columns]  # the last: each score's own noise
    chance = np.column_stack(list(given.values()))
    mean = model.weights @ chance
    covariance = np.eye(len(exogenous))
    middle, covariance[0, 0] = _age_moments(known)
    block = chance.T @ (model.weights[:, None] * chance) - np.outer(mean, mean)
    np.fill_diagonal(block, mean * (1 - mean))
    covariance[2 : 2 + len(given), 2 : 2 + len(given)] = block

    values = {
        "female": levels.drawn["sex"] == "Female",
        "light chain": levels.drawn["isotype"] == "Light chain",
        INSTABILITY: model.unstable[state],
        **{event: events[event].to_numpy() for event in given if event in events},
    }
    z: dict[str, Array] = {"age": _age_scores(known, n, rng) - middle, BURDEN: rng.standard_normal(n)}
    z.update({name: value.astype(float) - m for (name, value), m in zip(values.items(), mean, strict=True)})
    loadings = {name: np.eye(len(exogenous))[i] for i, name in enumerate(exogenous[: 2 + len(given)])}
    for column in columns:
        rows = table[table["column"] == column]
        for parent in rows["parent"]:
            if parent not in loadings:
                raise InputError(f"dependence.tsv: {column} depends on {parent}, which is unknown or comes later")
        loading = sum(c * loadings[p] for p, c in zip(rows["parent"], rows["coefficient"], strict=True))
        explained = float(loading @ covariance @ loading)
        if explained >= 1:
            raise InputError(
                f"dependence.tsv: the parents of {column} explain a variance of {explained:.2f}; at most 1"
            )
        residual = float(np.sqrt(1 - explained))
        own = np.zeros(len(exogenous))
        own[exogenous.index(column)] = residual
        loadings[column] = loading + own
        z[column] = residual * rng.standard_normal(n) + sum(
            c * z[p] for p, c in zip(rows["parent"], rows["coefficient"], strict=True)
        )
    return z


def _age_scores(known: Aggregates, n: int, rng: np.random.Generator) -> Array:
    """Standard normal scores of age, cut at the youngest and oldest age."""
    low, high = ndtr(_age_limits(known))
    return np.asarray(ndtri(low + (high - low) * rng.random(n)))


def _age_moments(known: Aggregates) -> tuple[float, float]:
    """Mean and variance of the cut normal scores of age."""
    low, high = _age_limits(known)
    density = np.exp(-0.5 * np.array([low, high]) ** 2) / np.sqrt(2 * np.pi)
    inside = ndtr(high) - ndtr(low)
    mean = (density[0] - density[1]) / inside
    return float(mean), float(1 + (low * density[0] - high * density[1]) / inside - mean**2)


def _age_limits(known: Aggregates) -> Array:
    limits = np.array([known.numbers["youngest"], known.numbers["oldest"]])
    return np.asarray((limits - _median_age(known)) / known.numbers["age spread"])


def _median_age(known: Aggregates) -> float:
    anchors = known.rows("laboratory", "age")
    return float(anchors.loc[anchors["quantile"] == 0.5, "value"].iloc[0])


def _at_quantiles(known: Aggregates, column: str, score: Array) -> Array:
    """Carry standard normal scores to the column's published quantiles: log values, monotone between the anchors."""
    anchors = known.rows("laboratory", column).sort_values("quantile")
    knots = ndtri(anchors["quantile"].to_numpy(float))
    curve = PchipInterpolator(knots, np.log(anchors["value"].to_numpy(float)))
    return np.asarray(np.exp(curve(np.clip(score, knots[0], knots[-1]))))


def _record(
    known: Aggregates, scores: Mapping[str, Array], levels: _Levels, rng: np.random.Generator
) -> dict[str, Any]:
    """The clinical columns at diagnosis as they are written down."""
    age = scores["age"] + _age_moments(known)[0]
    columns: dict[str, Any] = {
        "age": np.rint(_median_age(known) + known.numbers["age spread"] * age),
        **levels.drawn,
    }
    for column, (_, grain, _, _) in GRAINS.items():
        steps = np.rint(_at_quantiles(known, column, scores[column]) / grain)
        columns[column] = np.round(np.maximum(steps, 1) * grain, 2)
    cells = columns["plasma_cells"]
    moved = (cells % 10 == 5) & (cells > 10) & (rng.random(len(cells)) < known.numbers["preference for tens"])
    columns["plasma_cells"] = np.where(moved, cells + rng.choice([-5.0, 5.0], size=len(cells)), cells)
    for column in ("ECOG", "bone_lesions", *COMORBIDITIES, "transplant"):
        table = known.rows("levels", column)
        if len(table) == 1:  # yes or no: the highest scores are yes
            columns[column] = np.where(scores[column] > ndtri(1 - table["frequency"].iloc[0]), "Yes", "No")
        else:
            cuts = ndtri(np.cumsum(table["frequency"].to_numpy(float))[:-1])
            columns[column] = table["level"].to_numpy(object)[np.searchsorted(cuts, scores[column])]
    return columns


def _induction(known: Aggregates, transplant: pd.Series, rng: np.random.Generator) -> NDArray[np.object_]:
    share = float(known.rows("levels", "transplant")["frequency"].iloc[0])
    names, chance = _level_chances(known, "induction", ["no transplant", "transplant"], np.array([1 - share, share]))
    return _draw(names, chance[(transplant == "Yes").to_numpy().astype(np.intp)], rng)


# ---- survival --------------------------------------------------------------------------------------------------------


def _design(known: Aggregates, clinical: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """The covariates of `hazard_ratios.tsv`, from the complete record."""
    b, albumin = clinical["beta2_microglobulin"], clinical["albumin"]
    design: dict[str, pd.Series] = {
        "age": (clinical["age"] - _median_age(known)) / 10,
        "ISS II": (b < 5.5) & ~((b < 3.5) & (albumin >= 35)),
        "ISS III": b >= 5.5,
        "LDH above limit": clinical["LDH"] > known.numbers["LDH limit"],
        "ECOG 2-3": clinical["ECOG"].isin(["2", "3"]),
        "transplant": clinical["transplant"] == "Yes",
        **{str(event): events[event] for event in events},
    }
    wanted = list(dict.fromkeys(known["hazard_ratios"]["covariate"]))
    for covariate in wanted:
        if covariate not in design:
            raise InputError(
                f"hazard_ratios.tsv: covariate {covariate} is unknown; expected one of {', '.join(design)}"
            )
    return pd.DataFrame({covariate: design[covariate].astype(float) for covariate in wanted})


def compute_log_hazard_ratios(known: Aggregates) -> pd.DataFrame:
    """Conditional log hazard ratios: rows covariates, columns OS and PFS."""
    table = known["hazard_ratios"]
    columns = {}
    for endpoint in ("OS", "PFS"):
        rows = table[table["endpoint"] == endpoint].set_index("covariate")["hazard_ratio"]
        columns[endpoint] = pd.Series(np.log(rows.to_numpy(float)), index=rows.index)
    return pd.DataFrame(columns).loc[list(dict.fromkeys(table["covariate"]))]


def _survival(known: Aggregates, design: pd.DataFrame, rng: np.random.Generator) -> tuple[pd.DataFrame, dict[str, Any]]:
    """OS and PFS in months, censored; and what generated them."""
    n, numbers = len(design), known.numbers
    effects = compute_log_hazard_ratios(known)
    shape, frailty_index = numbers["survival shape"], numbers["frailty index"]
    # Cumulative hazards at 60 months, marginal over the frailty: exactly the published proportional hazards.
    hazard = {
        endpoint: numbers[f"{endpoint} reference hazard"] * np.exp(design.to_numpy() @ effects[endpoint].to_numpy())
        for endpoint in ("OS", "PFS")
    }
    if (hazard["PFS"] < hazard["OS"]).any():
        patient = design.index[hazard["PFS"] < hazard["OS"]][0]
        raise InputError(
            f"hazard_ratios.tsv: patient {patient} would die faster than progress or die; "
            "lower the hazard ratios of OS or raise those of PFS"
        )
    frailty = _positive_stable(frailty_index, n, rng)
    given = {endpoint: frailty * value ** (1 / frailty_index) for endpoint, value in hazard.items()}
    power = frailty_index / shape  # the shape given the frailty is shape / frailty_index
    death = 60 * (rng.standard_exponential(n) / given["OS"]) ** power
    only_progression = given["PFS"] - given["OS"]
    with np.errstate(divide="ignore"):
        progression = 60 * (rng.standard_exponential(n) / only_progression) ** power
    first = np.minimum(death, progression)
    follow_up = numbers["shortest follow-up"] + numbers["accrual"] * rng.random(n)
    lost = rng.exponential(1 / numbers["loss to follow-up"], n)
    censoring = np.minimum(follow_up, lost)
    table = {}
    for endpoint, time in (("OS", death), ("PFS", first)):
        table[f"{endpoint}_time"] = np.maximum(np.round(np.minimum(time, censoring), 1), 0.1)
        table[f"{endpoint}_event"] = (time <= censoring).astype(float)
    truth = {
        "design": known["hazard_ratios"][["covariate", "contrast"]]
        .drop_duplicates("covariate")
        .set_index("covariate")["contrast"]
        .to_dict(),
        "note": "conditional on the whole design, marginal over the frailty: what a Cox model on the design estimates",
        "log_hazard_ratios": {endpoint: effects[endpoint].to_dict() for endpoint in ("OS", "PFS")},
        "weibull": {
            endpoint: {
                "shape": shape,
                "reference_cumulative_hazard_at_60_months": numbers[f"{endpoint} reference hazard"],
            }
            for endpoint in ("OS", "PFS")
        },
        "frailty": {"distribution": "positive stable", "index": frailty_index, "kendall_tau": 1 - frailty_index},
        "censoring": {
            "follow_up_months": [numbers["shortest follow-up"], numbers["shortest follow-up"] + numbers["accrual"]],
            "lost_per_month": numbers["loss to follow-up"],
        },
    }
    return pd.DataFrame(table, index=design.index), truth


def _positive_stable(index: float, n: int, rng: np.random.Generator) -> Array:
    """Positive stable variables with E exp(-s Z) = exp(-s^index) (Kanter, Ann Probab 1975;3:697)."""
    angle = np.pi * (1 - rng.random(n))
    waiting = rng.standard_exponential(n)
    shape = np.sin((1 - index) * angle) * np.sin(index * angle) ** (index / (1 - index))
    shape /= np.sin(angle) ** (1 / (1 - index))
    return np.asarray((shape / waiting) ** ((1 - index) / index))


# ---- clones and reads ------------------------------------------------------------------------------------------------


def _mutations(
    known: Aggregates, events: pd.DataFrame, sex: pd.Series, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The mutation table, and per mutation its true cancer cell fraction, purity and expected VAF."""
    numbers = known.numbers
    alterations = known["alterations"].set_index("alteration")
    genes = list(alterations.index[alterations["kind"] == "gene"])
    ability = known["order"].set_index("alteration")["log_ability"]
    lacking = [gene for gene in genes if gene not in ability.index]
    if lacking:
        raise InputError(f"order.tsv: gene {lacking[0]} of alterations.tsv is missing")
    n = len(events)
    rates = np.exp(ability.loc[genes].to_numpy(float))
    log_time = np.log(rng.standard_exponential((n, len(genes))) / rates)
    sweep = rng.normal(numbers["sweep mean"], numbers["sweep spread"], n)
    fraction = np.exp(-numbers["subclone slope"] * np.maximum(log_time - sweep[:, None], 0))
    fraction = np.maximum(fraction, numbers["least cancer cell fraction"])
    strength = numbers["purity strength"]
    purity = rng.beta(numbers["purity mean"] * strength, (1 - numbers["purity mean"]) * strength, n)
    copies = np.full((n, len(genes)), 2.0)
    normal = np.full((n, len(genes)), 2.0)
    for j, gene in enumerate(genes):
        if alterations.loc[gene, "chromosome"] == "X":
            copies[:, j] = normal[:, j] = np.where(sex == "Male", 1.0, 2.0)
    for _, row in known["copy_numbers"].iterrows():
        changed = (events[row["event"]] == 1).to_numpy() & (rng.random(n) < row["share"])
        copies[changed, genes.index(row["gene"])] = row["copies"]

    patient, gene_index = np.nonzero(events[genes].to_numpy() == 1)
    again = rng.random(len(patient)) < numbers["second mutation"]
    repeat = np.repeat(np.arange(len(patient)), 1 + again)
    patient, gene_index = patient[repeat], gene_index[repeat]
    second = np.concatenate([[False], repeat[1:] == repeat[:-1]])[: len(repeat)]
    cell_fraction = fraction[patient, gene_index]
    # A second mutation of the gene came later: in a part of the cells that hold the first.
    part = np.maximum(cell_fraction * rng.uniform(0.3, 1.0, len(patient)), numbers["least cancer cell fraction"])
    cell_fraction = np.where(second, np.minimum(part, cell_fraction), cell_fraction)
    total = copies[patient, gene_index]
    share = purity[patient]
    vaf = cell_fraction * share / (share * total + (1 - share) * normal[patient, gene_index])
    size, mean = numbers["depth size"], numbers["depth mean"] - numbers["least depth"]
    depth = int(numbers["least depth"]) + rng.negative_binomial(size, size / (size + mean), len(patient))
    # A mutation is known because it was seen: reads are binomial, given at least so many.
    alternate = rng.binomial(depth, vaf)
    while (unseen := alternate < numbers["least alternate reads"]).any():
        alternate[unseen] = rng.binomial(depth[unseen], vaf[unseen])
    names = np.array(genes, dtype=object)[gene_index]
    variant, change = _consequences(known, names, rng)
    table = pd.DataFrame(
        {
            "patient_id": events.index.to_numpy()[patient],
            "gene": names,
            "chromosome": alterations.loc[genes, "chromosome"].astype(str).to_numpy()[gene_index],
            "variant_class": variant,
            "hgvsp": change,
            "alt_count": alternate,
            "ref_count": depth - alternate,
            "vaf": alternate / depth,
            "copy_number": total,
        }
    )
    truth = pd.DataFrame(
        {
            "patient_id": table["patient_id"],
            "gene": names,
            "cancer_cell_fraction": cell_fraction.round(6),
            "purity": share.round(6),
            "expected_vaf": vaf.round(6),
            "second": second,
        }
    )
    return table[list(MUTATION_COLUMNS)], truth


def _consequences(
    known: Aggregates, names: NDArray[np.object_], rng: np.random.Generator
) -> tuple[NDArray[np.object_], NDArray[np.object_]]:
    """Variant class and protein change; the change is known for hotspots only."""
    variant = np.full(len(names), "Missense_Mutation", dtype=object)
    change = np.full(len(names), None, dtype=object)
    loss = np.array([name in SUPPRESSORS for name in names], dtype=bool)
    variant[loss] = _draw(list(LOSS_CLASSES), np.tile(LOSS_SHARES, (int(loss.sum()), 1)), rng)
    where = rng.random(len(names))
    for gene, table in known["hotspots"].groupby("gene", sort=True):
        rows = np.flatnonzero((names == gene) & (variant == "Missense_Mutation"))
        position = np.searchsorted(np.cumsum(table["share"].to_numpy(float)), where[rows], side="right")
        sites = np.array([*table["hgvsp"], None], dtype=object)
        change[rows] = sites[position]
    return variant, change


# ---- missingness -----------------------------------------------------------------------------------------------------


def _hide(
    known: Aggregates, clinical: pd.DataFrame, events: pd.DataFrame, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, pd.Series, dict[str, Any]]:
    """Hide values at random given recorded age and centre, at the stated overall rates."""
    clinical, events = clinical.copy(), events.copy()
    alterations = known["alterations"].set_index("alteration")["kind"]
    genes, cytogenetic = list(alterations.index[alterations == "gene"]), list(alterations.index[alterations != "gene"])
    centres = known.rows("levels", "centre")
    ages, age_weights = _age_distribution(known)
    age = (clinical["age"].to_numpy() - _median_age(known)) / 10
    place = pd.Categorical(clinical["centre"], categories=list(centres["level"])).codes
    sequenced = pd.Series(True, index=clinical.index, name="sequenced")
    told: dict[str, Any] = {}
    for _, row in known["missingness"].iterrows():
        effects = np.array([float(row[f"centre {level}"]) for level in centres["level"]])
        weights = age_weights[:, None] * centres["frequency"].to_numpy(float)
        grid = row["age"] * (ages - _median_age(known))[:, None] / 10 + effects
        intercept = float(
            brentq(lambda a, g, w, r: float((w * expit(a + g)).sum()) - r, -40, 40, (grid, weights, row["rate"]))
        )
        hidden = rng.random(len(clinical)) < expit(intercept + row["age"] * age + effects[place])
        column = row["column"]
        if column == "cytogenetics":
            events.loc[hidden, cytogenetic] = np.nan
        elif column == "sequencing":
            events.loc[hidden, genes] = np.nan
            sequenced = pd.Series(~hidden, index=clinical.index, name="sequenced")
        elif column in events:
            events.loc[hidden, column] = np.nan
        elif column in clinical:
            clinical.loc[hidden, column] = np.nan
        else:
            raise InputError(f"missingness.tsv: {column} is neither a column nor an alteration of the cohort")
        told[column] = {
            "rate": float(row["rate"]),
            "intercept": intercept,
            "log_odds_per_10_years_from_median_age": float(row["age"]),
            "centre": dict(zip(centres["level"], effects.tolist(), strict=True)),
            "hidden": int(hidden.sum()),
        }
    mechanism = (
        "missing at random given recorded age and centre; a cytogenetic event is also missing with the whole assay"
    )
    return clinical, events, sequenced, {"mechanism": mechanism, "columns": told}


def _age_distribution(known: Aggregates) -> tuple[Array, Array]:
    """Recorded ages (whole years) and their probabilities."""
    limits = _age_limits(known)
    youngest, oldest = known.numbers["youngest"], known.numbers["oldest"]
    ages = np.arange(youngest, oldest + 1)
    edges = np.concatenate([[youngest], ages[:-1] + 0.5, [oldest]])
    mass = np.diff(ndtr((edges - _median_age(known)) / known.numbers["age spread"]))
    return ages, mass / np.diff(ndtr(limits))


# ---- schema ----------------------------------------------------------------------------------------------------------


def _schema(name: str, known: Aggregates, endpoints: tuple[str, ...], genomic: bool) -> Schema:
    def levels(column: str) -> tuple[str, ...]:
        return tuple(known.rows("levels", column)["level"])

    def column(kind: str, group: str, **more: Any) -> Column:
        return Column(kind, group, **more, declared=("kind", "group", *more))

    def rule(text: str) -> dict[str, str]:
        return {"derived": text} if genomic else {}

    def quoted(names: tuple[str, ...]) -> str:
        return ", ".join(f"'{name}'" for name in names)

    yes_no = ("No", "Yes")
    numbers = known.numbers
    columns = {
        "age": column(
            "integer", "demographic", unit="years", low=numbers["youngest"], high=numbers["oldest"], grain=1.0
        ),
        "sex": column("binary", "demographic", categories=levels("sex")),
        "centre": column("categorical", "other", categories=levels("centre")),
        "ECOG": column("ordinal", "disease", categories=levels("ECOG")),
        "isotype": column("categorical", "disease", categories=levels("isotype")),
        **{
            lab: column(
                "continuous", "disease" if lab == "plasma_cells" else "laboratory",
                unit=unit, low=low, high=high, grain=grain,
            )
            for lab, (unit, grain, low, high) in GRAINS.items()
        },
        "bone_lesions": column("binary", "disease", categories=yes_no),
        "ISS": column(
            "ordinal", "disease", categories=("I", "II", "III"), derived="iss(beta2_microglobulin, albumin)"
        ),
        "R_ISS": column(
            "ordinal", "disease", categories=("I", "II", "III"),
            **rule(f"r_iss(ISS, LDH, {numbers['LDH limit']:g}, {quoted(HIGH_RISK)})"),
        ),
        "high_risk_cytogenetics": column(
            "binary", "disease", categories=yes_no, **rule(f"count_at_least(1, {quoted(HIGH_RISK)})")
        ),
        "double_hit": column(
            "binary", "disease", categories=yes_no, **rule(f"count_at_least(2, {quoted(DOUBLE_HIT)})")
        ),
        **{comorbidity: column("binary", "comorbidity", categories=yes_no) for comorbidity in COMORBIDITIES},
        "induction": column("categorical", "treatment", categories=levels("induction")),
        "transplant": column("binary", "treatment", categories=yes_no),
    }  # fmt: skip
    for endpoint in endpoints:
        columns[f"{endpoint}_time"] = column("time", "outcome", unit="months", low=0.1, grain=0.1)
        columns[f"{endpoint}_event"] = column("event", "outcome")
    kinds = known["alterations"].set_index("alteration")["kind"]
    return Schema(
        name,
        columns,
        endpoints,
        {str(event): "gene" if kind == "gene" else "cytogenetic" for event, kind in kinds.items()} if genomic else {},
        notes=(
            "Simulated from published aggregates; no patient is real.",
            "transplant: whether first-line autologous transplantation was intended at diagnosis.",
        ),
    )
