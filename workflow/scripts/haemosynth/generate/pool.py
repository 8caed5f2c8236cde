"""How many records a recipe draws: the release is the first part of one long draw, which the attacks need whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SHARES = (0.25, 0.5)  # of the training patients, below their number; above it doublings up to `most`
REDRAWS = 16  # releases of a size that are attacked
CONFIRMING = 8  # further releases that confirm a size
RECORDS = 400_000  # of the draw at most, but for three releases: a large cohort reveals little about anybody
LARGEST = 100_000  # records in a size that is tried, unless there are more training patients
REDRAWS_GIVEN = 4  # of a recipe whose records are each drawn from many, given alterations


def sizes(trained: int, most: float) -> list[int]:
    """The numbers of synthetic patients that are tried, smallest first.

    Args:
        trained: number of training patients. most: largest number tried, as a multiple of these.
    """
    steps = [*SHARES, *(2.0**k for k in range(max(0, int(np.floor(np.log2(most))) + 1))), float(most)]
    found = {max(1, round(step * trained)) for step in steps if step <= most}
    return sorted(size for size in found if size <= max(LARGEST, trained))


def pool_size(
    trained: int, patients: int | str | None, most: float, published: bool, given: bool = False, alone: bool = False
) -> int:
    """How many records are drawn.

    Args:
        patients: the study's `synthetic_patients`: a number, "auto", or None for as many as training patients.
        most: largest multiple of the training patients that is tried.
        published: whether the recipe is released: its sizes are then tried, and the chosen one confirmed.
        given: whether each record is drawn from many, given alterations: costly, so that fewer are drawn.
        alone: whether the patients have images and no record, of whom only the number is drawn.
    """
    asked = patients if isinstance(patients, int) else trained
    if alone:
        return asked
    if given:
        return REDRAWS_GIVEN * asked
    largest = max(asked, sizes(trained, most)[-1]) if published or patients == "auto" else asked
    redraws = REDRAWS + CONFIRMING if published else REDRAWS
    return max(min(redraws * largest, RECORDS), 3 * largest)


def count_released(patients: int | str | None, size: Sequence[str], trained: int) -> int:
    """How many patients are released: the number asked for, or the one that was chosen.

    Args:
        patients: the study's `synthetic_patients`. size: the table of `choose_size` where there is one.
    """
    if size:
        from haemosynth.core.files import read_table

        curve = read_table(size[0])
        return int(curve.loc[curve["chosen"].astype(bool), "patients"].iloc[0])
    return patients if isinstance(patients, int) else trained
