"""Whether hazards are proportional, by lifelines: the test of Grambsch and Therneau for every covariate."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Proportionality:
    """trend: (covariates,) correlation of the scaled Schoenfeld residuals with the rank of time, above 0 where an
    effect grows; p: (covariates,) of the test that hazards are proportional. NaN for a constant covariate."""

    trend: Vector
    p: Vector


def proportionality(covariates: Matrix, time: Vector, event: Vector, ridge: float) -> Proportionality:
    """Test every covariate of a Cox model (Grambsch and Therneau, Biometrika 1994;81:515), ties after Efron.

    The model is that of `cox.fit_cox`: lifelines puts its penalty on standardised covariates and on the mean over
    patients, so that ridge / (patients variance) of each covariate is the same prior. It takes a second, and is made
    once for a figure; resamples use `cox.hazard_trends`, which with Breslow's risk sets equals it but for ties.

    Args:
        covariates: (patients, covariates). time, event: (patients,). ridge: penalty of the squared log hazard ratios.
    """
    from lifelines import CoxPHFitter
    from lifelines.statistics import proportional_hazard_test

    varies = np.flatnonzero(covariates.std(axis=0) > 0)
    names = [f"x{i}" for i in varies]
    frame = pd.DataFrame(covariates[:, varies], columns=names).assign(time=time, event=event)
    penalty = ridge / (len(time) * frame[names].to_numpy().var(axis=0, ddof=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rare levels, which the penalty takes care of
        model = CoxPHFitter(penalizer=penalty).fit(frame, "time", "event")
        residuals = model.compute_residuals(frame, "scaled_schoenfeld")
        test = proportional_hazard_test(model, frame, "rank", precomputed_residuals=residuals)
    # The statistic is a square; the sign is that of the covariance of the residuals with the rank of time.
    rank = frame["time"].loc[residuals.index].rank().to_numpy()
    sign = np.sign((rank - rank.mean()) @ residuals[names].to_numpy())
    trend, p = np.full(covariates.shape[1], np.nan), np.full(covariates.shape[1], np.nan)
    trend[varies] = sign * np.sqrt(np.asarray(test.test_statistic, dtype=float) / event.sum())
    p[varies] = np.asarray(test.p_value, dtype=float)
    return Proportionality(trend, p)
