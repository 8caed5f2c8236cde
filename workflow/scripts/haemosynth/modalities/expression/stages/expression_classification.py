"""Classification by expression: do classifiers of subgroups learned from synthetic profiles hold in real ones?

For each subgroup a ridge logistic regression of the principal components of training patients separates carriers from
others; carriers and others weigh the same. Learned on one side it is tested on the other, as in cross_classification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLUE, NEUTRAL, REAL, SYNTHETIC, new_figure
from haemosynth.encode.records import Matrix, Vector, some_rows
from haemosynth.modalities.expression import subgroups
from haemosynth.modalities.expression.components import standard_components
from haemosynth.modalities.expression.part import expression_of, has_expression
from haemosynth.modalities.expression.subgroups import choose_subgroups, lacking, states
from haemosynth.stats.learners import LogisticModel, fit_logistic
from haemosynth.stats.ranking import weighted_auc
from haemosynth.validate import Stage
from haemosynth.validate.stage import JOINT, Comparison, Metric, Value

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULTS: dict[str, Any] = {
    **subgroups.DEFAULTS,
    "components": 20,
    "ridge": 1.0,  # penalty of the logistic regressions, of components on the scale of one standard deviation
    "cases": 5,  # carriers and others that a test needs
}
ESTEBAN = "Esteban et al., arXiv 1706.02633"
STAGE = Stage("utility", needs=("expression", "genomic"), environment="expression", memory=4000, runtime=30)
METRICS = (
    Metric(
        "subgroup_auc_tstr", "agreement", "", (0, 1), JOINT, "subsample",
        "area under the ROC curve, carriers against others of the holdout, of the logistic regression of 20 principal"
        " components learned from the candidate; mean over subgroups; target: a subgroup",
        f"{ESTEBAN} (train synthetic, test real)",
    ),
    Metric(
        "subgroup_accuracy_tstr", "agreement", "", (0, 1), JOINT, "subsample",
        "(sensitivity + specificity) / 2 of the same at probability 1/2, carriers and others weighing the same in"
        " learning; mean over subgroups",
        f"{ESTEBAN}; Brodersen et al., ICPR 2010 (balanced accuracy)",
    ),
    Metric(
        "subgroup_auc_trts_error", "error", "area under the ROC curve", (0, 1), JOINT, "subsample",
        "|AUC in the candidate, learned from the holdout - AUC in the holdout, learned from training patients|; mean"
        " over subgroups. Too clear subgroups are as wrong as blurred ones",
        f"this project, after {ESTEBAN} (train real, test synthetic)",
    ),
    Metric(
        "subgroup_auc_trtr", "descriptive", "", (0, 1), JOINT, "subsample",
        "as subgroup_auc_tstr, learned from as many training patients",
        f"{ESTEBAN}",
    ),
    Metric(
        "subgroup_auc_trts", "descriptive", "", (0, 1), JOINT, "subsample",
        "area under the ROC curve in the candidate of the logistic regression learned from the holdout",
        f"{ESTEBAN} (train real, test synthetic)",
    ),
    Metric(
        "subgroup_accuracy_trtr", "descriptive", "", (0, 1), JOINT, "subsample",
        "as subgroup_accuracy_tstr, learned from as many training patients",
        f"{ESTEBAN}",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """What places profiles among the standardised components, and the subgroups."""

    place: Callable[[AnnData], Matrix]
    subgroups: tuple[str, ...]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Prepared | None:
    """Components and subgroups of training patients; None where expression cannot be read. `rng` is not used."""
    train = comparison.train
    if lacking(comparison) or not has_expression(train):
        return None
    return Prepared(
        standard_components(int(settings["components"]), expression_of(train)), choose_subgroups(train, settings)
    )


def _learn(points: Matrix, state: Vector, ridge: float) -> LogisticModel:
    """The classifier; carriers and others have the same weight in sum, unknown patients none."""
    one, none = state == 1, state == 0
    weight = np.where(
        one, len(state) / (2 * max(one.sum(), 1)), np.where(none, len(state) / (2 * max(none.sum(), 1)), 0)
    )
    return fit_logistic(points, (state == 1).astype(float), weight, ridge)


def _cases(state: Vector) -> int:
    return int(min((state == 1).sum(), (state == 0).sum()))


def _test(model: LogisticModel, points: Matrix, state: Vector) -> tuple[float, float]:
    """Area under the ROC curve and balanced accuracy among the patients whose state is known."""
    score, one, none = model.probability(points), state == 1, state == 0
    # A model that was taught nothing tells everybody the same, which may be either side of one half.
    right = 0.5 if not model.log_odds.any() else float(((score[one] > 0.5).mean() + (score[none] <= 0.5).mean()) / 2)
    return weighted_auc(one.astype(float), score, (one | none).astype(float)), right


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """All metrics of each subgroup, and their means (`all`). `rng` chooses training patients where they are more."""
    learned: Prepared | None = comparison.prepared
    reason = lacking(comparison)
    if reason or learned is None:
        return [Value(metric.name, np.nan, modality="expression", reason=reason) for metric in METRICS]
    ridge, least = float(settings["ridge"]), int(settings["cases"])
    train = some_rows(comparison.train, len(comparison.candidate), rng)
    sides = [_side(cohort, learned) for cohort in (comparison.real, comparison.candidate, train)]
    n = min(len(sides[0][0]), len(sides[1][0]))
    kept: dict[str, list[float]] = {metric.name: [] for metric in METRICS}
    values = []
    for j, event in enumerate(learned.subgroups):
        real, candidate, known = ((points, state[:, j]) for points, state in sides)
        if min(_cases(real[1]), _cases(known[1])) < least:
            reason = f"fewer than {least} carriers or others among held-out or training patients"
            values += [Value(name, np.nan, event, "expression", n, reason) for name in kept]
            continue
        synthetic = _test(_learn(*candidate, ridge), *real)
        reference = _test(_learn(*known, ridge), *real)
        back = _test(_learn(*real, ridge), *candidate)[0] if _cases(candidate[1]) >= least else np.nan
        found = {
            "subgroup_auc_tstr": synthetic[0],
            "subgroup_accuracy_tstr": synthetic[1],
            "subgroup_auc_trts_error": abs(back - reference[0]),
            "subgroup_auc_trtr": reference[0],
            "subgroup_auc_trts": back,
            "subgroup_accuracy_trtr": reference[1],
        }
        for name, value in found.items():
            reason = "" if np.isfinite(value) else f"fewer than {least} carriers or others in the candidate"
            values.append(Value(name, value, event, "expression", n, reason))
            kept[name] += [value] if np.isfinite(value) else []
    for name, numbers in kept.items():
        reason = "" if numbers else "no subgroup with enough carriers on both sides"
        mean = float(np.mean(numbers)) if numbers else np.nan
        values.append(Value(name, mean, modality="expression", n=n, reason=reason))
    return values


def _side(cohort: Cohort, learned: Prepared) -> tuple[Matrix, Matrix]:
    """Components and states of the subgroups, of each patient with expression."""
    return learned.place(expression_of(cohort)), states(cohort, learned.subgroups)


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Areas under the ROC curve and balanced accuracies of every subgroup, learned from either side."""
    learned: Prepared | None = comparison.prepared
    known = values[values["status"] == "ok"]
    names = [] if learned is None else [name for name in learned.subgroups if (known["target"] == name).any()]
    if not names:
        drawn, axis = new_figure(6, 1.2)
        axis.axis("off")
        axis.text(0.5, 0.5, values["reason"].iloc[0] or "no subgroup", ha="center", va="center", color=NEUTRAL)
        return drawn
    drawn, axes = new_figure(10.5, 1.7 + 0.62 * (len(names) + 1), ncols=2)
    looks = (
        ("trtr", REAL, "o", "learned from real, tested on real"),
        ("tstr", SYNTHETIC, "s", f"learned from {label}, tested on real"),
        ("trts", BLUE, "D", f"learned from real, tested on {label}"),
    )
    for axis, metric, text in zip(
        axes, ("subgroup_auc", "subgroup_accuracy"), ("area under the ROC curve", "balanced accuracy"), strict=True
    ):
        for k, (kind, colour, mark, legend) in enumerate(looks):
            rows = known[known["metric"] == f"{metric}_{kind}"].set_index("target").reindex([*names, "all"])
            y = np.arange(len(rows)) + 0.22 * (k - 1)
            axis.hlines(y, rows["low"], rows["high"], color=colour, lw=1.4)
            axis.plot(rows["value"], y, mark, color=colour, ms=5, label=legend if metric == "subgroup_auc" else None)
        axis.axvline(0.5, color=NEUTRAL, lw=0.8, ls="--", zorder=0)
        axis.set_yticks(range(len(names) + 1), [*names, "mean"])
        axis.set_ylim(len(names) + 0.6, -0.6)
        axis.set_xlim(min(axis.get_xlim()[0], 0.45), 1.01)
        axis.set_xlabel(f"{text}; 95 % interval")
    drawn.legend(loc="outside upper center", ncols=3, fontsize=9)
    return drawn
