"""Synthetic histories in a release: a table that people read, timeline files of the study folder, and the data card."""

from __future__ import annotations

from pathlib import Path

from haemosynth.core.cohort import Cohort
from haemosynth.core.files import without_formulas, write_table
from haemosynth.modalities.history.part import LINE, MEASUREMENT, VISIT, find_courses
from haemosynth.modalities.history.timeline import write_timelines
from haemosynth.privacy.tiers import stamp_name

NAMED = "history.tsv"


def export(cohort: Cohort, folder: Path, tier: str = "open", balanced: bool = False) -> None:
    """Write `tables/history.tsv`: every row of every course, times in months from diagnosis.

    tier: to whom the release may go; balanced: whether the cohort has quotas. The file's name says both.
    """
    courses = find_courses(cohort)
    if courses is not None:
        write_table(without_formulas(courses.table), folder / "tables" / stamp_name(NAMED, tier, balanced))


def extend_study(cohort: Cohort, folder: Path) -> None:
    """Add timeline files to a cBioPortal study folder, whose identifier its `meta_study.txt` says."""
    courses = find_courses(cohort)
    if courses is None:
        return
    lines = (folder / "meta_study.txt").read_text(encoding="utf-8").splitlines()
    told = dict(line.split(": ", 1) for line in lines if ": " in line)
    write_timelines(courses, folder, told["cancer_study_identifier"])


def describe(cohort: Cohort, tier: str = "open", balanced: bool = False) -> list[str]:
    """The line of the data card, where the cohort has histories."""
    courses = find_courses(cohort)
    if courses is None:
        return []
    kinds = courses.table["kind"].value_counts()
    further = [
        f"{int(kinds[kind]):,} {words}"
        for kind, words in ((LINE, "treatment lines"), (MEASUREMENT, "measurements"), (VISIT, "visits"))
        if kind in kinds
    ]
    endpoints = ", ".join(courses.design.endpoints) or "no endpoint"
    withs = f" with {', '.join(further)}" if further else ""
    return [
        f"- event histories: the courses of {len(courses.paths):,} patients through {len(courses.design.states)} states"
        f"{withs} (`tables/{stamp_name(NAMED, tier, balanced)}`, and timeline files in `cbioportal/`). Times are months"
        f" from diagnosis; no calendar date exists. {endpoints} in the clinical table follow from the path."
    ]
