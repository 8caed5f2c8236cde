"""What a validation stage declares, receives and returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.registry import RECORD


@dataclass(frozen=True)
class Metric:
    """A metric and how to read it.

    kind: `error` (0 is best), `agreement` (1 is best), `target` (`target` is best) or `descriptive` (never scored).
    references: (ceiling, floor), the two candidates that it is read between. Joint metrics have the floor
        `independent`, univariate and burden metrics `uniform`; privacy lies between `fresh` (unseen real
        patients treated as if they were the release) and `real` (the training patients themselves).
    interval: `bootstrap` over patients of both sides; `subsample`, halves of both sides without replacement, where
        duplicated patients would bias the metric (neighbours, classifiers); `attack`, a bootstrap over the patients
        attacked (train and control), the release as it is.
    """

    name: str
    kind: Literal["error", "agreement", "target", "descriptive"]
    unit: str
    bounds: tuple[float, float]
    references: tuple[str, str]
    interval: Literal["bootstrap", "subsample", "attack"]
    formula: str
    source: str
    target: float | None = None


JOINT = ("real", "independent")
UNIVARIATE = ("real", "uniform")
PRIVACY = ("fresh", "real")


@dataclass(frozen=True)
class Value:
    """One number: of a metric, for a target (a column, a pair `a~b`, a gene, an outcome, or `all`).

    NaN means not applicable, and then `reason` says why. Only targets `all` are scored.
    """

    metric: str
    value: float
    target: str = "all"
    modality: str = RECORD
    n: int = 0
    reason: str = ""

    def __post_init__(self) -> None:
        if math.isnan(self.value) and not self.reason:
            raise ValueError(f"{self.metric} of {self.target} is not a number and no reason is given")


@dataclass(frozen=True)
class Comparison:
    """A candidate beside real patients that no generator has seen.

    real: the holdout. candidate: synthetic patients, or a reference. train: the patients the generators learned from.
    control: for privacy, the half of the holdout that is never treated as a release (the other half is `fresh`).
    prepared: what the stage's `prepare` learned, once for all resamples. pool: further records of the same generator,
    of which the release is the first part; None: the candidate represents itself. models: modality -> the fitted model
    (`generate.fitted.Fitted`) that made the candidate, where an attack is made for it. resampled: whether this is one
    of the hundreds of resamples behind an interval, for which a stage may take a faster way to the same number.
    """

    real: Cohort
    candidate: Cohort
    train: Cohort
    control: Cohort
    prepared: Any = None
    pool: Cohort | None = None
    models: Mapping[str, Any] = field(default_factory=dict)
    resampled: bool = False


class StageModule(Protocol):
    """What every stage module offers.

    A stage may also offer prepare(comparison, settings, rng) -> anything: what is slow to learn and stays the same for
    all resamples, such as classes of the training patients. It is `comparison.prepared` afterwards.
    And read_models(files) -> `comparison.models`, where its rule has an input `models`.
    And write_beside(comparison, settings, files), where its rule has an output `beside`: files beside its metrics.
    """

    METRICS: tuple[Metric, ...]
    DEFAULTS: dict[str, Any]

    def measure(self, comparison: Comparison, settings: Mapping[str, Any], rng: np.random.Generator) -> list[Value]: ...

    def figure(
        self, comparison: Comparison, values: pd.DataFrame, settings: Mapping[str, Any], label: str
    ) -> Figure: ...
