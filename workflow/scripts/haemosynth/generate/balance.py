"""Quotas on classes of patients: classes as frequent as a study asks, with everything else as it was drawn.

A class is a level or a band of a clinical column, an alteration, or one of several named classes. Patients are drawn
from the fitted generator as always, many more than are needed, and those of each class are kept until its quota is
full: within a class they are patients of the generator given the class, whatever the algorithm and the order of its
modalities, and no model has to be able to draw given a class. The cost is a longer draw: a class that is k times rarer
than its quota needs k draws for each patient, so that the draw is bounded (`pool.RECORDS`), and a class that does not
fill its quota is refused.

Several quotas are met together, and independently of one another: a cell, one category of each quota, has the product
of their shares. The order of the patients is such that the first n of them have the quotas of n patients, for every n
(to a patient, where a share of n is not whole): a smaller release is a part of a larger one, as without quotas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort, synthetic_ids
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.errors import InputError, suggestion
from haemosynth.generate.pool import RECORDS
from haemosynth.generate.quota_form import ABSENT, CLASSES, DECLARED, EVEN, OTHERS, PRESENT, shares_of

FEWEST = 20  # real patients of a class that may be enlarged without a declaration
SPARE = 1.5  # patients drawn for each that training patients say is needed: a model may find a class rarer
BAND = re.compile(r"^(?:(<|<=|>|>=)\s*(-?[\d.]+)|(-?[\d.]+)\s*to\s*(-?[\d.]+))$")
Labels = NDArray[np.intp]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Quota:
    """One quota: names of its categories, with the share that each is to have.

    key: as the study writes it. The category `others`, where there is one, holds everybody whom no other does; a
    patient of no category (such as one whose level is missing) is not drawn.
    """

    key: str
    categories: tuple[str, ...]
    shares: tuple[float, ...]

    def labels(self, cohort: Cohort) -> Labels:
        """(patients,) position of each patient's category, -1 for none."""
        found = np.full(len(cohort), -1, dtype=np.intp)
        for place, category in reversed(list(enumerate(self.categories))):  # of two classes the first one counts
            if category != OTHERS:
                found[self._belongs(cohort, category)] = place
        if OTHERS in self.categories:
            found[found < 0] = self.categories.index(OTHERS)
        return found

    def _belongs(self, cohort: Cohort, category: str) -> NDArray[np.bool_]:
        if self.key != CLASSES or CLASSES in cohort.schema.columns:
            return _members(cohort, self.key, category)
        column, found, level = category.partition("=")
        return _members(cohort, column, level) if found else _members(cohort, category, PRESENT)

    def name(self, place: int) -> str:
        """A category in words: `SEX F`, `TP53`, `TP53 absent`."""
        category = self.categories[place]
        if self.key == CLASSES:
            return category
        return self.key if category == PRESENT else f"{self.key} {category}"


@dataclass(frozen=True)
class Quotas:
    """All quotas of a study. cells: (cells, quotas) categories of each cell; shares: (cells,) of the cohort.

    declared: who answers for classes of few real patients, and why; empty where nobody does.
    """

    of: tuple[Quota, ...]
    cells: Labels
    shares: Shares
    declared: Mapping[str, str] = field(default_factory=dict)

    def labels(self, cohort: Cohort) -> Labels:
        """(patients,) the cell of each patient, -1 for a patient of a category that no quota asks for."""
        categories = np.column_stack([quota.labels(cohort) for quota in self.of])
        sizes = [len(quota.categories) for quota in self.of]
        known = (categories >= 0).all(axis=1)
        flat = np.full(len(cohort), -1, dtype=np.intp)
        flat[known] = np.ravel_multi_index(tuple(categories[known].T), sizes)
        place = np.full(int(np.prod(sizes)) + 1, -1, dtype=np.intp)  # the last one is that of nobody
        place[np.ravel_multi_index(tuple(self.cells.T), sizes)] = np.arange(len(self.cells))
        return place[flat]

    def cell(self, place: int) -> str:
        """A cell in words."""
        return " and ".join(quota.name(int(at)) for quota, at in zip(self.of, self.cells[place], strict=True))


