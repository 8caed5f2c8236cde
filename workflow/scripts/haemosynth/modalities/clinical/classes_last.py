"""Classes that are nearly functions of everything else: found among training patients, drawn last.

A risk group or a molecular class follows from other columns and from alterations. A record that is drawn before its
alterations holds a class that they may contradict. So a level column that alterations and the other columns nearly
decide is drawn once more when the patient is whole, given all of it, as the last step of a sequential synthesis
(Reiter, J Off Stat 2005;21:441).

Which columns count, bagged trees say (Breiman, Mach Learn 1996;24:123): the mean log probability of the patients'
levels under trees that have not learned from them, as a share of what the marginal distribution leaves open (the
entropy). They are drawn from boosted trees (Friedman, Ann Stat 2001;29:1189): a rare translocation that decides a class
must do so in every branch, for which the leaves of a deep tree have too few patients. Leaves are as small, and trees as
many, as the log score of patients in left-out folds wants them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.core.derive import derive, find_parents
from haemosynth.core.schema import Schema
from haemosynth.core.streams import one_of_each, torch_seed
from haemosynth.generate import at_most
from haemosynth.generate.balance import Quotas
from haemosynth.generate.fitted import Fitted
from haemosynth.generate.quota_form import CLASSES
from haemosynth.generate.rare import without_rare_alterations, without_rare_levels
from haemosynth.modalities.clinical.generators.forest import apply, of_column, pack

LEAVES = (8, 16, 32, 64)  # smallest numbers of training patients in a leaf; 8 is the least of `forest`
BLENDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # shares of the marginal distribution beside the one of bagged trees
LEVELS = 12  # of a column at most
KNOWN = 100  # training patients whose level is known at least
OTHERS = 16  # of these, patients outside the most frequent level at least: two leaves
EXPLAINED = 0.5  # of the entropy at least, by columns and alterations: more is decided than is left to chance
GAIN = 0.1  # of the entropy at least, by alterations beyond the record: with less the record's own model has it already
ERRORS = 2.0  # standard errors by which that gain must be above 0
TREES = 50  # bagged, of the search
ROUNDS, RATE, DEPTH, OFFERED = 80, 0.15, 3, 0.2  # boosted trees at most, step, depth, share of the features at a split
PATIENTS = 3_000  # training patients that are learned from; of more so many are drawn at random
CANDIDATES = 8  # columns at most that the search looks at more closely, those that single trees explain best
FOLDS = 3  # of the patients, for the first look and for the boosted trees
FIRST_LOOK = 0.7  # of EXPLAINED that single trees must reach: forests explain more
PREFIX, LAST = "last.", "drawn_last"  # of arrays, and of what a description says
NOTHING = -1e9  # of a number that is missing: below all values
LEAST = 1e-6  # probability of a level that is scored
CHUNK = 50_000  # patients whose classes are drawn at once
Scores = NDArray[np.float64]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Seen:
    """What a class is predicted from: columns of the record, the categories of those that are no numbers, alterations.

    cytogenetic: those alterations that are counted too, since a complex karyotype is a number of them.
    """

    columns: tuple[str, ...]
    levels: Mapping[str, tuple[str, ...]]
    alterations: tuple[str, ...]
    cytogenetic: tuple[str, ...]

    @staticmethod
    def of(cohort: Cohort, columns: Sequence[str], altered: bool) -> Seen:
        """These columns of a cohort, with its alterations where `altered`."""
        own, kinds = cohort.schema.columns, cohort.schema.alterations if altered else {}
        levels = {
            name: tuple(map(str, cohort.clinical[name].cat.categories)) for name in columns if not own[name].numeric
        }
        return Seen(
            tuple(columns), levels, tuple(kinds), tuple(n for n, kind in kinds.items() if kind == "cytogenetic")
        )

    def plain(self) -> dict[str, Any]:
        """Plain data from which `load` makes the same."""
        return {
            "columns": list(self.columns),
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "alterations": list(self.alterations),
            "cytogenetic": list(self.cytogenetic),
        }

    @staticmethod
    def load(plain: Mapping[str, Any]) -> Seen:
        """What `plain` wrote."""
        levels = {name: tuple(levels) for name, levels in plain["levels"].items()}
        return Seen(tuple(plain["columns"]), levels, tuple(plain["alterations"]), tuple(plain["cytogenetic"]))

    def matrix(self, cohort: Cohort, rows: Labels) -> NDArray[np.float32]:
        """(rows, features) of these patients: numbers, an indicator for each level and for none, alterations."""
        found: list[np.ndarray] = []
        for name in self.columns:
            values = cohort.clinical[name].iloc[rows]
            if name in self.levels:
                codes = _codes(values, self.levels[name])
                found += [codes == code for code in range(-1, len(self.levels[name]))]
            else:
                found.append(np.nan_to_num(values.to_numpy("float64"), nan=NOTHING))
        if self.alterations:
            assert cohort.alterations is not None
            assert cohort.sequenced is not None
            states = cohort.alterations.iloc[rows]
            found += list(np.nan_to_num(states[list(self.alterations)].to_numpy("float64"), nan=-1.0).T)
            found.append(cohort.sequenced.iloc[rows].to_numpy("float64"))
            found.append((states[list(self.cytogenetic)] == 1).sum(axis=1).to_numpy("float64"))
        return np.stack([np.asarray(part, dtype=np.float32) for part in found], axis=1)


@dataclass(frozen=True)
class Class:
    """A column that may be drawn last.

    explained: share of its entropy, by all that is `seen`; record: by columns of the record that stay as they are;
    error: standard error of the difference.
    """

    name: str
    seen: Seen
    explained: float
    record: float = np.nan
    error: float = np.nan

    @property
    def counts(self) -> bool:
        """Whether alterations and columns nearly decide it, and the record alone does not."""
        gain = self.explained - self.record
        return self.explained >= EXPLAINED and gain >= max(GAIN, ERRORS * self.error)


def find(train: Cohort, rng: np.random.Generator) -> list[Class]:
    """The columns of the record that are drawn last, in their order, none given one that comes later.

    A column counts if the other columns and the alterations explain half of its entropy (EXPLAINED), and a tenth of it
    (GAIN), beyond twice the error, is explained by alterations and not by those columns of the record that stay as they
    are. Candidates that may follow from one another have an order: the one that is explained best without the others
    comes first. Where none counts without the others, the one that is explained best stays as it is, and the others may
    follow from it.
    """
    if train.alterations is None or not train.schema.alterations:
        return []
    train, seed = at_most(train, PATIENTS, rng), torch_seed(rng)
    waiting = _candidates(train, rng.permutation(len(train)), seed)
    fixed = [name for name in _find_given(train.schema) if name not in waiting]
    found: list[Class] = []
    while waiting:
        looked = [_look(train, name, fixed, [one.name for one in found], seed) for name in waiting]
        counting = [one for one in looked if one.counts]
        best = max(counting or looked, key=lambda one: one.explained)
        if counting:
            found.append(best)
        else:
            fixed.append(best.name)
        waiting.remove(best.name)
    return found


def fit(model: Fitted, train: Cohort, settings: Mapping[str, Any], rng: np.random.Generator) -> Fitted:
    """The record's fitted generator with trees for those columns that are drawn last; without any, the same model.

    Args:
        settings: of the record's algorithm, of which `fewest` counts: levels and alterations that are too rare to be
            learned are not learned here either.
    """
    fewest = int(settings.get("fewest", 0))
    train, _ = without_rare_levels(train, fewest, rng)
    train, _ = without_rare_alterations(train, fewest)
    train = at_most(train, PATIENTS, rng)
    arrays, plain, parameters = dict(model.arrays), [], int(model.description["parameters"])
    for i, one in enumerate(find(train, rng)):
        rows, levels, names = _find_known(train, one.name)
        leaf, boosted = _boost_blend(one.seen.matrix(train, rows), levels, rng)
        arrays |= {f"{PREFIX}{i:03d}.{name}": array for name, array in boosted.items()}
        splits = int((boosted["feature"] >= 0).sum())  # a feature and a threshold for each, and a number for each leaf
        parameters += splits + len(boosted["feature"])
        told = {
            "name": one.name,
            "categories": names,
            "leaf": leaf,
            "explained": one.explained,
            "by_record": one.record,
        }
        plain.append(told | one.seen.plain())
    if not plain:
        return model
    return Fitted(arrays, {**model.description, "parameters": parameters, LAST: plain}, model.history)


def redraw(cohort: Cohort, model: Fitted, kept: Collection[str], rng: np.random.Generator) -> Cohort:
    """Whole synthetic patients with the classes of a fitted generator drawn last; derived columns are derived anew.

    Who lacks a class still lacks it. A level that the generator has drawn for nobody is not drawn here either.

    Args:
        cohort: patients with record and alterations. kept: columns that stay as they are, see `asked_for`.
    """
    before = cohort
    fixed = {*kept, *model.description.get("where", {})}
    arrays = {name.removeprefix(PREFIX): part for name, part in model.arrays.items() if name.startswith(PREFIX)}
    for i, one in enumerate(model.description.get(LAST, [])):
        if one["name"] not in fixed:
            cohort = _redrawn(cohort, one, of_column(arrays, i), rng)
    return cohort if cohort is before else replace(cohort, clinical=derive(cohort).clinical)


def find_asked(quotas: Quotas | None, schema: Schema) -> set[str]:
    """The columns that quotas count, with those from which a derived one of them follows."""
    if quotas is None:
        return set()
    named = {quota.key for quota in quotas.of}
    named |= {word.partition("=")[0] for quota in quotas.of if quota.key == CLASSES for word in quota.categories}
    for name in reversed(list(schema.columns)):  # a rule names columns before its own
        rule = schema.columns[name].derived
        if name in named and rule is not None:
            named |= {str(word) for word in find_parents(rule, f"derived column {name}")[1]}
    return {name for name in named if name in schema.columns}


def _redrawn(
    cohort: Cohort, one: Mapping[str, Any], trees: Mapping[str, np.ndarray], rng: np.random.Generator
) -> Cohort:
    values, seen = cohort.clinical[one["name"]], Seen.load(one)
    codes = _codes(values, one["categories"])
    rows = np.flatnonzero(codes >= 0)
    drawn = np.bincount(codes[rows], minlength=len(one["categories"])) > 0
    if drawn.sum() < 2:
        return cohort
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        codes[part] = one_of_each(probabilities(trees, seen.matrix(cohort, part)) * drawn, rng)
    labels = np.array([*one["categories"], None], dtype=object)[codes]  # -1 is missing
    column = pd.Series(pd.Categorical(labels, dtype=values.dtype), index=values.index)
    column = column.where(pd.Series(codes >= 0, index=values.index), values)
    return replace(cohort, clinical=cohort.clinical.assign(**{one["name"]: column}))


def _find_given(schema: Schema) -> list[str]:
    """The columns that a class may be predicted from: all that are not derived."""
    return list(schema.recorded)


def _codes(values: pd.Series, names: Sequence[str]) -> Labels:
    """(patients,) place of each level among the names, -1 for none."""
    own = np.append(pd.Index(names).get_indexer(pd.Index(values.cat.categories.astype(str))), -1)
    return np.asarray(own[values.cat.codes.to_numpy()], dtype=np.intp)


def _find_known(train: Cohort, name: str) -> tuple[Labels, Labels, list[str]]:
    """The patients whose level is known, their level, and the names of the levels that they have."""
    codes = train.clinical[name].cat.codes.to_numpy()
    rows = np.flatnonzero(codes >= 0)
    present, levels = np.unique(codes[rows], return_inverse=True)
    return rows, levels, [str(train.clinical[name].cat.categories[code]) for code in present]


def _candidates(train: Cohort, order: Labels, seed: int) -> list[str]:
    """The columns that are worth a closer look, in the order of the table: single trees explain much of them."""
    from sklearn.tree import DecisionTreeClassifier

    found: dict[str, float] = {}
    for name in _find_given(train.schema):
        if train.schema.columns[name].numeric:
            continue
        rows, levels, names = _find_known(train, name)
        if not 2 <= len(names) <= LEVELS or len(rows) < KNOWN or len(rows) - np.bincount(levels).max() < OTHERS:
            continue
        seen = Seen.of(train, [other for other in _find_given(train.schema) if other != name], altered=True)
        matrix, fold = seen.matrix(train, rows), order[rows] % FOLDS
        probability = np.zeros((len(rows), len(names)))
        for k in range(FOLDS):
            tree = DecisionTreeClassifier(criterion="log_loss", min_samples_leaf=LEAVES[0], random_state=seed)
            tree.fit(matrix[fold != k], levels[fold != k])
            probability[np.ix_(fold == k, tree.classes_)] = tree.predict_proba(matrix[fold == k])
        explained = max(_explain(probability, levels, blend).mean() for blend in BLENDS)
        if explained >= FIRST_LOOK * EXPLAINED:
            found[name] = float(explained)
    kept = sorted(found, key=lambda name: -found[name])[:CANDIDATES]
    return [name for name in found if name in kept]


def _look(train: Cohort, name: str, fixed: Sequence[str], placed: Sequence[str], seed: int) -> Class:
    """A column given the `fixed` ones, those `placed` before it, and alterations; and given the fixed ones alone."""
    rows, levels, _ = _find_known(train, name)
    wide = Seen.of(train, [*fixed, *placed], altered=True)
    each = _best(wide.matrix(train, rows), levels, seed)
    found = Class(name, wide, float(each.mean()))
    if found.explained < EXPLAINED:
        return found
    if fixed:
        alone = _best(Seen.of(train, fixed, altered=False).matrix(train, rows), levels, seed)
    else:
        alone = np.zeros(len(rows))
    error = (each - alone).std() / np.sqrt(len(rows))
    return replace(found, record=float(alone.mean()), error=float(error))


def _best(matrix: NDArray[np.float32], levels: Labels, seed: int) -> Scores:
    """What bagged trees explain of each patient's level, out of bag, with leaf and blend that explain most."""
    from sklearn.ensemble import RandomForestClassifier

    found = []
    for leaf in LEAVES:
        forest = RandomForestClassifier(
            TREES, criterion="log_loss", min_samples_leaf=leaf, max_features=None, oob_score=True, random_state=seed
        ).fit(matrix, levels)
        probability = np.nan_to_num(forest.oob_decision_function_)
        found += [_explain(probability, levels, blend) for blend in BLENDS]
    return max(found, key=lambda each: each.mean())


