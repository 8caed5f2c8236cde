"""Self-audit: do the checks on memory of this very study stop a leak, and let unseen patients pass?

A check that finds nothing is worth as much as its power to find something. In every run the checks of the stages
`memory` and `distance` therefore also see the candidate with a planted leak, and unseen patients in place of the
release; both are held against the gate's limits. Where leaks are not stopped, or unseen patients are, the verdict on
the candidate is not to be trusted, and the gate stays shut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import bdtrc

from haemosynth.core.cohort import Cohort
from haemosynth.core.figures import BLUE, GREEN, NEUTRAL, ORANGE, PURPLE, VERMILION, new_figure
from haemosynth.encode.records import Encoder, Matrix, distinct, fit_encoder, some_rows
from haemosynth.modalities.registry import ALTERED, RECORD
from haemosynth.privacy import memory, nearness
from haemosynth.privacy.linkage import Flags, Links, link
from haemosynth.privacy.planted_leaks import planting
from haemosynth.privacy.release_check import CHECKS, NOTHING_TO_COPY, gate
from haemosynth.stats.null_distribution import RARE, quantile
from haemosynth.validate import Stage
from haemosynth.validate.comparisons import unseen_side
from haemosynth.validate.resampling import PATIENTS
from haemosynth.validate.stage import PRIVACY, Comparison, Metric, Value

DEFAULTS: dict[str, Any] = {
    "shares": [0.05, 0.02],  # of the candidate's records that are replaced by copies of training patients
    "noise": 0.03,  # of the blurred copies, as a share of a number's 10-90 % range
    "trials": 10,  # of each kind, with other copies or another half of the holdout
    "right": 0.9,  # share of the trials of a kind that must come out right
    "fewest": 3,  # copies below which a kind does not decide, but for those of the largest share
    "exchanges": 500,  # of training and unseen patients in each trial
    "limits": {},  # of the gate; the workflow passes those of the study
}
STAGES = ("memory", "distance")
SIDES = ("real", "candidate", "train", "control")
UNSEEN = "unseen_patients"

STAGE = Stage("privacy", needs=(RECORD,), memory=4000, runtime=60, pool=True, of_published=True)
METRICS = (
    Metric(
        "audit_passed", "descriptive", "", (0, 1), PRIVACY, "attack",
        "1 where at least nine in ten trials with copies are stopped, of each kind that decides, and at least nine in"
        " ten with unseen patients pass; else 0. Copies of 5 % decide always, of 2 % where they are three or more and"
        " so many that linked_copies must stop 99 of 100 trials if its cut finds 95 % of them",
        "this project",
    ),
    Metric(
        "audit_stopped", "descriptive", "share", (0, 1), PRIVACY, "attack",
        "share of trials that the gate's checks of memory and distance stop: target copies_5 and copies_2, the"
        " candidate with 5 or 2 % of its records replaced by copies of training patients; blurred_copies_5 and"
        " blurred_copies_2, the same with noise on numbers and one level changed; unseen_patients, half of the holdout"
        " as release and the other half as control; target kind~check: by this check",
        "this project",
    ),
    Metric(
        "audit_copies", "descriptive", "records", (0, np.inf), PRIVACY, "attack",
        "number of copies that are planted in each trial of the kind that is the target; target enough: number from"
        " which those of 2 % decide",
        "this project",
    ),
)  # fmt: skip


class Kind(NamedTuple):
    """A kind of planted leak: its name, its share of the records, and the noise of the copies."""

    name: str
    share: float
    noise: float


@dataclass(frozen=True)
class Audited:
    """What became of the trials.

    stopped: kind of release -> (trials, checks) whether each check stopped it. copies: kind -> records planted. enough:
    number of copies from which a kind decides. checks: in their order. records: of the candidate that was attacked.
    """

    stopped: Mapping[str, Flags]
    copies: Mapping[str, int]
    enough: int
    checks: tuple[str, ...]
    records: int


@dataclass(frozen=True)
class Ground:
    """Of the real patients, what all releases are held against.

    known: training patients as points. same: (unseen patients,) whether a training patient has the same record.
    """

    calibrated: memory.Calibrated
    encoder: Encoder
    known: Matrix
    same: Flags
    train: Cohort
    unseen: Cohort


class Offer(NamedTuple):
    """A release as the checks see it.

    links: of its records. pooled: of the pool's; None: the release is its own pool. same: (records,) whether a training
    patient has the same record. records: the release, for its profiles. rows: real patients who are attacked. hidden:
    places of the unseen patients it is compared with.
    """

    links: Links
    pooled: Links | None
    same: Flags
    records: list[Cohort]
    rows: NDArray[np.intp]
    hidden: NDArray[np.intp]


def prepare(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Audited:
    """Offer every kind of release and see which checks stop it.

    Linkage, cut and what else depends on the real patients alone are found once, and so are the links of the
    candidate's own records: each trial adds its copies. Of sides with more than `settings["patients"]` patients (as
    other stages have it, see `resampling.prepared`) so many are drawn for all trials: the fewer patients, the less a
    check can see, so that leaks found among them are found among all.
    """
    real, draw, *own = rng.spawn(3 + len(kinds(settings)))
    most = settings.get("patients", PATIENTS)
    sides: dict[str, Any] = {side: distinct(getattr(comparison, side)) for side in SIDES}
    if most is not None:
        sides = {side: some_rows(cohort, int(most), draw) for side, cohort in sides.items()}
    comparison = replace(comparison, **sides)
    train, candidate = comparison.train, comparison.candidate
    ground = ground_of(comparison, settings, real)
    base = offer(ground, candidate, comparison.pool, settings, draw)
    trials = int(settings["trials"])
    stopped, copies, table = {}, {}, pd.DataFrame()
    for kind, streams in zip(kinds(settings), own[:-1], strict=True):
        rows = []
        for stream in streams.spawn(trials):
            kept, copied = planting(len(candidate), train, kind.share, kind.noise, stream)
            table = judge(ground, leaking(ground, base, candidate, kept, copied), settings, stream)
            rows.append(~table["passed"].to_numpy(bool))
        stopped[kind.name], copies[kind.name] = np.array(rows), len(candidate) - len(kept)
    rows = []
    for stream in own[-1].spawn(trials):
        table = judge(ground, halve(ground, stream), settings, stream)
        rows.append(~table["passed"].to_numpy(bool))
    stopped[UNSEEN] = np.array(rows)
    return Audited(stopped, copies, enough(ground, base, settings), tuple(table["check"]), len(candidate))


def enough(ground: Ground, offered: Offer, settings: Mapping[str, Any]) -> int:
    """From how many copies on a kind decides: so many that a working check stops all but one in a hundred trials.

    The cut of the linkage finds a blurred copy with a probability of 0.95, and the copies that are found must be more
    than chance explains. At least `fewest`.
    """
    trained, others = ground.calibrated.member.sum(), (~ground.calibrated.member).sum()
    released, pooled = len(offered.links.best), len((offered.pooled or offered.links).best)
    share = released * trained / (released * trained + pooled * others)
    needed, power = int(np.log(1 - RARE) // np.log(share)) + 1, 1 - float(memory.DEFAULTS["missed"])
    copies = max(needed, int(settings["fewest"]))
    while bdtrc(needed - 1, copies, power) < 0.99:
        copies += 1
    return copies


def kinds(settings: Mapping[str, Any]) -> list[Kind]:
    """The kinds of leak that are planted."""
    return [
        Kind(f"{name}_{100 * share:g}", float(share), noise)
        for share in settings["shares"]
        for name, noise in (("copies", 0.0), ("blurred_copies", float(settings["noise"])))
    ]


def ground_of(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> Ground:
    """The real patients of a comparison, with the stages' default settings."""
    train, unseen = comparison.train, distinct(unseen_side(comparison))
    encoder = fit_encoder(train)
    known = encoder.points(train)
    same = nearness.identical(encoder.points(unseen), known, encoder, float(nearness.DEFAULTS["tolerance"]))[:, 0]
    return Ground(memory.calibrate(train, unseen, memory.DEFAULTS, rng), encoder, known, same, train, unseen)


