"""The three attacks of the European guidance: what the attacker sees, what he finds, and the risk read from it.

Singling out, linkability and inference (Article 29 Working Party, Opinion 05/2014, WP216) are attacked as Giomi et al.
define it. Their library `anonymeter` writes the singling-out queries and gives its intervals. Its search for
neighbours is done here, once for all secrets and with the same distance, and so is what it leaves to chance or does
not know: seeded draws, missing values, the expectation of naive guesses instead of one draw of them, and intervals
over patients. The release is attacked once; a resample of patients then only counts their successes anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLACK, BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, SKY, SYNTHETIC, VERMILION, new_figure
from haemosynth.encode.records import Encoder, Matrix, Vector
from haemosynth.modalities.registry import ALTERED, NAMES, RECORD
from haemosynth.stats.neighbours import CHUNK
from haemosynth.stats.null_distribution import RARE, exchange_members, quantile
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

EXCHANGES = 1000  # of training and control patients, to see what chance shows
FEWEST = 20  # attacks on a side: below, a success rate says nothing
TOO_FEW = f"fewer than {FEWEST} attacks could be made on training or control patients"
NO_GENOMIC = "the cohort has no genomic modality"
SOURCE = "Giomi et al., Proc Priv Enhanc Technol 2023;2023(2):312 (anonymeter)"
ROWS_SHOWN = 16
SIDES = ("main", "control", "baseline")
COLOURS = dict(zip(NAMES, cycle((BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION)), strict=False))


@dataclass(frozen=True)
class Tally:
    """Successes and attempts of every attack on every attacked patient.

    patients: each once. right, tried: (patients, attacks).
    """

    patients: pd.Index
    right: Matrix
    tried: Matrix

    def over(self, patients: pd.Index) -> tuple[Vector, Vector]:
        """(attacks,) successes and attempts, summed over these patients, each as often as it is drawn."""
        where = self.patients.get_indexer(patients)
        where = where[where >= 0]
        return self.right[where].sum(axis=0), self.tried[where].sum(axis=0)


@dataclass(frozen=True)
class Attacked:
    """What the attacks on a release found.

    attacks: (name, modality) of each. main: against training patients. control: the same attacks against patients
    whom no generator has seen. baseline: naive guesses against training patients. chance: modality -> what chance
    shows, where it was asked for.
    """

    attacks: tuple[tuple[str, str], ...]
    main: Tally
    control: Tally
    baseline: Tally
    chance: Mapping[str, float] = field(default_factory=dict)


def with_chance(found: Attacked, rng: np.random.Generator) -> Attacked:
    """The same with what the risk of each modality is by chance, training and control patients exchanged at random.

    For attacks whose success on a patient does not depend on which side the patient is on.
    """
    right, tried = (np.concatenate([getattr(side, part) for side in (found.main, found.control)])
                    for part in ("right", "tried"))  # fmt: skip
    member = np.repeat([True, False], [len(found.main.patients), len(found.control.patients)])
    labels = exchange_members(member, EXCHANGES, rng)
    chance = {}
    for modality in dict.fromkeys(modality for _, modality in found.attacks):
        ours = [kind == modality for _, kind in found.attacks]
        won, made = right[:, ours].sum(axis=1), tried[:, ours].sum(axis=1)
        chance[modality] = np.nan
        if min(made[member].sum(), made[~member].sum()) < FEWEST:
            continue
        main, control = labels @ won / (labels @ made), ~labels @ won / (~labels @ made)
        left = 1 - control
        null = np.divide(main - control, left, out=np.zeros(len(main)), where=left > 0)
        chance[modality] = quantile(np.clip(null, 0, 1), RARE)
    return replace(found, chance=chance)


def metrics(attack: str, success: str, naive: str, exchangeable: bool = False) -> tuple[Metric, ...]:
    """The metrics of an attack.

    Args:
        success, naive: in words, when the attack succeeds and what the naive attacker does.
        exchangeable: whether `with_chance` applies to it.
    """
    rates = {
        "main_success": f"share of attacks on training patients that succeed: {success}",
        "control_success": "the same attacks on control patients",
        "baseline_success": f"the naive attacker on training patients: {naive}",
    }
    return (
        Metric(
            f"{attack}_risk", "error", "", (0, 1), PRIVACY, "attack",
            "(r_main - r_control) / (1 - r_control), at least 0; r: shares of successful attacks on training and on"
            " control patients. all: the attacks of a modality together",
            SOURCE,
        ),
        Metric(
            f"{attack}_risk_upper", "descriptive", "", (0, 1), PRIVACY, "attack",
            "upper end of the library's 95 % interval of the risk, from Wilson's intervals of both shares, attacks"
            " taken as independent",
            f"{SOURCE}; Wilson, J Am Stat Assoc 1927;22:209",
        ),
        *(
            Metric(name, "descriptive", "share", (0, 1), PRIVACY, "attack", text, SOURCE)
            for name, text in rates.items()
        ),
        *((
            Metric(
                f"{attack}_chance", "descriptive", "", (0, 1), PRIVACY, "attack",
                "99.5 % quantile of the metric that is the target, with training and control patients exchanged"
                " at random",
                "Fisher, The Design of Experiments, 1935 (randomisation test)",
            ),
        ) if exchangeable else ()),
    )  # fmt: skip


def measure_attack(attack: str, found: Attacked, comparison: Comparison, apart: Sequence[str] = ()) -> list[Value]:
    """Risk and success rates of each attack, and `all` for each modality, on these (resampled) patients.

    Attacks named in `apart` do not count for `all`.
    """
    counts = [
        found.main.over(comparison.train.patients),
        found.control.over(comparison.control.patients),
        found.baseline.over(comparison.train.patients),
    ]
    values, least = [], least_risk(comparison)
    for i, (name, modality) in enumerate(found.attacks):
        values += _values(attack, [(right[i], tried[i]) for right, tried in counts], name, modality, "", least)
    for modality in dict.fromkeys([RECORD, ALTERED, *(modality for _, modality in found.attacks)]):
        ours = np.array([kind == modality and name not in apart for name, kind in found.attacks], dtype=bool)
        pooled = [(right[ours].sum(), tried[ours].sum()) for right, tried in counts]
        reason = NO_GENOMIC if modality == ALTERED and comparison.train.alterations is None else ""
        values += _values(attack, pooled, "all", modality, reason, least)
    n = len(found.main.patients)
    values += [
        Value(f"{attack}_chance", chance, f"{attack}_risk", modality, n, "" if np.isfinite(chance) else TOO_FEW)
        for modality, chance in found.chance.items()
    ]
    return values


def _values(
    attack: str, counts: Sequence[tuple[float, float]], name: str, modality: str, reason: str, least: float
) -> list[Value]:
    if not reason and min(tried for _, tried in counts[:2]) < FEWEST:
        reason = TOO_FEW
    n = round(counts[0][1])
    if reason:
        names = [f"{attack}_risk", f"{attack}_risk_upper", *(f"{side}_success" for side in SIDES)]
        return [Value(metric, np.nan, name, modality, n, reason) for metric in names]
    rates = [min(1.0, right / tried) for right, tried in counts]
    value, upper = risk(rates[0], rates[1], least), risk_upper(counts)
    why = "" if np.isfinite(value) else "the attack always succeeds on control patients: nothing is left to measure"
    return [
        Value(f"{attack}_risk", value, name, modality, n, why),
        Value(f"{attack}_risk_upper", upper, name, modality, n),
        *(Value(f"{side}_success", rate, name, modality, n) for side, rate in zip(SIDES, rates, strict=True)),
    ]


def risk(main: float, control: float, least: float = 0.0) -> float:
    """Excess success on training patients as a share of what was left to gain; NaN where nothing was left."""
    return float(np.clip((main - control) / (1 - control), least, 1)) if control < 1 else np.nan


def least_risk(comparison: Comparison) -> float:
    """Where a risk is held: at 0, but below it for resampled patients.

    Intervals are centred on the value; resamples that were cut at 0 too would lift their lower end.
    """
    return -1.0 if comparison.train.patients.has_duplicates else 0.0


def risk_upper(counts: Sequence[tuple[float, float]]) -> float:
    """Upper end of the library's 95 % interval. counts: (successes, attacks) on training, control, naive."""
    from anonymeter.stats.confidence import EvaluationResults

    right = [min(successes, tried) for successes, tried in counts]
    with warnings.catch_warnings():  # of attacks no better than naive guesses: the rates say so
        warnings.simplefilter("ignore")
        results = EvaluationResults(
            n_attacks=(counts[0][1], counts[2][1], counts[1][1]),
            n_success=right[0], n_baseline=right[2], n_control=right[1],
        )  # fmt: skip
    return float(results.risk().ci[1])