@dataclass(frozen=True)
class Class:
    """A class that a quota enlarges. share: of the release; real: of the training patients; patients: of these."""

    name: str
    share: float
    real: float
    patients: int
    quotas: Quotas = field(repr=False)
    where: tuple[tuple[int, int], ...] = ()  # (quota, category), each of which a member has

    def members(self, cohort: Cohort) -> NDArray[np.bool_]:
        """(patients,) who belongs to the class."""
        return np.asarray(np.all([self.quotas.of[i].labels(cohort) == at for i, at in self.where], axis=0))


def read_quotas(balance: Mapping[str, Any], train: Cohort, patients: Any = None) -> Quotas:
    """The quotas of a study's `balance:`.

    Args:
        train: the training patients, whose levels and alterations there are.
        patients: of the release; needed where a quota is a number of patients.

    Raises:
        InputError: a column, alteration or level that is unknown, shares above 1, a class that nobody has.
    """
    named = sorted((str(key), wanted) for key, wanted in balance.items() if key != DECLARED)
    if not named:
        raise InputError("balance: no quota is named; expected such as `balance: {SEX: even}`")
    quotas = tuple(_quota(key, wanted, train, patients) for key, wanted in named)
    grids = np.meshgrid(*[np.arange(len(quota.categories)) for quota in quotas], indexing="ij")
    cells = np.column_stack([grid.ravel() for grid in grids])
    parts = [np.asarray(quota.shares)[column] for quota, column in zip(quotas, cells.T, strict=True)]
    shares = np.asarray(np.prod(parts, axis=0), dtype=float)
    found = Quotas(quotas, cells[shares > 0], shares[shares > 0], dict(balance.get(DECLARED) or {}))
    counts = np.bincount(found.labels(train) + 1, minlength=len(found.cells) + 1)[1:]
    for place in np.flatnonzero(counts == 0)[:1]:
        raise InputError(
            f"balance: no training patient of {train.schema.cohort} has {found.cell(place)}; nothing can be learned of "
            "such patients: ask for none of them, or name a wider class"
        )
    return found


def read_checked(balance: Mapping[str, Any], train: Cohort, patients: Any = None) -> Quotas:
    """The quotas of a study's `balance:`, none of which enlarges a class of few patients undeclared.

    Raises:
        InputError: see `read_quotas` and `refuse_rare`.
    """
    found = read_quotas(balance, train, patients)
    refuse_rare(found, train)
    return found


def _quota(key: str, wanted: Any, train: Cohort, patients: Any) -> Quota:
    schema = train.schema
    if key in schema.columns:
        known = _levels(train, key)
    elif key in schema.alterations:
        known = [PRESENT, ABSENT]
        wanted = wanted if isinstance(wanted, Mapping) or wanted == EVEN else {PRESENT: wanted}
    elif key == CLASSES:
        if not isinstance(wanted, Mapping):
            raise InputError("balance.class: expected classes with their quotas, such as {TP53: 0.3}")
        known = []
    else:
        names = [*schema.columns, *schema.alterations, CLASSES]
        raise InputError(f"balance: {schema.cohort} has no column or alteration {key!r}; {suggestion(key, names)}")
    if wanted == EVEN:
        if not known:
            raise InputError(f"balance.{key}: {EVEN} needs levels; name bands, such as {{'<60': 0.5, '>=60': 0.5}}")
        return Quota(key, tuple(known), tuple(1 / len(known) for _ in known))
    if not isinstance(wanted, Mapping):
        raise InputError(f"balance.{key}: expected {EVEN}, or levels with their quotas; found {wanted!r}")
    shares = shares_of(key, wanted, patients)
    for category in shares:
        _check_category(key, category, known, train)
    # Settings come in any order: levels are in the order of the schema, and of two classes the rarer one counts.
    order = [*known, *sorted(shares.keys() - set(known))]
    if key == CLASSES and not known:
        carriers = {name: int(Quota(key, (name,), (1.0,)).labels(train).sum()) + len(train) for name in shares}
        order = sorted(shares, key=lambda name: (carriers[name], name))
    shares = {name: shares[name] for name in order if name in shares}
    rest = 1 - sum(shares.values())
    if rest > 1e-9:
        shares[OTHERS] = rest
    kept = {category: share for category, share in shares.items() if share > 0}
    quota = Quota(key, tuple(kept), tuple(kept.values()))
    if OTHERS in kept and not (quota.labels(train) == quota.categories.index(OTHERS)).any():
        raise InputError(
            f"balance.{key}: the shares sum to {1 - rest:g}, and no training patient is of another level; they must "
            "sum to 1"
        )
    return quota


