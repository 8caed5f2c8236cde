"""To whom a release may go, and what attackers may then learn from it in expectation (docs/privacy.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Tier(NamedTuple):
    """Limits of what the stage `disclosure` finds, and what every document of the release says.

    auc: largest expected area under the ROC curve; a release may reveal as much as a printed table of the same patients
    does, up to here, and LEAST in any case. tpr: largest share of training patients found at 1 % false positives.
    outlying: largest area among the patients who are far from all others. stamp: in words.
    """

    auc: float
    tpr: float
    outlying: float
    stamp: str


TIERS: Mapping[str, Tier] = {
    "open": Tier(0.65, 0.05, 0.65, "for everybody"),
    "agreement": Tier(0.70, 0.10, 0.75, "not for open release; recipients agree not to attack it"),
    "internal": Tier(1.0, 1.0, 1.0, "not to leave the institution that holds the real patients"),
}


def stamp_name(name: str, tier: str, balanced: bool = False) -> str:
    """A file name that says to whom it may go, and whether the cohort is balanced: `clinical.tsv`, or
    `clinical.agreement.tsv` if not for everybody, or `clinical.balanced.tsv`."""
    marks = [*(["balanced"] if balanced else []), *([] if tier == "open" else [tier])]
    stem, dot, ending = name.rpartition(".")
    return f"{'.'.join([stem, *marks])}{dot}{ending}"


LEAST = 0.60  # the area up to which a release passes whatever a table would tell


def disclosure_limits(tier: str, table_auc: float, chosen: Mapping[str, float] = {}) -> dict[str, float]:
    """What the worst attack may find in expectation: metric of the stage `disclosure` -> limit.

    Args:
        table_auc: area of the worst attack on a printed table of the same patients; NaN where it is not known.
        chosen: limits that the study sets; that of `disclosure_auc` takes the place of the tier's.
    """
    own = TIERS[tier]
    most = chosen.get("disclosure_auc", own.auc)
    table = most if np.isnan(table_auc) else table_auc
    return {
        "disclosure_auc": max(min(LEAST, most), min(table, most)) if tier != "internal" else most,
        "disclosure_tpr_1": chosen.get("disclosure_tpr_1", own.tpr),
        "disclosure_outlying_auc": chosen.get("disclosure_outlying_auc", own.outlying),
    }
