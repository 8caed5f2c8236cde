"""All results of a study in one table, and every number read between its ceiling and its floor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.streams import stream
from haemosynth.validate import STAGES, load
from haemosynth.validate.stage import Metric

Matrix = NDArray[np.float64]
JOB = ["cohort", "generator", "seed", "pillar", "stage"]
METRIC_COLUMNS = [*JOB, "modality", "metric", "target", "value", "low", "high", "n", "status", "reason"]
REPLICATE_COLUMNS = [*JOB, "modality", "metric", "target", "replicate", "value"]
SCORE_COLUMNS = [
    "cohort", "generator", "pillar", "stage", "modality", "metric",
    "value", "ceiling", "floor", "relative", "low", "high", "seeds", "status",
]  # fmt: skip
COMPOSITE_COLUMNS = ["cohort", "generator", "pillar", "modality", "relative", "low", "high", "seeds", "parts"]
STAGE_COLUMNS = ["cohort", "generator", "pillar", "stage", "modality", "relative", "low", "high", "seeds", "metrics"]
CONTEST_COLUMNS = [
    "cohort", "pillar", "stage", "modality", "metric", "generator", "against",
    "distance", "distance_against", "difference", "low", "high", "verdict",
]  # fmt: skip
Key = tuple[str, str, str]  # stage, modality, metric
DRAWS = 2000
TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Job:
    """Which validation job a table came from."""

    cohort: str
    generator: str
    seed: int
    stage: str

    @property
    def pillar(self) -> str:
        """The stage's pillar."""
        return STAGES[self.stage].pillar


def make_metrics_table(parts: Mapping[Job, pd.DataFrame]) -> pd.DataFrame:
    """`metrics.tsv`: the values of all jobs, one row per metric and target, in the order of `parts`."""
    table = _collect(parts, METRIC_COLUMNS)
    table["reason"] = table["reason"].fillna("")
    return table


def make_replicates_table(parts: Mapping[Job, pd.DataFrame]) -> pd.DataFrame:
    """The replicates of all jobs; the scorecard needs those of the target `all` only, and keeps only them."""
    only = {job: table[table["target"] == "all"] for job, table in parts.items()}
    return _collect(only, REPLICATE_COLUMNS)