def _levels(train: Cohort, key: str) -> list[str]:
    """Levels that training patients have; none of a column of numbers."""
    values = train.clinical[key]
    if train.schema.columns[key].numeric:
        return []
    return [str(level) for level in values.cat.categories if (values == level).any()]


def _check_category(key: str, category: str, known: Sequence[str], train: Cohort) -> None:
    schema = train.schema
    if key == CLASSES and key not in schema.columns:
        column, found, level = category.partition("=")
        if not found and category not in schema.alterations:
            raise InputError(
                f"balance.{key}: {category!r} is no alteration of {schema.cohort}, and not written COLUMN=LEVEL; "
                f"{suggestion(category, list(schema.alterations))}"
            )
        if found:
            if column not in schema.columns:
                raise InputError(
                    f"balance.{key}: {schema.cohort} has no column {column!r}; "
                    f"{suggestion(column, list(schema.columns))}"
                )
            _check_category(column, level, _levels(train, column), train)
    elif known and category not in known:
        raise InputError(
            f"balance.{key}: no training patient has the level {category!r}; {suggestion(category, list(known))}"
        )
    elif not known and not BAND.match(category.strip()):
        raise InputError(f"balance.{key}: {category!r} is no band; expected such as '<60', '>=60' or '60 to 70'")


def _members(cohort: Cohort, key: str, category: str) -> NDArray[np.bool_]:
    """(patients,) who has this level, lies in this band, or carries (or lacks) this alteration."""
    if key in cohort.schema.columns:
        values = cohort.clinical[key]
        if not cohort.schema.columns[key].numeric:
            return np.asarray((values.astype(object) == category).fillna(False), dtype=bool)
        return _in_band(values.to_numpy(float), category)
    if cohort.alterations is None or key not in cohort.alterations:
        return np.zeros(len(cohort), dtype=bool)
    return np.asarray(cohort.alterations[key].to_numpy(float) == float(category == PRESENT))


def _in_band(values: Shares, band: str) -> NDArray[np.bool_]:
    """(patients,) who lies in a band: `60 to 70` has 60 and not 70."""
    parts = BAND.match(band.strip())
    assert parts is not None
    sign, bound, low, high = parts.groups()
    if sign is None:
        return np.asarray((values >= float(low)) & (values < float(high)))
    at = float(bound)
    compared = {"<": values < at, "<=": values <= at, ">": values > at, ">=": values >= at}
    return np.asarray(compared[sign])


def find_enlarged(quotas: Quotas, train: Cohort) -> list[Class]:
    """The classes whose share of the release is above that of the training patients: each category, and each cell of
    several quotas. `others` is no class."""
    found = []
    groups: list[tuple[tuple[int, int], ...]] = [
        ((i, at),) for i, quota in enumerate(quotas.of) for at in range(len(quota.categories))
    ]
    if len(quotas.of) > 1:
        groups += [tuple((i, int(at)) for i, at in enumerate(cell)) for cell in quotas.cells]
    for where in groups:
        if any(quotas.of[i].categories[at] == OTHERS for i, at in where):
            continue
        name = " and ".join(quotas.of[i].name(at) for i, at in where)
        share = float(np.prod([quotas.of[i].shares[at] for i, at in where]))
        one = Class(name, share, np.nan, 0, quotas, where)
        count = int(one.members(train).sum())
        if share > count / len(train):
            found.append(Class(name, share, count / len(train), count, quotas, where))
    return found


def refuse_rare(quotas: Quotas, train: Cohort) -> None:
    """Stop where a class of few real patients is enlarged, unless somebody answers for it.

    Raises:
        InputError: such a class; the line says how many patients are needed.
    """
    few = [one for one in find_enlarged(quotas, train) if one.patients < FEWEST]
    if few and not quotas.declared:
        one = few[0]
        count = one.patients if one.patients >= MIN_CELL_COUNT else f"fewer than {MIN_CELL_COUNT}"
        raise InputError(
            f"balance: {one.name} has {count} training patients and its quota shows them more often; below {FEWEST} a "
            "synthetic patient of the class may represent one of them: widen the class, or answer for it with "
            "`declared: {by: NAME, reason: WHY}` under balance"
        )


