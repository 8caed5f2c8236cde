"""Synthetic expression in a release: a line of the data card."""

from __future__ import annotations

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.expression.part import expression_of, has_expression
from haemosynth.privacy.tiers import stamp_name


def describe(cohort: Cohort, tier: str = "open", balanced: bool = False) -> list[str]:
    """The line of the data card, where the cohort has expression."""
    if not has_expression(cohort):
        return []
    own = expression_of(cohort)
    patients, genes = own.shape
    return [
        f"- gene expression ({own.uns['values']}): {genes} genes of {patients} patients; the others have none. "
        f"`{stamp_name('cohort.h5mu', tier, balanced)}` holds record, alterations and expression together."
    ]
