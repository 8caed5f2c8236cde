"""What a dossier is made of, read from the results of a study."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from haemosynth.core.cohort import Cohort, Part
from haemosynth.core.files import read_table
from haemosynth.modalities.cohort_files import read_cohort
from haemosynth.modalities.registry import FURTHER, MODALITIES, load, offers
from haemosynth.report.reading import read_summary


@dataclass(frozen=True)
class StageFigure:
    """One stage's figure of one generator, as SVG text."""

    generator: str
    pillar: str
    stage: str
    svg: str


@dataclass(frozen=True)
class Content:
    """The results that a dossier shows.

    models: (modality, method) -> description of the fitted model. histories: the same -> curves of the fit.
    captions: stage -> text. drawings: (modality, generator, edition) -> picture as SVG text. parts: modality -> its
    part of the training patients (`train`) and of each published recipe. made: published recipe -> its record and
    alterations, as they are released. patients: generator -> single patients whole
    as SVG text, and at_risk: the training patients given away most, both for the working edition alone: what is
    published is made without them. The tables are those of the results folder; assessment is empty where no record
    was completed. sizes: published recipe -> what each number of patients reveals and is good for
    (`privacy.release_size`), with its figure as SVG text. read: what was read of the raw files, for the
    working edition alone.
    """

    cohort: str
    train: Cohort
    holdout: Cohort
    figures: Sequence[StageFigure]
    captions: Mapping[str, str]
    models: Mapping[tuple[str, str], Mapping[str, Any]]
    histories: Mapping[tuple[str, str], pd.DataFrame]
    assessment: pd.DataFrame
    metrics: pd.DataFrame
    dictionary: pd.DataFrame
    scorecard: pd.DataFrame
    stages: pd.DataFrame
    composites: pd.DataFrame
    baseline: pd.DataFrame
    gate: pd.DataFrame
    drawings: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, Part]] = field(default_factory=dict)
    made: Mapping[str, Cohort] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)
    at_risk: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    sizes: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    size_figures: Mapping[str, str] = field(default_factory=dict)
    read: Sequence[str] = ()


def read_content(cohort: str, files: Mapping[str, Any]) -> Content:
    """Read what the rules list for a dossier: lists of paths under the names of `Content`, and single tables."""

    def model(path: str) -> tuple[str, str]:
        return Path(path).parts[-3], Path(path).parts[-2]

    tables = ("assessment", "metrics", "dictionary", "scorecard", "stages", "composites", "baseline", "gate")
    return Content(
        cohort,
        train=read_cohort(Path(files["train"][0]).parent),
        holdout=read_cohort(Path(files["holdout"][0]).parent),
        figures=[
            StageFigure(Path(p).parts[-3], Path(p).parts[-2], Path(p).stem, Path(p).read_text(encoding="utf-8"))
            for p in files["figures"]
        ],
        captions={Path(p).stem: Path(p).read_text(encoding="utf-8").strip() for p in files["captions"]},
        models={model(p): json.loads(Path(p).read_text(encoding="utf-8")) for p in files["models"]},
        histories={model(p): read_table(p) for p in files["histories"]},
        drawings={
            (Path(p).parent.name, *Path(p).name.split(".")[:2]): Path(p).read_text(encoding="utf-8")
            for p in files.get("drawings", [])
        },
        parts=_parts(files.get("parts", ())),
        made={
            folder.name: read_cohort(folder) for folder in dict.fromkeys(Path(p).parent for p in files.get("made", ()))
        },
        patients={Path(p).stem: Path(p).read_text(encoding="utf-8") for p in files.get("patients", ())},
        sizes={Path(p).parent.name: read_table(p) for p in files.get("sizes", ())},
        size_figures={Path(p).parent.name: Path(p).read_text(encoding="utf-8") for p in files.get("size_figures", ())},
        at_risk={Path(p).name.split(".")[0]: read_table(p) for p in files.get("at_risk", ())},
        read=read_summary(Path(files["raw"][0]).parent) if files.get("raw") else (),
        **{name: read_table(files[name]) if files[name] else pd.DataFrame() for name in tables},
    )


def _parts(paths: Sequence[str]) -> dict[str, dict[str, Part]]:
    """Modality -> part by the folder that it lies in, of those modalities that have a gallery."""
    found: dict[str, dict[str, Part]] = {}
    for name in (name for name in FURTHER if offers(name, "gallery")):
        own = [Path(path) for path in paths if Path(path).name == MODALITIES[name].files[0]]
        found |= {name: {path.parent.name: load(name, "part").read(path) for path in own}} if own else {}
    return found


def note_of(config: Mapping[str, Any], cohort: str) -> str:
    """What the study says of a cohort and every reader must know; empty where it says nothing."""
    return str(config.get("cohorts", {}).get(cohort, {}).get("note") or "")


def select_rows(table: pd.DataFrame) -> Iterator[Any]:
    """The rows of a table as named tuples (typed as Any: pandas cannot know what a column holds)."""
    return iter(table.itertuples(index=False))


def say_selected(selected: Mapping[str, Any]) -> str:
    """Which algorithm was taken by evidence within training, and that evidence: a sentence without its subject.

    selected: of the description of a model (`generators/selected.py` of the record).
    """
    taken, tried = selected["algorithm"], selected["tried"]
    area, near = ({name: _mean(one[key]) for name, one in tried.items()} for key in ("area", "nearer"))
    others = [name for name in tried if name != taken]
    return (
        f"took {taken}: trees distinguished its patients from training patients who were left out with an area of"
        f" {area[taken]:.2f} ({', '.join(f'{name} {area[name]:.2f}' for name in others)}), and a share of"
        f" {near[taken]:.2f} lay nearer to a patient who was learned from"
        f" ({', '.join(f'{name} {near[name]:.2f}' for name in others)})"
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
