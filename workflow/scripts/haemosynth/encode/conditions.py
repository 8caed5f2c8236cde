"""What the generator of a further modality is given: record and alterations as numbers, and who has the modality.

Every feature is 0 for the average training patient, so a missing value pulls nowhere; where values are missing in a
fair share of patients, that they are missing is a feature of its own. An endpoint enters as its martingale residual,
event - H(time) with the Nelson-Aalen estimate H of the training patients: what survival says beyond follow-up
(cf. White & Royston, Stat Med 2009;28:1982, who recommend H in imputation models).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, ndtri

from haemosynth.core.cohort import Cohort
from haemosynth.stats.hazards import estimate_hazard

FEWEST = 5  # patients on either side of a feature
GRID = 21  # quantiles that carry a number to its normal score


def learn(train: Cohort) -> dict[str, Any]:
    """Features of the record, as plain data: one entry per feature with its mean and standard deviation."""
    features: list[dict[str, Any]] = []
    for name, column in train.schema.columns.items():
        values = train.clinical[name]
        known = values.dropna()
        if column.kind == "event":
            time = train.clinical.get(name.removesuffix("_event") + "_time")
            if name.endswith("_event") and time is not None:
                features.append({"kind": "endpoint", "column": name, **_hazard(time, values)})
        elif column.kind == "time":
            continue
        elif column.numeric:
            if len(known) and known.min() < known.max():
                grid = known.quantile(np.linspace(0, 1, GRID)).tolist()
                features.append({"kind": "number", "column": name, "grid": grid})
        else:
            features += [{"kind": "level", "column": name, "level": str(level)} for level in values.cat.categories]
        features.append({"kind": "missing", "column": name})
    features += [{"kind": "alteration", "column": name} for name in train.schema.alterations]
    features.append({"kind": "sequenced"})
    kept = []
    for feature in features:
        raw = _raw(feature, train)
        seen = raw[~np.isnan(raw)]
        rarest = min((seen == value).sum() for value in (0.0, 1.0)) if feature["kind"] not in _MANY else FEWEST
        if len(seen) >= FEWEST and rarest >= FEWEST and seen.std() > 1e-9:
            kept.append({**feature, "mean": float(seen.mean()), "sd": float(seen.std())})
    return {"features": kept}


_MANY = ("number", "endpoint")


def transform(known: Mapping[str, Any], cohort: Cohort) -> np.ndarray:
    """(patients, features) float64: standardised, unknown 0."""
    columns = [(_raw(f, cohort) - f["mean"]) / f["sd"] for f in known["features"]]
    table = np.column_stack(columns) if columns else np.zeros((len(cohort), 0))
    return np.asarray(np.nan_to_num(np.clip(table, -6, 6)))


def names(known: Mapping[str, Any]) -> list[str]:
    """A name of each feature."""
    return [" ".join(str(f[k]) for k in ("kind", "column", "level") if k in f) for f in known["features"]]


def _raw(feature: Mapping[str, Any], cohort: Cohort) -> np.ndarray:
    kind, name = feature["kind"], feature.get("column")
    if kind == "sequenced":
        none = cohort.sequenced is None
        return np.zeros(len(cohort)) if none else cohort.sequenced.to_numpy(dtype=float)  # type: ignore[union-attr]
    if kind == "alteration":
        assert cohort.alterations is not None
        return np.asarray(cohort.alterations[name], dtype=float)
    values = cohort.clinical[name]
    if kind == "missing":
        return np.asarray(values.isna(), dtype=float)
    if kind == "level":
        return np.where(values.isna(), np.nan, (values.astype(object) == feature["level"]).to_numpy(dtype=float))
    if kind == "endpoint":
        time = cohort.clinical[str(name).removesuffix("_event") + "_time"].to_numpy(dtype=float)
        hazard = np.interp(time, feature["times"], feature["hazard"])
        return np.asarray(np.clip(values.to_numpy(dtype=float) - hazard, -3, 1))
    grid = np.asarray(feature["grid"])
    share = np.interp(values.to_numpy(dtype=float), grid, np.linspace(0.5, GRID - 0.5, GRID) / GRID)
    return np.asarray(ndtri(share))


def _hazard(time: pd.Series, event: pd.Series) -> dict[str, Any]:
    """Nelson-Aalen cumulative hazard at up to 50 times."""
    table = pd.DataFrame({"time": time, "event": event}).dropna()
    if table.empty:
        return {"times": [0.0, 1.0], "hazard": [0.0, 0.0]}
    times, hazard = estimate_hazard(table["time"].to_numpy(), table["event"].to_numpy(dtype=float), ties="in_turn")
    at = np.unique(np.linspace(0, len(table) - 1, 50).astype(int))
    return {"times": [0.0, *times[at].tolist()], "hazard": [0.0, *hazard[at].tolist()]}


def learn_presence(features: np.ndarray, present: np.ndarray, rng_seed: int) -> dict[str, Any]:
    """Who has the modality, given the record: ridge logistic regression, penalty by cross-validation.

    features: (patients, features); present: (patients,) bool.
    """
    share = float(present.mean())
    fewest = int(min(present.sum(), (~present).sum()))
    if fewest < 2 * FEWEST or features.shape[1] == 0:
        return {"intercept": float(np.log(share / (1 - share))) if 0 < share < 1 else None, "share": share, "slope": []}
    from sklearn.linear_model import LogisticRegressionCV
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(5, shuffle=True, random_state=rng_seed)
    model = LogisticRegressionCV(
        Cs=[1e-4, 1e-3, 1e-2, 1e-1], cv=folds, scoring="neg_log_loss", max_iter=500, l1_ratios=(0.0,),
        use_legacy_attributes=False,
    ).fit(features, present)  # fmt: skip
    return {"intercept": float(model.intercept_[0]), "share": share, "slope": model.coef_[0].tolist()}


def draw_presence(known: Mapping[str, Any], features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(patients,) bool: who of these patients has the modality."""
    n = len(features)
    if known["intercept"] is None:
        return np.full(n, known["share"] > 0.5)
    slope = np.asarray(known["slope"])
    chance = expit(known["intercept"] + (features @ slope if len(slope) else np.zeros(n)))
    return np.asarray(rng.random(n) < chance)