@dataclass(frozen=True)
class Attributes:
    """Patients as the attacks compare them: numbers, and integer codes of levels and alterations.

    tables: one per cohort, equal columns, rows numbered. of: attribute -> its columns. numbers: columns that are
    numbers, the others are codes.
    """

    tables: tuple[pd.DataFrame, ...]
    of: dict[str, list[str]]
    numbers: frozenset[str]

    def with_numbers(self, names: Sequence[str], values: Sequence[Matrix], known: Matrix) -> Attributes:
        """The same with further numbers of the patients, on the scale that `Encoder` gives to clinical ones.

        Args:
            names: of the numbers. values: (patients, numbers) of each table. known: the rows that give the scale.
        """
        low, high = np.nanquantile(known, [0.1, 0.9], axis=0)
        width = np.where(high > low, high - low, 1.0)
        further = [
            pd.DataFrame({
                column: found
                for i, name in enumerate(names)
                for column, found in _number(name, table[:, i], (low + high)[i] / 2, width[i]).items()
            })
            for table in values
        ]  # fmt: skip
        return Attributes(
            tuple(pd.concat(pair, axis=1) for pair in zip(self.tables, further, strict=True)),
            self.of | {name: [name, f"{name} is missing"] for name in names},
            self.numbers | set(names),
        )

    def of_rows(self, names: Sequence[str], rows: Sequence[NDArray[np.bool_]]) -> Attributes:
        """These attributes alone, of these rows of each table."""
        of = {name: self.of[name] for name in names}
        columns = [column for name in names for column in of[name]]
        tables = [table.loc[own, columns].reset_index(drop=True) for table, own in zip(self.tables, rows, strict=True)]
        return Attributes(tuple(tables), of, self.numbers & set(names))