def _boost_blend(
    matrix: NDArray[np.float32], levels: Labels, rng: np.random.Generator
) -> tuple[int, dict[str, np.ndarray]]:
    """Leaf size and trees that describe left-out folds best, of all patients; arrays for `probabilities`."""
    fold, seed = rng.permutation(len(levels)) % FOLDS, torch_seed(rng)
    best, leaf, rounds = -np.inf, LEAVES[0], 1
    for tried in LEAVES:  # until larger leaves are no better
        scores = np.zeros(ROUNDS)
        for k in range(FOLDS):
            grown = _boost(matrix[fold != k], levels[fold != k], tried, ROUNDS, seed)
            place = np.searchsorted(grown.classes_, levels[fold == k]).clip(0, len(grown.classes_) - 1)
            known = grown.classes_[place] == levels[fold == k]
            for step, told in enumerate(grown.staged_predict_proba(matrix[fold == k])):
                own = np.where(known, told[np.arange(len(place)), place], 0.0)
                scores[step] += np.log(np.maximum(own, LEAST)).sum()
        if scores.max() <= best:
            break
        best, leaf, rounds = scores.max(), tried, int(scores.argmax()) + 1
    trees = [tree.tree_ for tree in _boost(matrix, levels, leaf, rounds, seed).estimators_.ravel()]
    value = RATE * np.concatenate([tree.value[:, 0, 0] for tree in trees])
    return leaf, pack(trees) | {"value": value, "prior": np.log(np.bincount(levels) / len(levels))}


def _boost(matrix: NDArray[np.float32], levels: Labels, leaf: int, rounds: int, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(
        n_estimators=rounds, learning_rate=RATE, max_depth=DEPTH, min_samples_leaf=leaf, max_features=OFFERED,
        random_state=seed,
    ).fit(matrix, levels)  # fmt: skip


def probabilities(trees: Mapping[str, np.ndarray], matrix: NDArray[np.float32]) -> Scores:
    """(rows, levels) under boosted trees: one tree a round for two levels, else one for each level."""
    logits = np.tile(trees["prior"], (len(matrix), 1))
    levels = len(trees["prior"])
    for i in range(len(trees["root"])):
        level = 1 if levels == 2 else i % levels
        logits[:, level] += trees["value"][apply(trees, matrix, np.full(len(matrix), i))]
    weight = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _explain(probability: Scores, levels: Labels, blend: float) -> Scores:
    """(patients,) log probability of each level above that of the marginal distribution, as a share of the entropy."""
    marginal = np.bincount(levels) / len(levels)
    alone = marginal[levels]
    told = (1 - blend) * probability[np.arange(len(levels)), levels] + blend * alone
    return np.asarray(np.log(told / alone) / -np.mean(np.log(alone)))
