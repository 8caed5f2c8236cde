"""Self-audit: do the privacy checks of this very study stop a leak, and let unseen patients pass?

A check that finds nothing is worth as much as its power to find something. In every run the stages `distance` and
`membership` therefore also see the candidate with a planted leak, and unseen patients offered as the release; both are
held against the gate's limits. Where a leak is not stopped, or unseen patients are, the verdict on the candidate is not
to be trusted, and the gate stays shut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.figures import GREEN, NEUTRAL, SYNTHETIC, new_figure
from haemosynth.publish.gate import CHECKS, gate
from haemosynth.validate.leaks import planted
from haemosynth.validate.privacy import distance, membership
from haemosynth.validate.records import distinct, some_rows
from haemosynth.validate.resampling import PATIENTS
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "share": 0.05,  # of the candidate that is replaced by copies of training patients
    "noise": 0.03,  # of the blurred copies, as a share of a number's 10-90 % range
    "trials": 5,  # of each kind, with other copies or another half of the holdout
    "exchanges": 500,  # of training and unseen patients in each trial
    "limits": {},  # of the gate; the workflow passes those of the study
}
BATTERY = {"distance": distance, "membership": membership}
LEAKS = ("copies", "blurred_copies")
SIDES = ("real", "candidate", "train", "control")
KINDS = (*LEAKS, "unseen_patients")

METRICS = (
    Metric(
        "audit_passed", "descriptive", "", (0, 1), PRIVACY, "attack",
        "1 where most trials with copies and most with blurred copies are stopped, and most with unseen patients pass;"
        " else 0",
        "this project",
    ),
    Metric(
        "audit_stopped", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "share of trials that the gate's checks of distance and membership stop: target copies, the candidate with 5 %"
        " of its records replaced by copies of training patients; blurred_copies, the same with noise on numbers and"
        " one level changed; unseen_patients, half of the holdout as release and the other half as control; target"
        " kind~check: by this check",
        "this project",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Audited:
    """kind of release -> (trials, checks) whether each check stopped it; the checks in their order; records of the
    candidate that were offered."""

    stopped: Mapping[str, np.ndarray]
    checks: tuple[str, ...]
    records: int


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Audited:
    """Offer every kind of release and see which checks stop it.

    Of sides with more than `settings["patients"]` patients (as other stages have it, see `resampling.prepared`) so many
    are drawn for all trials: the fewer patients, the less a check can see, so that leaks found among them are found
    among all.
    """
    share, noise = float(settings["share"]), float(settings["noise"])
    most, sides = settings.get("patients", PATIENTS), {side: distinct(getattr(comparison, side)) for side in SIDES}
    if most is not None:
        sides = {side: some_rows(cohort, int(most), rng) for side, cohort in sides.items()}
    comparison = replace(comparison, **sides)
    train, holdout = comparison.train, comparison.real

    def copies(noise: float) -> Callable[[np.random.Generator], Comparison]:
        return lambda own: replace(comparison, candidate=planted(comparison.candidate, train, share, noise, own))

    def halved(own: np.random.Generator) -> Comparison:
        order = own.permutation(len(holdout))
        first, second = (holdout.take(np.sort(part)) for part in np.array_split(order, 2))
        return replace(comparison, candidate=first, control=second)

    makers = dict(zip(KINDS, (copies(0.0), copies(noise), halved), strict=True))
    stopped, checks = {}, ()
    for kind, make in makers.items():
        trials = []
        for own in rng.spawn(int(settings["trials"])):
            table = judged(make(own), settings, own)
            checks = tuple(table["check"])
            trials.append(~table["passed"].to_numpy(bool))
        stopped[kind] = np.array(trials)
    return Audited(stopped, checks, len(comparison.candidate))


def judged(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """The gate's table of a release, as far as the stages `distance` and `membership` decide it.

    Args:
        settings: `exchanges` and `limits` of DEFAULTS.
    """
    rows = []
    for name, stage in BATTERY.items():
        # Nothing is resampled here, so no neighbours are kept beyond the nearest.
        chosen = (
            stage.DEFAULTS | {"exchanges": int(settings["exchanges"])} | ({"spare": 0} if stage is distance else {})
        )
        seen = replace(comparison, prepared=stage.prepare(comparison, chosen, rng))
        rows += [{"stage": name, **vars(value)} for value in stage.measure(seen, chosen, rng)]
    table = pd.DataFrame(rows).assign(cohort="", generator="", seed=0, low=np.nan, high=np.nan)
    table["status"] = np.where(table["value"].notna(), "ok", "not_applicable")
    limits = {name: limit for name, limit in settings["limits"].items() if name in CHECKS}
    return gate(table, limits, stages=BATTERY)


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """What `prepare` found; nothing here depends on the resample."""
    audited: Audited = comparison.prepared
    values, passed = [], True
    for kind, stopped in audited.stopped.items():
        share = float(stopped.any(axis=1).mean())
        passed &= share > 0.5 if kind in LEAKS else share <= 0.5
        values.append(Value("audit_stopped", share, kind, n=len(stopped)))
        values += [
            Value("audit_stopped", float(by_check.mean()), f"{kind}~{check}", n=len(stopped))
            for check, by_check in zip(audited.checks, stopped.T, strict=True)
        ]
    return [Value("audit_passed", float(passed), n=audited.records), *values]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Share of trials that are stopped, by kind of release and check."""
    audited: Audited = comparison.prepared
    drawn, axis = new_figure(8, 3.4)
    names = ["any check", *(check.replace("_", " ") for check in audited.checks)]
    texts = {"copies": "with copies (must be stopped)", "blurred_copies": "with blurred copies (must be stopped)",
             "unseen_patients": "unseen patients (must pass)"}  # fmt: skip
    looks = {"copies": (SYNTHETIC, "s"), "blurred_copies": (NEUTRAL, "D"), "unseen_patients": (GREEN, "o")}
    for column, (kind, stopped) in enumerate(audited.stopped.items()):
        shares = [stopped.any(axis=1).mean(), *stopped.mean(axis=0)]
        places = [-row - 0.2 * (column - 1) for row in range(len(names))]
        colour, marker = looks[kind]
        axis.hlines(places, 0, shares, color=colour, lw=1.2)
        axis.plot(shares, places, marker, color=colour, ms=5, label=texts[kind], ls="none")
    axis.axvline(0.5, color=NEUTRAL, lw=0.9, ls="--")
    axis.set(xlim=(-0.02, 1.02), ylim=(-len(names) + 0.4, 0.6), xlabel="share of trials that are stopped")
    axis.set_yticks([-row for row in range(len(names))], names)
    passed = bool(values.loc[values["metric"] == "audit_passed", "value"].eq(1).all())
    words = "the checks can be trusted" if passed else "the checks cannot be trusted"
    trials = len(next(iter(audited.stopped.values())))
    axis.set_title(f"{label}: {words} ({trials} trials of each kind)", loc="left", fontsize=10)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
    return drawn