def _number(name: str, values: Vector, middle: float, width: float) -> dict[str, NDArray[np.generic]]:
    """The two columns of a number: in the middle of its range where it is missing, and whether it is."""
    missing = np.isnan(values)
    return {
        name: np.where(missing, 0.0, np.clip((values - middle) / width, -1, 1)),
        f"{name} is missing": missing.astype(np.int64),
    }


def attributes(encoder: Encoder, outcomes: Sequence[str], *cohorts: Cohort) -> Attributes:
    """Baseline columns (underived, without `outcomes`) and alterations of the cohorts.

    Numbers are clipped as in `Encoder`, since distances divide them by their range, and one outlier would make all
    others alike. A missing number is in the middle of its range and is marked by a code of its own; a missing
    level or an unknown alteration is a level.
    """
    of: dict[str, list[str]] = {}
    columns: list[dict[str, NDArray[np.generic]]] = [{} for _ in cohorts]
    numbers = []
    for name, middle, width in encoder.numbers:
        if name in outcomes:
            continue
        of[name] = [name, f"{name} is missing"]
        numbers.append(name)
        for table, cohort in zip(columns, cohorts, strict=True):
            table |= _number(name, cohort.clinical[name].to_numpy(float), middle, width)
    for name, levels in encoder.levels:
        of[name] = [name]
        for table, cohort in zip(columns, cohorts, strict=True):
            codes = pd.Index(levels).get_indexer(pd.Index(cohort.clinical[name].astype(object)))
            codes[(codes < 0) & cohort.clinical[name].notna().to_numpy()] = len(levels)
            table[name] = codes.astype(np.int64)
    for name in encoder.alterations:
        of[name] = [name]
        for table, cohort in zip(columns, cohorts, strict=True):
            assert cohort.alterations is not None
            table[name] = cohort.alterations[name].fillna(2).to_numpy().astype(np.int64)
    return Attributes(tuple(pd.DataFrame(table) for table in columns), of, frozenset(numbers))


