"""Balance: are the quotas met, is all else kept within each class, and do the added patients help?

Three questions. Reached: the share that each class has, beside its quota. Kept: within each class that the quotas
enlarge, synthetic members are compared with held-out ones, margins by margin, by a classifier, in survival and in
alterations, at the number of members that held-out and training patients have in common; training members are the
ceiling. Gained: a classifier of the class and a Cox model for its members are learned on training patients; on these
with the class enlarged to its quota by synthetic members, by members drawn with replacement, and by SMOTE-NC; and with
the members weighing as much (class weights). All are tested on held-out patients, and the difference from the training
patients alone is given with an interval. A generator learns from the same patients and adds no information, so that
the expected gain is nothing: what is gained is what the learner did not get from the imbalanced patients, and the
controls show how much of it plain repetition or weights get too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from haemosynth.core.arrays import Matrix, Vector
from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLACK, BLUE, GREEN, NEUTRAL, ORANGE, SYNTHETIC, new_figure
from haemosynth.encode.baseline import Design, baseline_design, follow_up
from haemosynth.generate.balance import Class, Quotas, find_enlarged, read_quotas
from haemosynth.modalities.clinical.stages.enlarging import draw_by_smote, repeat_members
from haemosynth.stats.cox import concordance, curve_distance, fit_cox, kaplan_meier
from haemosynth.stats.distributions import total_variation
from haemosynth.stats.learners import divide_stratified, fit_logistic
from haemosynth.stats.ranking import auc
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "balance": None,  # the quotas of the study
    "carriers": 10,  # training patients that a level or an alteration needs to be a covariate
    "ridge": 10.0,  # penalty of classifier and Cox model
    "events": 10,  # held-out events among the members that a C-index needs
    "members": 8,  # held-out and synthetic members that are compared, at least
    "trainings": 12,  # resamples of the training patients on which the models are learned
    "factor": 4.0,  # members of an enlarged class at most, as a multiple of the training members
}
STAGE = Stage(
    "utility", needs=("clinical",), environment="balance", memory=4000, runtime=60, by_default=False, balanced=True
)
ARMS = {
    "synthetic": "synthetic members",
    "bootstrap": "members drawn with replacement",
    "weights": "class weights",
    "smote": "SMOTE-NC",
}
MEASURES = {
    "auc": ("area under the ROC curve of a ridge logistic regression for the class", (0, 1)),
    "balanced_accuracy": ("mean of sensitivity and specificity of that classifier at a probability of 0.5", (0, 1)),
    "c_index": ("Harrell's C among the members of a ridge Cox model of everybody for the first endpoint", (0, 1)),
}
KEPT = {
    "class_margin_distance": (
        "mean over clinical columns of the Kolmogorov-Smirnov distance (numbers) or total variation (levels, missing"
        " ones among them)",
        "Kolmogorov, 1933; Levin et al., Markov Chains and Mixing Times, 2009",
    ),
    "class_separation": (
        "2 |A - 1/2|, A the cross-validated area under the ROC curve of a ridge logistic regression that separates"
        " synthetic members from held-out ones by baseline covariates (two-sample test)",
        "Lopez-Paz and Oquab, ICLR 2017",
    ),
    "class_survival_distance": (
        "mean absolute difference of the Kaplan-Meier curves of the first endpoint up to the 90 % quantile of times",
        "Kaplan and Meier, J Am Stat Assoc 1958;53:457",
    ),
    "class_frequency_distance": ("mean over alterations of the difference of their frequencies", "this project"),
}
SMOTE = "Chawla et al., J Artif Intell Res 2002;16:321"
METRICS = (
    Metric(
        "class_share", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "share of patients of a category of a quota", "this project",
    ),
    Metric(
        "quota_error", "descriptive", "share", (0, 1), JOINT, "bootstrap",
        "largest difference over categories between share and quota, beyond one patient", "this project",
    ),
    *(
        Metric(
            name, "error", "", (0, 1), JOINT, "bootstrap",
            f"{formula}; members of an enlarged class against held-out ones at equal n; all: mean over classes", text,
        )
        for name, (formula, text) in KEPT.items()
    ),
    *(
        Metric(
            f"{measure}_real", "descriptive", "", bounds, JOINT, "bootstrap",
            f"{formula}, learned on training patients alone, in held-out patients", "this project",
        )
        for measure, (formula, bounds) in MEASURES.items()
    ),
    *(
        Metric(
            f"{measure}_gain_{arm}", "descriptive", "", (-1, 1), JOINT, "bootstrap",
            f"{formula}: with the class enlarged to its quota by {text}, less that of training patients alone",
            SMOTE if arm == "smote" else "this project",
        )
        for measure, (formula, _) in MEASURES.items()
        for arm, text in ARMS.items()
    ),
)  # fmt: skip
NO_QUOTAS = "the study has no quotas that enlarge a class"
NO_GAIN = "no gain"


@dataclass(frozen=True)
class Learned:
    """Models of one class on one resample of the training patients, by arm (`real` and ARMS).

    classifier: intercept and log odds; prognosis: log hazards.
    """

    classifier: Mapping[str, Vector]
    prognosis: Mapping[str, Vector]


@dataclass(frozen=True)
class Prepared:
    """reached: shares of the whole candidate, which a part of it at equal n would blur. classes: those that are
    enlarged. own: (classes, covariates) that do not name the class itself. models: of each class one for each training.
    size: members at which each class is compared with held-out ones."""

    quotas: Quotas
    reached: tuple[Value, ...]
    classes: tuple[Class, ...]
    design: Design
    own: NDArray[np.bool_]
    models: tuple[tuple[Learned, ...], ...]
    size: tuple[int, ...]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | None:
    """Learn every model of every class, on resampled training patients. None where no class is enlarged."""
    if not settings["balance"]:
        return None
    train = comparison.train
    quotas = read_quotas(settings["balance"], train, settings.get("released"))
    classes = tuple(find_enlarged(quotas, train))
    design = baseline_design(train, int(settings["carriers"]))
    own = np.array([_others(design, one, quotas) for one in classes]).reshape(len(classes), -1)
    models: list[tuple[Learned, ...]] = []
    sizes: list[int] = []
    for one, stream in zip(classes, rng.spawn(len(classes)), strict=True):
        keep = own[len(models)]
        trainings = stream.spawn(int(settings["trainings"]))
        models.append(tuple(learn(comparison, one, design, keep, settings, each) for each in trainings))
        sizes.append(min(int(one.members(side).sum()) for side in (train, comparison.real)))
    reached = tuple(_measure_shares(comparison.candidate, quotas))
    return Prepared(quotas, reached, classes, design, own, tuple(models), tuple(sizes))


def _others(design: Design, one: Class, quotas: Quotas) -> NDArray[np.bool_]:
    """(covariates,) which do not name the class: a column or alteration that defines the class would give it away."""
    parts = [quotas.of[i] for i, _ in one.where]
    words = {quota.key for quota in parts}
    for quota in parts:
        words |= {category.partition("=")[0] for category in quota.categories}
    named = [name.removeprefix("log ").split(": ")[0].removesuffix(", per SD") for name in design.names]
    return np.array([name not in words for name in named], dtype=bool)


def learn(
    comparison: Comparison, one: Class, design: Design, keep: NDArray[np.bool_], settings: Mapping[str, Any],
    rng: np.random.Generator,
) -> Learned:  # fmt: skip
    """Classifier and prognosis of one class, of every arm, on training patients drawn with replacement."""
    train, candidate = comparison.train, comparison.candidate
    rows = rng.integers(len(train), size=len(train))
    drawn = train.take(rows)
    member = one.members(drawn)
    # As many members as the quota gives among as many others as there are, within reason.
    wanted = one.share / max(1 - one.share, 1e-9) * (~member).sum()
    most = settings["factor"] * max(member.sum(), 1)
    extra = int(np.rint(min(wanted, most) - member.sum()))
    classifier, prognosis = {}, {}
    base = _code(drawn, design, keep, member.astype(float))
    added = {"real": base[:0]}
    if extra > 0 and member.sum() > 1:
        synthetic = np.flatnonzero(one.members(candidate))
        if len(synthetic):
            taken = candidate.take(repeat_members(len(synthetic), extra, rng, synthetic))
            added["synthetic"] = _code(taken, design, keep, np.ones(extra))
        members = np.flatnonzero(member)
        added["bootstrap"] = base[members[rng.integers(len(members), size=extra)]]
        added["smote"] = draw_by_smote(base, design, keep, members, extra, rng)
    ridge = float(settings["ridge"])
    endpoint = train.schema.endpoints[0] if train.schema.endpoints else None
    for arm, more in [*added.items(), ("weights", base[:0])]:
        table = np.vstack([base, more])
        weight = np.ones(len(table))
        if arm == "weights":
            weight[member] = (member.sum() + max(extra, 0)) / max(member.sum(), 1)
        x, answer = table[:, :-3], table[:, -3]
        model = fit_logistic(x, answer, weight, ridge)
        classifier[arm] = np.append(model.intercept, model.log_odds)
        if arm == "weights":
            # A whole number of repetitions for each member, so that they weigh as much as the quota says.
            table = np.vstack(
                [base, base[repeat_members(int(member.sum()), max(extra, 0), rng, np.flatnonzero(member))]]
            )
        followed = np.isfinite(table[:, -2:]).all(axis=1)
        if endpoint is not None and table[followed, -1].sum() >= settings["events"]:
            whole = table[followed]
            prognosis[arm] = fit_cox(whole[:, :-2], whole[:, -2], whole[:, -1], ridge).log_hazard
    return Learned(classifier, prognosis)


def _code(cohort: Cohort, design: Design, keep: NDArray[np.bool_], member: Vector) -> Matrix:
    """(patients, covariates + 3): covariates, membership, and time and event of the first endpoint (NaN: unknown)."""
    followed = np.full((len(cohort), 2), np.nan)
    if cohort.schema.endpoints:
        known, time, event = follow_up(cohort, cohort.schema.endpoints[0])
        followed[known] = np.column_stack([time, event])
    return np.column_stack([design.matrix(cohort)[:, keep], member, followed])


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """Shares, what is kept within each class, and what is gained. `rng` draws members at equal n and a training."""
    prepared: Prepared | None = comparison.prepared
    if prepared is None or not prepared.classes:
        return [Value(metric.name, np.nan, reason=NO_QUOTAS) for metric in METRICS]
    values = [*prepared.reached]
    kept: dict[str, list[float]] = {name: [] for name in KEPT}
    for i, one in enumerate(prepared.classes):
        found, n, reason = _compare_within(comparison, prepared, i, settings, rng)
        for name in KEPT:
            number = found.get(name, np.nan)
            why = "" if np.isfinite(number) else reason or "not recorded of these members"
            values.append(Value(name, number, one.name, n=n, reason=why))
            kept[name] += [number] if np.isfinite(number) else []
        values += _measure_gain(comparison, prepared, i, settings, rng)
    for name, numbers in kept.items():
        reason = "" if numbers else f"no class with {settings['members']} members on either side"
        values.append(Value(name, float(np.mean(numbers)) if numbers else np.nan, reason=reason))
    return values


def _measure_shares(candidate: Cohort, quotas: Quotas) -> list[Value]:
    values, worst = [], 0.0
    for quota in quotas.of:
        labels = quota.labels(candidate)
        for at, wanted in enumerate(quota.shares):
            share = float((labels == at).mean())
            worst = max(worst, abs(share - wanted) - 1 / len(candidate))
            values.append(Value("class_share", share, quota.name(at), n=len(candidate)))
    values.append(Value("quota_error", max(0.0, worst), n=len(candidate)))
    return values


def _compare_within(
    comparison: Comparison, prepared: Prepared, i: int, settings: Mapping[str, Any], rng: np.random.Generator
) -> tuple[dict[str, float], int, str]:
    """What is kept within one class: metric -> value, members of a side, and why there is nothing."""
    one = prepared.classes[i]
    rows = [np.flatnonzero(one.members(side)) for side in (comparison.real, comparison.candidate)]
    n = min(prepared.size[i], *(len(side) for side in rows))
    if n < settings["members"]:
        return {}, n, f"fewer than {settings['members']} held-out, training or synthetic members"
    real, candidate = (
        side.take(rng.permutation(own)[:n])
        for side, own in zip((comparison.real, comparison.candidate), rows, strict=True)
    )
    found = {
        "class_margin_distance": measure_margin_distance(real, candidate),
        "class_separation": measure_separation(real, candidate, prepared.design, float(settings["ridge"]), rng),
    }
    if real.schema.endpoints:
        sides = [follow_up(side, real.schema.endpoints[0])[1:] for side in (real, candidate)]
        if all(len(time) for time, _ in sides):
            horizon = float(np.quantile(np.concatenate([time for time, _ in sides]), 0.9))
            found["class_survival_distance"] = curve_distance(kaplan_meier(*sides[0]), kaplan_meier(*sides[1]), horizon)
    if real.alterations is not None and candidate.alterations is not None and real.alterations.shape[1]:
        difference = (real.alterations.mean() - candidate.alterations.mean()).abs()
        found["class_frequency_distance"] = float(difference.mean())
    return found, n, ""


def measure_margin_distance(first: Cohort, second: Cohort) -> float:
    """Mean over columns that are not derived of the distance of their margins; missing is a level of its own."""
    from scipy.stats import ks_2samp

    found = []
    for name, column in first.schema.recorded.items():
        sides = [side.clinical[name] for side in (first, second)]
        if column.numeric and column.kind != "event":
            known = [side.dropna().to_numpy(float) for side in sides]
            if all(len(side) for side in known):
                found.append(float(ks_2samp(known[0], known[1], method="asymp").statistic))
            continue
        shares = [side.value_counts(normalize=True, dropna=False) for side in sides]
        levels = shares[0].index.union(shares[1].index)
        parts = [np.asarray(side.reindex(levels, fill_value=0), dtype=np.float64) for side in shares]
        found.append(total_variation(parts[0], parts[1]))
    return float(np.mean(found))


def measure_separation(first: Cohort, second: Cohort, design: Design, ridge: float, rng: np.random.Generator) -> float:
    """2 |A - 1/2| of a cross-validated ridge classifier that distinguishes two groups by their baseline."""
    x = np.vstack([design.matrix(side) for side in (first, second)])
    answer = np.repeat([0.0, 1.0], [len(first), len(second)])
    part = divide_stratified(answer, np.ones(len(answer)), rng, 4)
    score = np.zeros(len(answer))
    for fold in range(4):
        held = part == fold
        score[held] = x[held] @ fit_logistic(x[~held], answer[~held], np.ones((~held).sum()), ridge).log_odds
    areas = [auc(answer[part == fold], score[part == fold]) for fold in range(4)]
    return float(2 * abs(np.mean(areas) - 0.5))


def _measure_gain(
    comparison: Comparison, prepared: Prepared, i: int, settings: Mapping[str, Any], rng: np.random.Generator
) -> list[Value]:
    """Every measure of every arm in held-out patients: of all trainings, or of one of them in a resample."""
    one, models, real = prepared.classes[i], prepared.models[i], comparison.real
    x, member = prepared.design.matrix(real)[:, prepared.own[i]], one.members(real)
    if comparison.resampled:
        models = (models[int(rng.integers(len(models)))],)
    tables = [_scores(model, x, member, real, settings) for model in models]
    n, values = len(real), []
    for measure_ in MEASURES:
        base = [table.get((measure_, "real"), np.nan) for table in tables]
        count = int(member.sum())
        reason = f"too few held-out members ({count}) or events among them"
        known = [number for number in base if np.isfinite(number)]
        values.append(Value(f"{measure_}_real", float(np.mean(known)) if known else np.nan, one.name, n=n,
                            reason="" if known else reason))  # fmt: skip
        for arm in ARMS:
            gains = [table.get((measure_, arm), np.nan) - real_ for table, real_ in zip(tables, base, strict=True)]
            gains = [gain for gain in gains if np.isfinite(gain)]
            values.append(Value(f"{measure_}_gain_{arm}", float(np.mean(gains)) if gains else np.nan, one.name, n=n,
                                reason="" if gains else reason))  # fmt: skip
    return values


def _scores(
    model: Learned, x: Matrix, member: NDArray[np.bool_], real: Cohort, settings: Mapping[str, Any]
) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], float] = {}
    if settings["members"] <= member.sum() < len(member):
        for arm, beta in model.classifier.items():
            score = beta[0] + x @ beta[1:]
            found["auc", arm] = auc(member.astype(float), score)
            found["balanced_accuracy", arm] = float(((score > 0)[member].mean() + (score <= 0)[~member].mean()) / 2)
    if model.prognosis and real.schema.endpoints:
        known, time, event = follow_up(real, real.schema.endpoints[0])
        inside = member[known]
        if event[inside].sum() >= settings["events"]:
            for arm, log_hazard in model.prognosis.items():
                risk = x[known][inside] @ log_hazard[:-1]
                found["c_index", arm] = concordance(risk, time[inside], event[inside])
    return found


def describe_gain(low: float, high: float) -> str:
    """What an interval of a gain says in words; `no gain` where it holds zero."""
    return "gain" if low > 0 else "loss" if high < 0 else NO_GAIN


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Shares beside quotas; what is gained by each way of enlarging, with what the intervals say."""
    prepared: Prepared | None = comparison.prepared
    if prepared is None or not prepared.classes:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, NO_QUOTAS, ha="center", va="center", color=NEUTRAL)
        return drawn
    shown = [one.name for one in prepared.classes][:6]
    height = 2.2 + 0.30 * len(shown) * len(ARMS)
    drawn, axes = new_figure(13, height, ncols=3, gridspec_kw={"width_ratios": [1, 1, 1]})
    _draw_shares(axes[0], prepared.quotas, values, comparison)
    for axis, measure_ in zip(axes[1:], ("auc", "c_index"), strict=True):
        _draw_gains(axis, measure_, shown, values)
    axes[0].set_title(f"{label}: shares, n = {len(comparison.candidate):,}", loc="left", fontsize=10)
    return drawn