def to_draw(quotas: Quotas, train: Cohort, patients: int) -> int:
    """How many patients are drawn for a number of balanced ones: what the rarest class needs, RECORDS at most."""
    real = np.bincount(quotas.labels(train) + 1, minlength=len(quotas.cells) + 1)[1:] / len(train)
    return int(max(patients, min(RECORDS, np.ceil(SPARE * patients * (quotas.shares / real).max()))))


def sequence(quotas: Quotas, available: Labels | None = None, most: int = RECORDS) -> Labels:
    """The cell of each patient, one after the other, so that every beginning has its quotas.

    The next cell is the one that lags most behind its share among those that keep every category of every quota at or
    below its share of the patients so far, rounded up (the upper quota of Balinski and Young, Fair Representation,
    1982). There is always one, and where the shares of n patients are whole, the first n meet each quota exactly.

    Args:
        available: (cells,) patients of each cell; the sequence ends where the next one is used up. most: its length.
    """
    left = np.full(len(quotas.cells), most) if available is None else available.copy()
    margins = [np.asarray(quota.shares) for quota in quotas.of]
    counts = [np.zeros(len(shares)) for shares in margins]
    taken = np.zeros(len(quotas.cells))
    found = np.empty(most, dtype=np.intp)
    for t in range(1, most + 1):
        fits = np.ones(len(quotas.cells), dtype=bool)
        for i, (shares, count) in enumerate(zip(margins, counts, strict=True)):
            fits &= (count + 1 <= np.ceil(shares * t - 1e-9))[quotas.cells[:, i]]
        within = fits & (taken + 1 <= np.ceil(quotas.shares * t - 1e-9))
        lag = np.where(within if within.any() else fits, quotas.shares * t - taken, -np.inf)
        place = int(lag.argmax())
        if not left[place]:
            return found[: t - 1]
        left[place] -= 1
        taken[place] += 1
        for i, count in enumerate(counts):
            count[quotas.cells[place, i]] += 1
        found[t - 1] = place
    return found


def fill_quotas(draw: Cohort, quotas: Quotas, least: int, most: int) -> Cohort:
    """The patients of a long draw that fill the quotas, in an order of which every beginning has them.

    Args:
        least: patients that are needed. most: patients that are wanted.

    Returns:
        between `least` and `most` patients, none twice, with identifiers of their own.

    Raises:
        InputError: a class is so rare in the draw that `least` patients cannot be had.
    """
    labels = quotas.labels(draw)
    counts = np.bincount(labels + 1, minlength=len(quotas.cells) + 1)[1:]
    cells = sequence(quotas, counts, most)
    if len(cells) < least:
        place = int((counts / quotas.shares).argmin())
        raise InputError(
            f"balance: of {len(draw)} patients drawn {counts[place]} have {quotas.cell(place)}, and {least} patients "
            f"need {int(np.ceil(quotas.shares[place] * least))}; the class is too rare to be drawn: ask for a smaller "
            "share, or for fewer synthetic patients"
        )
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(len(counts)))
    turn = np.zeros(len(cells), dtype=np.intp)  # how many of the same cell came before
    for place in range(len(counts)):
        rows = np.flatnonzero(cells == place)
        turn[rows] = np.arange(len(rows))
    return rename_patients(draw.take(order[starts[cells] + turn]))


def rename_patients(cohort: Cohort) -> Cohort:
    """The same patients under the identifiers S000001, S000002, ... in their order. Each patient is there once."""
    ids = synthetic_ids(len(cohort))
    new = dict(zip(cohort.patients, ids, strict=True))
    clinical = cohort.clinical.set_axis(ids)
    if cohort.alterations is None or cohort.sequenced is None or cohort.mutations is None:
        return cohort.replace(clinical=clinical)
    mutations = cohort.mutations.assign(patient_id=cohort.mutations["patient_id"].map(new))
    own = {"alterations": cohort.alterations.set_axis(ids), "sequenced": cohort.sequenced.set_axis(ids)}
    return cohort.replace(clinical=clinical, mutations=mutations, **own)


