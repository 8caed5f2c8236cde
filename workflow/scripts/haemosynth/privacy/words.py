"""What attackers learn from a release, in sentences for a reader who is no statistician."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.privacy.release_size import advice
from haemosynth.privacy.tiers import TIERS

ENROLLED = 0.1  # share of eligible patients in the cohort, where the study declares no population
FALSE = 0.01  # false positives at which patients are named


def disclosure_sentences(
    metrics: pd.DataFrame, trained: int, release: Mapping[str, Any], curve: pd.DataFrame | None = None
) -> list[str]:
    """What the stages `disclosure` and `memory` found of one release, a sentence each; empty where neither was run.

    Args:
        metrics: rows of `metrics.tsv` of the release. trained: number of training patients. release: the study's
            `release:`. curve: of `publish.size`, where it was measured.
    """
    found = {
        (row["metric"], row["target"]): row
        for row in metrics[metrics["status"] == "ok"].to_dict("records")
        if row["stage"] in ("disclosure", "memory")
    }
    lines = []
    if (area := found.get(("disclosure_auc", "all"))) is not None:
        interval = "" if pd.isna(area["low"]) else f" (95 % interval {area['low']:.2f} to {area['high']:.2f})"
        table = found.get(("disclosure_table_auc", "all"))
        beside = (
            f"; a summary table of the same patients, with counts of five and more, would yield {table['value']:.2f}"
            if table is not None
            else ""
        )
        lines.append(
            f"An attacker who holds a patient's full record distinguishes the {trained:,} training patients from "
            f"others with an area under the ROC curve of {area['value']:.2f}{interval}, where 0.5 is guessing{beside}."
        )
    if (named := found.get(("named_patients", "train"))) is not None:
        count, cut = round(float(named["value"])), "by record linkage"
        lines.append(
            f"No released record singles out a training patient {cut}."
            if count == 0
            else f"{count} training patients are singled out by a released record {cut}; the table of the release check"
            " says how many chance explains."
        )
    if (rate := found.get(("disclosure_tpr_1", "all"))) is not None:
        known = found.get(("predictive_value", "all"))
        true = float(rate["value"])
        precise = float(known["value"]) if known is not None else _predictive(true, ENROLLED)
        of = "in the declared population" if known is not None else "if one in ten of the eligible patients was"
        lines.append(
            f"Of 100 people who are named where one in a hundred others is named too, {100 * precise:.0f} were in the "
            f"cohort {of}."
        )
    for name in ("identifiers", "identifiers and survival"):
        if (partial := found.get(("identifiers_auc", name))) is not None:
            lines.append(f"An attacker who knows {name} alone reaches {partial['value']:.2f}.")
    if curve is not None and "told" in curve:
        lines.append(f"Of the numbers of patients that were tried, {advice(curve, str(release['tier']))}.")
    if lines:
        lines.append(f"Tier {release['tier']}: {TIERS[release['tier']].stamp}.")
    return lines


def _predictive(true: float, share: float) -> float:
    """Share of those named who were training patients."""
    named = share * true + (1 - share) * FALSE
    return share * true / named if named > 0 else np.nan
