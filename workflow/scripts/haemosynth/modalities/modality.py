"""What the workflow must know of a modality, and what its folder offers to everybody else.

A modality is a folder of `modalities/` and one name in `registry.py`. Its `__init__.py` declares `MODALITY`, in plain
values, and imports nothing heavy. The other modules have fixed names, so that nobody outside has to know which
modality it is:
    part.py        read (path) -> Part; write (part, path)
    sources.py     source_files (entry) -> the raw files; imports nothing heavy
    ingest         settings (cohort name, entry) -> its key of a cohort's entry, checked, with defaults;
                   ingest (cohort name, entry, cohort) -> (Part, table of what was left out);
                   check (cohort name, entry, cohort, mistakes) -> the same table, all mistakes kept
    simulate.py    TABLES, the aggregates it reads; simulate (name, entry, cohort, truth, folder, rng) -> (Part, truth)
    divide.py      divide (train, holdout, settings) -> both, with what is learned from train alone
    reference.py   reference (kind, train, given, rng) -> Part
    generators/    one file per algorithm: DEFAULTS; fit (train, settings, rng, checkpoint) -> Fitted; sample (...)
    summary.py     summarise (train) -> a function from a cohort to (names, a table of numbers by patient); or None
    stages/        its validation stages (haemosynth/validate/__init__.py)
    figure.py      draw (synthetic, real or None) -> a figure of the dossier
    gallery.py     figures (parts by name, generators, release) -> (title, text, figure) of the dossier
    panel.py       panels of single patients (report/patients.py)
    explorer.py    of_patients (cohort, most bytes) -> [{title, kind, patients}] of the explorer: kind `pictures`, data
                   URIs for each patient, or `table`, rows for each patient, such as those of a history
    molecular_classes.py   of the alterations: molecular_classes (train), classes_of (cohort, classes)
    export.py      export (cohort, folder, tier, balanced); extend_study (cohort, folder of a cBioPortal study);
                   describe (cohort, tier, balanced) -> lines of the data card; withhold (entry)
    checks.py      CHECKS of a release (privacy/release_check.py)
    settle.py      settle (cohort, Part) -> the cohort with the endpoints that follow from it; where `gives_endpoints`
Modalities of the record are read, drawn and split together, since either may be drawn given the other. The further ones
are drawn for patients who exist, in files of their own, so that only what reads them depends on them. `simulate.py`,
`divide.py`, `figure.py`, `summary.py`, `explorer.py` and `export.py` may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Resources(NamedTuple):
    """What a job asks for: memory in MB, run time in minutes, whether a GPU serves it, and its file of `envs/`."""

    memory: int = 4000
    runtime: int = 30
    gpu: bool = False
    environment: str = ""


class Modality(NamedTuple):
    """One modality as the workflow sees it.

    called: what it is in the words of a page. files: those of a cohort's folder that hold it. of_record: whether it is
    read, drawn and split with the record. given: the modalities that its generators may be given. environment: the file
    of `envs/` that its jobs run in. jobs: what they ask for, by name: ingest, simulate, split, fit, sample, reference,
    figure. sampled: of a modality of the record, the names of the sampled tables. can_be_given: of the record, the
    algorithms that can be given alterations. folder: whether its file is a folder. formats_alone: source formats of
    cohorts that have this modality and no record; `ingest.patients_of` names their patients. formerly: the name that it
    had in settings of earlier versions. gives_endpoints: of a further modality, whether endpoints of the record follow
    from it: it is then drawn for the whole long draw, and what the record says of them is replaced.
    """

    name: str
    called: str
    files: tuple[str, ...]
    of_record: bool
    given: tuple[str, ...]
    environment: str
    jobs: Mapping[str, Resources]
    sampled: tuple[str, ...] = ()
    can_be_given: tuple[str, ...] = ()
    folder: bool = False
    formats_alone: tuple[str, ...] = ()
    formerly: str = ""
    gives_endpoints: bool = False

    def asks(self, job: str) -> Resources:
        """What this job asks for."""
        asked = self.jobs.get(job, Resources())
        return asked if asked.environment else asked._replace(environment=self.environment)
