"""The training patients about whom the release reveals most, with what makes them unusual. Working edition alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from haemosynth.core.cohort import Cohort
from haemosynth.encode.records import Encoder, fit_encoder
from haemosynth.privacy.membership_attacks import attack
from haemosynth.privacy.stages import rare_patients

SHOWN = 15  # patients at most
RATE = 0.05  # an attack names a patient whom it scores above all but this share of unseen patients
REASONS = 4  # of a patient at most
TREES = 240


def find_patients_at_risk(train: Cohort, unseen: Cohort, candidate: Cohort, rng: np.random.Generator) -> pd.DataFrame:
    """One row for each of the training patients whom most membership attacks name, the most exposed first.

    Columns: patient; attacks, how many of the eight of `membership_attacks` name the patient from the whole record;
    unseen_named_as_often, the share of unseen patients whom as many name, which is what chance shows; and what is
    unusual about the patient: alterations with fewer than five carriers, extreme values.
    """
    encoder = fit_encoder(train)
    points = np.concatenate([encoder.points(train), encoder.points(unseen)])
    scores = np.column_stack(list(attack(points, encoder.points(candidate), TREES, rng).values()))
    border = len(train)
    limits = np.quantile(scores[border:], 1 - RATE, axis=0)
    named = (scores > limits).sum(axis=1)
    order = np.lexsort((-scores.argsort(axis=0).argsort(axis=0)[:border].sum(axis=1), -named[:border]))[:SHOWN]
    order = order[named[order] > 0]
    reasons = _reasons(train, encoder)
    return pd.DataFrame(
        {
            "patient": train.patients[order],
            "attacks": named[order],
            "unseen_named_as_often": [(named[border:] >= count).mean() for count in named[order]],
            "stands_out_by": ["; ".join(reasons[row][:REASONS]) for row in order],
        }
    )


def _reasons(train: Cohort, encoder: Encoder) -> list[list[str]]:
    """What is unusual about each training patient, in words."""
    found: list[list[str]] = [[] for _ in range(len(train))]
    if train.alterations is not None:
        carriers = train.alterations.sum()
        for name in carriers.index[(carriers > 0) & (carriers < rare_patients.RAREST)]:
            for row in np.flatnonzero(train.alterations[name].to_numpy(float) == 1):
                found[row].append(f"{name} ({int(carriers[name])} carriers)")
    extreme = float(rare_patients.DEFAULTS["extreme"])
    for name, _, _ in encoder.numbers:
        values: NDArray[Any] = train.clinical[name].to_numpy(float)
        if np.isfinite(values).any():
            low, high = np.nanquantile(values, [extreme, 1 - extreme])
            for row in np.flatnonzero((values < low) | (values > high)):
                found[row].append(f"{name} {values[row]:.4g}")
    return found
