"""Candidates with known properties, made from real or simulated patients."""

from dataclasses import replace

import numpy as np
import pandas as pd

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.modalities.expression.part import find_expression, keep_profiles
from haemosynth.modalities.images.part import find_images
from haemosynth.validate.stage import Comparison


def compared(cohort: Cohort, seed: int = 0, train_fraction: float = 0.6) -> Comparison:
    """A random split; the candidate is `fresh`, the half of the holdout that is not the control."""
    order = np.random.default_rng(seed).permutation(len(cohort))
    border = int(train_fraction * len(cohort))
    middle = (border + len(cohort)) // 2
    return Comparison(
        real=cohort.take(order[border:]),
        candidate=cohort.take(order[border:middle]),
        train=cohort.take(order[:border]),
        control=cohort.take(order[middle:]),
    )


def renamed(cohort: Cohort) -> Cohort:
    """The same patients under synthetic identifiers."""
    ids = pd.Index([f"S{i:06d}" for i in range(1, len(cohort) + 1)], name="patient_id")
    named = dict(zip(cohort.patients, ids, strict=True)).__getitem__ if cohort.patients.is_unique else None
    expression, images = find_expression(cohort), find_images(cohort)
    if expression is not None:
        expression = expression.copy()
        expression.obs_names = expression.obs_names.map(named)
    if images is not None:
        images = replace(images, patient_id=np.array([named(owner) for owner in images.patient_id.tolist()], dtype=str))
    return cohort.replace(
        expression=None if expression is None else keep_profiles(expression),
        images=images,
        clinical=cohort.clinical.set_axis(ids),
        alterations=cohort.alterations.set_axis(ids),
        sequenced=cohort.sequenced.set_axis(ids),
        mutations=cohort.mutations.iloc[:0],
    )


def independent(cohort: Cohort, seed: int = 0) -> Cohort:
    """Every column shuffled alone: marginals kept, all structure lost."""
    rng = np.random.default_rng(seed)
    shuffled = {name: cohort.clinical[name].iloc[rng.permutation(len(cohort))].array for name in cohort.clinical}
    events = {name: cohort.alterations[name].iloc[rng.permutation(len(cohort))].array for name in cohort.alterations}
    clinical = pd.DataFrame(shuffled, index=cohort.patients)
    return renamed(cohort.replace(clinical=clinical, alterations=pd.DataFrame(events, index=cohort.patients)))


def joined(first: Cohort, second: Cohort) -> Cohort:
    """The patients of both, under synthetic identifiers."""
    clinical = pd.concat([first.clinical.astype("object"), second.clinical.astype("object")])
    ids = pd.RangeIndex(len(clinical))
    parts = [(first.alterations, second.alterations), (first.sequenced, second.sequenced)]
    alterations, sequenced = (pd.concat(pair).set_axis(ids) for pair in parts)
    clinical = set_types(clinical.set_axis(ids), first.schema)
    return renamed(first.replace(clinical=clinical, alterations=alterations, sequenced=sequenced))


def planted(cohort: Cohort, train: Cohort, share: float) -> Cohort:
    """`cohort`, a share of whose patients are replaced by copies of training patients."""
    copies = round(share * len(cohort))
    return joined(cohort.take(np.arange(len(cohort) - copies)), train.take(np.arange(copies)))