def real_shares(quotas: Quotas, train: Cohort) -> Shares:
    """(cells,) share of each cell among the training patients who are of any.

    A cell of fewer than MIN_CELL_COUNT patients counts as one of so many, since the weights are published.
    """
    counts = np.bincount(quotas.labels(train) + 1, minlength=len(quotas.cells) + 1)[1:].astype(float)
    counts = np.maximum(counts, MIN_CELL_COUNT)
    return np.asarray(counts / counts.sum())


def weights(cohort: Cohort, quotas: Quotas, train: Cohort) -> pd.Series:
    """(patients,) the weight that restores the prevalence of the real cohort, with mean 1 to four digits.

    A patient of cell c weighs real share of c / share of c in the cohort (post-stratification: Holt and Smith, J R Stat
    Soc A 1979;142:33).
    """
    labels = quotas.labels(cohort)
    counts = np.bincount(labels[labels >= 0], minlength=len(quotas.cells))
    real = np.where(counts > 0, real_shares(quotas, train), 0.0)
    each = np.divide(real / real.sum() * len(cohort), counts, out=np.zeros(len(counts)), where=counts > 0)
    found = np.where(labels >= 0, each[labels], 0.0)
    return pd.Series([float(f"{weight:.4g}") for weight in found], index=cohort.patients, name="weight")


def at_real_prevalence(cohort: Cohort, quotas: Quotas, train: Cohort, most: int | None = None) -> Cohort:
    """The largest part of a balanced cohort, in its order, whose classes are as frequent as in the real one.

    What is compared of the whole cohort with real patients is compared of this part. The first patients of it are not
    such a part: the classes that are cut back are cut back at its end.

    Args:
        most: patients at most, but for rounding within classes.
    """
    labels = quotas.labels(cohort)
    counts = np.bincount(labels + 1, minlength=len(quotas.cells) + 1)[1:]
    real = np.where(counts > 0, real_shares(quotas, train), 0.0)
    real /= real.sum()
    number = np.divide(counts, real, out=np.full(len(counts), np.inf), where=real > 0).min()
    number = number if most is None else min(number, most)
    wanted = np.minimum(np.rint(real * number), counts)
    turn = pd.Series(labels).groupby(labels).cumcount().to_numpy()
    return cohort.take(np.flatnonzero((labels >= 0) & (turn < wanted[labels])))


def within_quotas(cohort: Cohort, quotas: Quotas) -> Cohort:
    """The real patients who are of any class that the quotas ask for."""
    labels = quotas.labels(cohort)
    return cohort if (labels >= 0).all() else cohort.take(np.flatnonzero(labels >= 0))


def sentences(quotas: Quotas, train: Cohort, patients: int) -> list[str]:
    """What every document says of a balanced cohort."""
    lines = [
        "This cohort is balanced: its classes are as frequent as was asked for, not as they are among real patients. "
        "Frequencies, incidences and survival of the whole cohort hold with the column `weight` alone, which restores "
        "the prevalence of the real cohort."
    ]
    for quota in quotas.of:
        counts = np.bincount(quota.labels(train) + 1, minlength=len(quota.categories) + 1)[1:]
        parts = []
        for category, share, count in zip(quota.categories, quota.shares, counts, strict=True):
            few = count < MIN_CELL_COUNT
            real = f"fewer than {MIN_CELL_COUNT} patients" if few else f"{100 * count / len(train):.1f} %"
            parts.append(f"{category} {100 * share:.1f} % (real: {real})")
        lines.append(f"{quota.key}: {'; '.join(parts)}.")
    few = [one.name for one in find_enlarged(quotas, train) if one.patients < FEWEST]
    if few and quotas.declared:
        lines.append(
            f"Classes of fewer than {FEWEST} real patients are enlarged ({', '.join(few)}); {quotas.declared['by']} "
            f"answers for it: {quotas.declared['reason']}."
        )
    lines.append(
        f"Patients of an enlarged class are new draws of the generator and hold no more than it learned from its real "
        f"patients; {patients} patients are no {patients} real ones."
    )
    return lines