def offer(
    ground: Ground, release: Cohort, pool: Cohort | None, settings: Mapping[str, Any], rng: np.random.Generator
) -> Offer:
    """A release as it is."""
    pooled = memory.pool_links(ground.calibrated, pool, memory.DEFAULTS, rng)
    everyone = np.arange(len(ground.calibrated.patients)), np.arange(len(ground.unseen))
    return Offer(link(ground.calibrated.linkage, release), pooled, _same(ground, release), [release], *everyone)


def leaking(ground: Ground, base: Offer, candidate: Cohort, kept: NDArray[np.intp], copied: Cohort) -> Offer:
    """The release of which these records are kept, and these copies added."""
    new = link(ground.calibrated.linkage, copied)
    links = Links(*(np.concatenate([old[kept], more]) for old, more in zip(base.links, new, strict=True)))
    same = np.concatenate([base.same[kept], _same(ground, copied)])
    return base._replace(links=links, same=same, records=[candidate.take(kept), copied])


def halve(ground: Ground, rng: np.random.Generator) -> Offer:
    """A random half of the unseen patients as release, the other half as those whom nobody has seen."""
    shown, hidden = (np.sort(half) for half in np.array_split(rng.permutation(len(ground.unseen)), 2))
    release = ground.unseen.take(shown)
    among = ~ground.calibrated.patients.isin(release.patients)
    links = link(ground.calibrated.linkage, release, among=among)
    return Offer(links, None, ground.same[shown], [release], np.flatnonzero(among), hidden)