def neighbours(
    seen: Attributes,
    attacked: pd.DataFrame,
    released: pd.DataFrame,
    sets: Sequence[Sequence[str]],
    rng: np.random.Generator,
    count: int = 1,
) -> list[NDArray[np.int64]]:
    """The `count` released records nearest to each attacked patient, for several sets of known attributes.

    The library's distance: |x - y| over the range of both tables for a number, 1 for another code, summed over the
    known attributes. Sums over many sets are had from one pass over the attributes. `rng` breaks ties.

    Returns:
        for each set: rows of `released`, (patients, count).
    """
    names = list(seen.of)
    count = min(count, len(released))
    orders = [rng.permutation(len(released)) for _ in sets]
    found = [np.empty((len(attacked), count), dtype=np.int64) for _ in sets]
    step = max(1, CHUNK // max(1, len(released) * len(names)))
    for start in range(0, len(attacked), step):
        rows = slice(start, start + step)
        gaps = np.array([_gaps(seen, attacked, released, name, rows) for name in names])
        total = gaps.sum(axis=0)
        for known, order, rows_found in zip(sets, orders, found, strict=True):
            chosen = np.isin(names, list(known))
            few = gaps[chosen if 2 * chosen.sum() <= len(names) else ~chosen].sum(axis=0)
            distances = (few if 2 * chosen.sum() <= len(names) else total - few)[:, order]
            # Sums taken in another order differ in their last digits: ties are ties.
            distances = np.round(distances, 9)
            nearest = distances.argmin(axis=1)[:, None] if count == 1 else distances.argsort(axis=1, kind="stable")
            rows_found[rows] = order[nearest[:, :count]]
    return found


def _gaps(seen: Attributes, attacked: pd.DataFrame, released: pd.DataFrame, name: str, rows: slice) -> Matrix:
    """Distances on one attribute.  (patients of `rows`, released records)"""
    gaps = np.zeros((len(attacked.index[rows]), len(released)))
    for column in seen.of[name]:
        mine, theirs = attacked[column].to_numpy(), released[column].to_numpy()
        if column in seen.numbers:
            width = max(mine.max(), theirs.max()) - min(mine.min(), theirs.min())
            gaps += np.abs(mine[rows, None] - theirs[None, :]) / (width or 1.0)
        else:
            gaps += mine[rows, None] != theirs[None, :]
    return gaps


def some_patients(cohort: Cohort, most: int, rng: np.random.Generator) -> Cohort:
    """Patients to attack, each once: all of them, or `most` at random."""
    each = np.flatnonzero(~cohort.patients.duplicated())
    return cohort.take(np.sort(rng.permutation(each)[:most]))


def figure(attack: str, values: pd.DataFrame, comparison: Comparison, label: str) -> Figure:
    """Success rates on training and control patients and of naive guesses; the risk read from them."""
    rows = risk_rows(attack, values)
    drawn, (left, right) = new_figure(9, 1.5 + 0.27 * max(3, len(rows)), ncols=2, sharey=True)
    draw_risks(left, right, attack, values, rows)
    drawn.legend(*left.get_legend_handles_labels(), loc="outside upper right", ncols=3, fontsize=8)
    left.set_title(headline(comparison, label), loc="left", fontsize=9)
    return drawn


def headline(comparison: Comparison, label: str) -> str:
    """The candidate and how many patients are attacked."""
    return f"{label}: {len(comparison.train):,} training and {len(comparison.control):,} control patients"


def draw_risks(left: Any, right: Any, attack: str, values: pd.DataFrame, rows: list[tuple[str, str]]) -> None:
    """Success rates on the left axis, the risk on the right one, a row for each (target, modality)."""
    keyed = by_key(values)
    sides = {
        "main_success": ("training patients", SYNTHETIC, "o", -0.16),
        "control_success": ("control patients", BLACK, "s", 0.16),
        "baseline_success": ("naive guesses", NEUTRAL, "|", 0.0),
    }
    for metric, (text, colour, marker, shift) in sides.items():
        for place, (target, modality) in enumerate(rows):
            row = keyed[metric, target, modality]
            draw_interval(left, row, place + shift, colour, marker, text if place == 0 else None)
    for place, (target, modality) in enumerate(rows):
        row = keyed[f"{attack}_risk", target, modality]
        draw_interval(right, row, place, COLOURS[modality], "o")
        aside, side = (6, "left") if row["value"] < 0.85 else (-6, "right")
        right.annotate(f"{row['value']:.2f}", (row["value"], place), (aside, 5), textcoords="offset points",
                       ha=side, va="center", fontsize=8)  # fmt: skip
    right.axvline(0, color=NEUTRAL, lw=0.9, ls="--")
    right.axvline(1, color=NEUTRAL, lw=0.9, ls=":")
    names = {"all": "all attacks"}
    left.set_yticks(range(len(rows)), [f"{names.get(target, target)} ({modality})" for target, modality in rows])
    left.set(xlabel="attacks that succeed (share)", xlim=(-0.02, 1.02))
    right.set(xlabel="risk (0: as on unseen patients, 1: certainty)", xlim=(-0.05, 1.05))
    right.tick_params(axis="y", length=0)
    for axis in (left, right):
        axis.set_ylim(max(1, len(rows)) - 0.4, -0.6)


def by_key(values: pd.DataFrame) -> dict[tuple[str, str, str], pd.Series]:
    """(metric, target, modality) -> the row, where there is a value."""
    known = values[values["status"] == "ok"]
    keys = zip(known["metric"], known["target"], known["modality"], strict=True)
    return {key: row for key, (_, row) in zip(keys, known.iterrows(), strict=True)}


def risk_rows(attack: str, values: pd.DataFrame, most: int = ROWS_SHOWN) -> list[tuple[str, str]]:
    """(target, modality) of what is drawn: the modalities, then single attacks, of many those with the highest risk."""
    risks = values[(values["metric"] == f"{attack}_risk") & (values["status"] == "ok")]
    pooled, single = risks[risks["target"] == "all"], risks[risks["target"] != "all"]
    # A modality with one attack only is not shown twice.
    twice = single.merge(pooled, on=["modality", "value", "low", "high"], suffixes=("", "_of_all"))["target"]
    single = single[~single["target"].isin(twice)]
    highest = single.sort_values("value", ascending=False, kind="stable").index[: most - len(pooled)]
    shown = pd.concat([pooled, single.loc[sorted(highest)]])
    return list(zip(shown["target"], shown["modality"], strict=True))


def draw_interval(axis: Any, row: pd.Series, place: float, colour: str, marker: str, text: str | None = None) -> None:
    """A value and its interval in a row of an axis."""
    if np.isfinite(row["low"]):
        axis.plot([row["low"], row["high"]], [place, place], color=colour, lw=1.3)
    axis.plot(row["value"], place, marker, color=colour, ms=5 if marker != "|" else 9, mew=1.4, label=text, ls="none")