def _draw_shares(axis: Any, quotas: Quotas, values: pd.DataFrame, comparison: Comparison) -> None:
    names, places = [], 0
    share = values[values["metric"] == "class_share"].set_index("target")["value"]
    for quota in quotas.of:
        real = np.bincount(quota.labels(comparison.train) + 1, minlength=len(quota.categories) + 1)[1:]
        for at, wanted in enumerate(quota.shares):
            axis.plot(real[at] / len(comparison.train), places, "s", color=BLACK, ms=5)
            axis.plot(wanted, places, "|", color=NEUTRAL, ms=16, mew=2)
            axis.plot(share.get(quota.name(at), np.nan), places, "o", color=SYNTHETIC, ms=5)
            names.append(quota.name(at))
            places += 1
    axis.plot([], [], "s", color=BLACK, label="training patients")
    axis.plot([], [], "|", color=NEUTRAL, ms=12, mew=2, label="quota")
    axis.plot([], [], "o", color=SYNTHETIC, label="this cohort")
    axis.set_yticks(range(places), names)
    axis.set(xlabel="share of patients", xlim=(-0.02, 1.02), ylim=(places - 0.4, -0.7))
    axis.legend(loc="upper left", bbox_to_anchor=(-0.1, -0.22), fontsize=8)


def _draw_gains(axis: Any, measure_: str, shown: Sequence[str], values: pd.DataFrame) -> None:
    colours = dict(zip(ARMS, (SYNTHETIC, BLUE, GREEN, ORANGE), strict=True))
    place, ticks, names = 0, [], []
    for name in shown:
        ticks.append(place + (len(ARMS) - 1) / 2)
        names.append(name)
        for arm in ARMS:
            rows = values[(values["metric"] == f"{measure_}_gain_{arm}") & (values["target"] == name)]
            if len(rows) and np.isfinite(rows["value"].iloc[0]):
                row = rows.iloc[0]
                axis.hlines(place, row["low"], row["high"], color=colours[arm], lw=1.6)
                axis.plot(row["value"], place, "o", color=colours[arm], ms=5)
                text = describe_gain(row["low"], row["high"])
                axis.annotate(text, (1, place), (4, 0), xycoords=("axes fraction", "data"),
                              textcoords="offset points", va="center", fontsize=7)  # fmt: skip
            place += 1
        place += 1
    axis.axvline(0, color=NEUTRAL, lw=0.9, ls="--")
    for arm, text in ARMS.items():
        axis.plot([], [], "o", color=colours[arm], label=text)
    axis.set_yticks(ticks, names if measure_ == "auc" else [""] * len(names))
    words = {"auc": "gain in area under the ROC curve", "c_index": "gain in C-index among members"}
    axis.set(xlabel=f"{words[measure_]}\n(95 % interval)", ylim=(place - 0.4, -0.8))
    axis.locator_params(axis="x", nbins=5)
    if measure_ == "auc":
        axis.legend(loc="upper left", bbox_to_anchor=(-0.2, -0.22), ncols=2, fontsize=8)