def _collect(parts: Mapping[Job, pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    tables = [
        table.assign(cohort=job.cohort, generator=job.generator, seed=job.seed, pillar=job.pillar, stage=job.stage)
        for job, table in parts.items()
        if len(table)
    ]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def list_declared(stages: Iterable[str]) -> dict[tuple[str, str], Metric]:
    """(stage, metric name) -> what the stage declares of it."""
    return {(stage, metric.name): metric for stage in stages for metric in load(stage).METRICS}


def make_dictionary(stages: Iterable[str] = tuple(STAGES)) -> pd.DataFrame:
    """`metrics_dictionary.tsv`: one row per metric of these stages, as the stages declare them."""
    rows = [
        {
            "name": metric.name,
            "stage": stage,
            "pillar": STAGES[stage].pillar,
            "kind": metric.kind,
            "target": np.nan if metric.target is None else metric.target,
            "unit": metric.unit,
            "low": metric.bounds[0],
            "high": metric.bounds[1],
            "ceiling": metric.references[0],
            "floor": metric.references[1],
            "interval": metric.interval,
            "formula": metric.formula,
            "source": metric.source,
        }
        for (stage, _), metric in list_declared(stages).items()
    ]
    return pd.DataFrame(rows)


def compute_distance_from_best(values: Matrix, metric: Metric) -> Matrix:
    """How far values lie from the best one: the value of an error, 1 - agreement, |value - target|.

    Raises:
        ValueError: a descriptive metric has no best value.
    """
    if metric.kind == "error":
        return values
    if metric.kind == "agreement":
        return 1 - values
    if metric.kind == "target" and metric.target is not None:
        return np.abs(values - metric.target)
    raise ValueError(f"{metric.name} is {metric.kind}: it has no best value")


def _wide(table: pd.DataFrame, rows: str) -> pd.DataFrame:
    """One column per generator.

    Raises:
        ValueError: a generator has two values in a row.
    """
    return table.set_index([rows, "generator"])["value"].unstack("generator")  # noqa: PD010 - refuses duplicates


@dataclass(frozen=True)
class Score:
    """A row of the scorecard, and what its composites need. cloud: (draws,), empty where nothing is scored."""

    row: dict[str, object]
    group: tuple[str, str, str, str]  # cohort, generator, pillar, modality
    stage: str
    relative: float = np.nan
    seeds: int = 0
    cloud: Matrix = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class _Reading:
    """Distances from best of some generators on one metric. points: (generators,); cloud: (draws, generators)."""

    points: Matrix
    cloud: Matrix
    seeds: int


class _Results:
    """Values and replicates of one cohort for the target `all`, by metric, and the draws over seeds and replicates."""

    def __init__(self, cohort: str, metrics: pd.DataFrame, replicates: pd.DataFrame) -> None:
        keys = ["stage", "modality", "metric"]
        ours = metrics[(metrics["cohort"] == cohort) & (metrics["target"] == "all")]
        clouds = replicates[(replicates["cohort"] == cohort) & (replicates["target"] == "all")]
        self.values: dict[Key, pd.DataFrame] = {
            (str(stage), str(modality), str(metric)): table
            for (stage, modality, metric), table in ours.groupby(keys, sort=False)
        }
        self.clouds = {key: _wide(table, "replicate") for key, table in clouds.groupby([*keys, "seed"], sort=False)}
        # One set of draws for all metrics and generators: what they share stays shared in differences and means.
        rng, most = stream(0, "scorecard", cohort), max(1, ours["seed"].nunique())
        self.which_seed, self.which_replicate = rng.random((2, DRAWS, most))

    def reading(self, key: Key, generators: Sequence[str], metric: Metric) -> _Reading | None:
        """Generators side by side, over the seeds in which all of them have a value; None where there is none.

        A draw takes seeds with replacement and one replicate of each, the same one for all generators. Replicates are
        centred on the distance of their own value, since folding at a target would shift them.
        """
        table = self.values[key]
        values = _wide(table[table["status"] == "ok"], "seed")
        values = values.reindex(columns=list(dict.fromkeys(generators))).dropna().sort_index()
        if values.empty:
            return None
        points = compute_distance_from_best(values[list(generators)].to_numpy(float), metric)
        clouds = []
        for seed, centre in zip(values.index, points, strict=True):
            cloud = self.clouds.get((*key, seed), pd.DataFrame()).reindex(columns=values.columns).dropna()
            distances = compute_distance_from_best(cloud[list(generators)].to_numpy(float), metric)
            clouds.append(distances - distances.mean(axis=0) + centre if len(distances) else centre[None, :])
        seeds = len(clouds)
        drawn = np.zeros((DRAWS, len(generators)))
        chosen = (self.which_seed[:, :seeds] * seeds).astype(int)
        for slot in range(seeds):
            for i, cloud in enumerate(clouds):
                rows = np.flatnonzero(chosen[:, slot] == i)
                drawn[rows] += cloud[(self.which_replicate[rows, slot] * len(cloud)).astype(int)] / seeds
        return _Reading(points.mean(axis=0), drawn, seeds)


def _no_signal(reading: _Reading, ceiling: int, floor: int) -> bool:
    """Whether the ceiling cannot be distinguished from the floor, or lies below it."""
    gap = reading.cloud[:, floor] - reading.cloud[:, ceiling]
    return bool(np.quantile(gap, TAILS[0]) <= 0)


def compute_scores(metrics: pd.DataFrame, replicates: pd.DataFrame, compare: Sequence[str]) -> list[Score]:
    """Each metric of each generator read between its references: what the tables below are made of.

    With d the distance from the best value (see `compute_distance_from_best`), averaged over seeds,
    relative = (d_floor - d) / (d_floor - d_ceiling): 1 is as good as the ceiling, 0 as the floor; above 1 is possible
    and means smoothing, not merit. The interval takes 2,000 draws of seeds with replacement and of one replicate per
    seed, the same one for the generator and both references, and so holds between-seed and within-seed variance.
    `status` is `no_signal` where the interval of d_floor - d_ceiling covers 0 or the floor is better: then nothing is
    scored; `not_applicable` where the metric or a reference has no value. `value`, `ceiling` and `floor` are means.

    Args:
        metrics, replicates: of `make_metrics_table` and `make_replicates_table`.
        compare: generators in the order of the study.
    """
    known = list_declared(dict.fromkeys(metrics["stage"]))
    scored: list[Score] = []
    for cohort in dict.fromkeys(metrics["cohort"]):
        results = _Results(cohort, metrics, replicates)
        for generator in dict.fromkeys([*compare, *metrics["generator"]]):
            for key, table in results.values.items():
                stage, modality, name = key
                metric = known[stage, name]
                if metric.kind == "descriptive" or generator not in set(table["generator"]):
                    continue
                group = (cohort, generator, STAGES[stage].pillar, modality)
                row: dict[str, object] = {
                    **dict(zip(("cohort", "generator", "pillar", "modality"), group, strict=True)),
                    "stage": stage, "metric": name, **_means(table, generator, metric),
                    "relative": np.nan, "low": np.nan, "high": np.nan, "seeds": 0, "status": "not_applicable",
                }  # fmt: skip
                score = Score(row, group, stage)
                reading = results.reading(key, (generator, *metric.references), metric)
                if reading is not None:
                    row |= {"seeds": reading.seeds, "status": "no_signal"}
                    if not _no_signal(reading, 1, 2):
                        own, ceiling, floor = reading.points
                        cloud = (reading.cloud[:, 2] - reading.cloud[:, 0]) / (
                            reading.cloud[:, 2] - reading.cloud[:, 1]
                        )
                        low, high = np.quantile(cloud, TAILS)
                        relative = float((floor - own) / (floor - ceiling))
                        row |= {"relative": relative, "low": low, "high": high, "status": "ok"}
                        score = Score(row, group, stage, relative, reading.seeds, cloud)
                scored.append(score)
    return scored


def _means(table: pd.DataFrame, generator: str, metric: Metric) -> dict[str, float]:
    means = table[table["status"] == "ok"].groupby("generator")["value"].mean()
    names = {"value": generator, "ceiling": metric.references[0], "floor": metric.references[1]}
    return {column: float(means.get(name, np.nan)) for column, name in names.items()}


def make_scorecard(scored: Sequence[Score]) -> pd.DataFrame:
    """`scorecard.tsv`: one row per generator and metric."""
    return pd.DataFrame([score.row for score in scored], columns=SCORE_COLUMNS)


def compute_composites(scored: Sequence[Score]) -> pd.DataFrame:
    """One number per generator, pillar and modality, with its parts.

    The mean over stages of the mean over a stage's scored metrics of `relative`, each first held between 0 and 1, so
    that no single metric outweighs the others. The rows (fidelity, clinical) and (fidelity, genomic) take the
    place of the literature's clinical and genomic synthetic fidelity; their definitions differ, and their numbers
    cannot be compared.
    """
    rows = []
    for group, stages in _by_stage(scored).items():
        named = ", ".join(f"{stage} ({len(parts)})" for stage, parts in stages.items())
        rows.append((*group, *_mean_of_stages(list(stages.values())), named))
    return pd.DataFrame(rows, columns=COMPOSITE_COLUMNS)


def compute_stage_scores(scored: Sequence[Score]) -> pd.DataFrame:
    """`stages.tsv`: the parts of `composites`, one number per generator, stage and modality.

    The mean over a stage's scored metrics of `relative`, each first held between 0 and 1; `metrics` counts them.
    """
    rows = [
        (*group[:3], stage, group[3], *_mean_of_stages([parts]), len(parts))
        for group, stages in _by_stage(scored).items()
        for stage, parts in stages.items()
    ]
    return pd.DataFrame(rows, columns=STAGE_COLUMNS)


def _by_stage(scored: Sequence[Score]) -> dict[tuple[str, str, str, str], dict[str, list[Score]]]:
    """Cohort, generator, pillar and modality -> stage -> what is scored."""
    groups: dict[tuple[str, str, str, str], dict[str, list[Score]]] = {}
    for score in scored:
        if len(score.cloud):
            groups.setdefault(score.group, {}).setdefault(score.stage, []).append(score)
    return groups


def _mean_of_stages(stages: Sequence[Sequence[Score]]) -> tuple[float, float, float, int]:
    """Mean over stages of the mean over metrics, its interval, and the most seeds that a metric rests on."""
    point = float(np.mean([np.mean([np.clip(part.relative, 0, 1) for part in parts]) for parts in stages]))
    clouds = [np.mean([np.clip(part.cloud, 0, 1) for part in parts], axis=0) for parts in stages]
    low, high = np.quantile(np.mean(clouds, axis=0), TAILS)
    return point, min(float(low), point), max(float(high), point), max(part.seeds for parts in stages for part in parts)


def contest(metrics: pd.DataFrame, replicates: pd.DataFrame, generator: str, against: str) -> pd.DataFrame:
    """Does `generator` beat `against`?  One row per metric, and one per stage and modality (metric `all`).

    `difference` is the distance from best of `against` less that of `generator`, paired over seeds and replicates:
    above 0 `generator` is better. `verdict` is win, loss, or tie where the 95 % interval covers 0. The row of a stage
    takes the mean over its metrics that separate their references, each divided by the distance between these.
    """
    known = list_declared(dict.fromkeys(metrics["stage"]))
    rows: list[dict[str, object]] = []
    for cohort in dict.fromkeys(metrics["cohort"]):
        results = _Results(cohort, metrics, replicates)
        stages: dict[tuple[str, str], list[Matrix]] = {}
        for key in results.values:
            stage, modality, name = key
            metric = known[stage, name]
            pair = None if metric.kind == "descriptive" else results.reading(key, (generator, against), metric)
            if pair is None:
                continue
            base = {"cohort": cohort, "pillar": STAGES[stage].pillar, "stage": stage, "modality": modality}
            rows.append(_contest_row({**base, "metric": name}, generator, against, pair.points, pair.cloud))
            full = results.reading(key, (generator, against, *metric.references), metric)
            if full is not None and not _no_signal(full, 2, 3):
                gap = full.points[3] - full.points[2]
                stacked = np.vstack([full.points[:2], full.cloud[:, :2]])
                stages.setdefault((stage, modality), []).append((stacked - full.points[2]) / gap)
        for (stage, modality), parts in stages.items():
            mean = np.mean(parts, axis=0)
            base = {"cohort": cohort, "pillar": STAGES[stage].pillar, "stage": stage, "modality": modality}
            rows.append(_contest_row({**base, "metric": "all"}, generator, against, mean[0], mean[1:]))
    return pd.DataFrame(rows, columns=CONTEST_COLUMNS)


def contests(metrics: pd.DataFrame, replicates: pd.DataFrame, generators: Sequence[str], against: str) -> pd.DataFrame:
    """`contest` of each of several generators against the same one, below each other."""
    tables = [contest(metrics, replicates, generator, against) for generator in generators]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=CONTEST_COLUMNS)


def _contest_row(
    base: dict[str, str], generator: str, against: str, points: Matrix, cloud: Matrix
) -> dict[str, object]:
    low, high = np.quantile(cloud[:, 1] - cloud[:, 0], TAILS)
    return {
        **base, "generator": generator, "against": against, "distance": points[0], "distance_against": points[1],
        "difference": points[1] - points[0], "low": low, "high": high,
        "verdict": "win" if low > 0 else "loss" if high < 0 else "tie",
    }  # fmt: skip