def _same(ground: Ground, records: Cohort) -> Flags:
    """(records,) whether a training patient has the same clinical record."""
    apart = float(nearness.DEFAULTS["tolerance"])
    same: Flags = nearness.identical(ground.encoder.points(records), ground.known, ground.encoder, apart)[:, 0]
    return same


def judge(ground: Ground, offered: Offer, settings: Mapping[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """The gate's table of a release, as far as the checks of the stages `memory` and `distance` decide it.

    Args:
        settings: `exchanges` and `limits` of DEFAULTS.
    """
    exchanges, rate = int(settings["exchanges"]), float(memory.DEFAULTS["rate"])
    calibrated, rows = ground.calibrated, offered.rows
    found = memory.find(calibrated, offered.links, offered.pooled)
    chance = memory.by_chance(found, calibrated.member, rows, {"exchanges": exchanges, "rate": rate}, rng)
    exact = float(offered.same.mean() - ground.same[offered.hidden].mean())
    values = [
        ("memory", "linked_copies", "all", RECORD, memory.measure_linked_copies(found, calibrated.member, rows)),
        ("memory", "exposed", "all", RECORD,
         memory.measure_exposed(found.largest[rows], calibrated.member[rows], rate)),
        *(("memory", "memory_chance", metric, RECORD, limit) for metric, limit in chance.items()),
        ("distance", "exact_matches", "all", RECORD, max(0.0, exact)),
    ]  # fmt: skip
    reason = ""
    if all(cohort.alterations is not None for cohort in (ground.train, *offered.records)):
        fewest = int(nearness.DEFAULTS["fewest"])
        hidden = nearness.profiles(ground.unseen.take(offered.hidden), fewest)
        shown = [profile for part in offered.records for profile in nearness.profiles(part, fewest)]
        known = nearness.profiles(ground.train, fewest)
        excess = max(0.0, nearness.profile_excess(Counter(known), shown, hidden))
        null = quantile(nearness.exchange_profiles(known, hidden, shown, exchanges, rng), RARE)
        values.append(("distance", "copied_profiles", "all", ALTERED, excess))
        values.append(("distance", "distance_chance", "copied_profiles", ALTERED, null))
    else:
        reason = NOTHING_TO_COPY
        values.append(("distance", "copied_profiles", "all", ALTERED, np.nan))
    table = pd.DataFrame(values, columns=["stage", "metric", "target", "modality", "value"])
    table = table.assign(cohort="", generator="", seed=0, low=np.nan, high=np.nan, reason=reason)
    table["status"] = np.where(table["value"].notna(), "ok", "not_applicable")
    limits = {name: limit for name, limit in settings["limits"].items() if name in CHECKS}
    return gate(table, limits, stages=STAGES)


def judge_candidate(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> pd.DataFrame:
    """The same table of the candidate of a comparison."""
    ground = ground_of(comparison, settings, rng)
    offered = offer(ground, comparison.candidate, comparison.pool, settings, rng)
    return judge(ground, offered, settings, rng)


def decides(kind: Kind, audited: Audited, settings: Mapping[str, Any]) -> bool:
    """Whether a kind of leak decides: small shares only with enough copies to be distinguished from chance."""
    return kind.share == max(settings["shares"]) or audited.copies[kind.name] >= audited.enough


def measure(comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]:
    """What `prepare` found; nothing here depends on the resample."""
    audited: Audited = comparison.prepared
    right, values = float(settings["right"]), []
    passed = float((~audited.stopped[UNSEEN].any(axis=1)).mean()) >= right
    for kind in kinds(settings):
        share = float(audited.stopped[kind.name].any(axis=1).mean())
        passed &= share >= right or not decides(kind, audited, settings)
        values.append(Value("audit_copies", audited.copies[kind.name], kind.name, n=audited.records))
    values.append(Value("audit_copies", audited.enough, "enough", n=audited.records))
    for name, stopped in audited.stopped.items():
        values.append(Value("audit_stopped", float(stopped.any(axis=1).mean()), name, n=len(stopped)))
        values += [
            Value("audit_stopped", float(by_check.mean()), f"{name}~{check}", n=len(stopped))
            for check, by_check in zip(audited.checks, stopped.T, strict=True)
        ]
    return [Value("audit_passed", float(passed), n=audited.records), *values]


def figure(comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str) -> Figure:
    """Share of trials that are stopped, by kind of release and check."""
    audited: Audited = comparison.prepared
    drawn, axis = new_figure(8.5, 3.8)
    names = ["any check", *(check.replace("_", " ") for check in audited.checks)]
    looks = [(VERMILION, "s"), (ORANGE, "D"), (BLUE, "s"), (PURPLE, "D")]
    rows = [
        (kind.name, _text(kind, audited, settings), *looks[number % 4]) for number, kind in enumerate(kinds(settings))
    ]
    rows.append((UNSEEN, "unseen patients (must pass)", GREEN, "o"))
    for column, (name, text, colour, marker) in enumerate(rows):
        stopped = audited.stopped[name]
        shares = [stopped.any(axis=1).mean(), *stopped.mean(axis=0)]
        places = [-row - 0.15 * (column - (len(rows) - 1) / 2) for row in range(len(names))]
        axis.hlines(places, 0, shares, color=colour, lw=1.2)
        axis.plot(shares, places, marker, color=colour, ms=4.5, label=text, ls="none")
    right = float(settings["right"])
    for needed in (right, 1 - right):
        axis.axvline(needed, color=NEUTRAL, lw=0.9, ls="--")
    axis.set(xlim=(-0.02, 1.02), ylim=(-len(names) + 0.4, 0.6), xlabel="share of trials that are stopped")
    axis.set_yticks([-row for row in range(len(names))], names)
    passed = bool(values.loc[values["metric"] == "audit_passed", "value"].eq(1).all())
    words = "the checks can be trusted" if passed else "the checks cannot be trusted"
    trials = len(audited.stopped[UNSEEN])
    axis.set_title(f"{label}: {words} ({trials} trials of each kind)", loc="left", fontsize=10)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=8)
    return drawn


def _text(kind: Kind, audited: Audited, settings: Mapping[str, Any]) -> str:
    copies = audited.copies[kind.name]
    must = "must be stopped" if decides(kind, audited, settings) else "too few to decide"
    blurred = "blurred copies" if kind.noise > 0 else "copies"
    return f"{100 * kind.share:g} % {blurred}, {copies} ({must})"
