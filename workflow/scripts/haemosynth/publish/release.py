"""The folder that is published: synthetic patients, their validation, and how they were made. No real row, no model."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth import __version__
from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.core.errors import InputError
from haemosynth.core.files import read_table, without_formulas, write_json, write_table, write_text, write_yaml
from haemosynth.core.schema import Column, Schema
from haemosynth.core.strings import check_strings, collect_own_texts
from haemosynth.generate.balance import read_quotas, sentences, weights
from haemosynth.modalities.cohort_files import write_cohort
from haemosynth.modalities.registry import FURTHER, MODALITIES, load, offers
from haemosynth.privacy.release_check import refusal, verdict
from haemosynth.privacy.release_size import advice
from haemosynth.privacy.tiers import stamp_name
from haemosynth.privacy.words import disclosure_sentences
from haemosynth.publish.cbioportal import write_study
from haemosynth.publish.crate import write_crate
from haemosynth.publish.data_card import Account, write_card
from haemosynth.publish.multimodal import collect_annotated, write_mudata
from haemosynth.report.content import Content, note_of
from haemosynth.report.dossier import render
from haemosynth.report.explorer import render_explorer
from haemosynth.report.landscape import join_cohorts
from haemosynth.report.table_one import make_table_one, write_table_one

WITHHELD = "withheld"


def restrict_schema(cohort: Cohort) -> Schema:
    """The schema that leaves: ranges are the 1-99 % range of the synthetic patients, notes on real patients stay."""
    columns = {name: _restrict(column, cohort.clinical[name]) for name, column in cohort.schema.columns.items()}
    return replace(cohort.schema, columns=columns, notes=(), excluded={}, declared=(), reading=())


def _restrict(column: Column, values: pd.Series) -> Column:
    if not column.numeric or column.kind == "event" or not values.notna().any():
        return replace(column, low=None, high=None, declared=())
    low, high = np.quantile(values.dropna(), [0.01, 0.99])
    counts = values.value_counts()
    shared = set(counts.index[counts.to_numpy() >= MIN_CELL_COUNT])
    limits = {side: tuple(at for at in every if at in shared) for side, every in column.detection.items()}
    return replace(
        column,
        low=float(low),
        high=float(high),
        detection={side: every for side, every in limits.items() if every},
        points=tuple(at for at in column.points if (values == at).any()),
        declared=(),
    )


def withhold_paths(config: Mapping[str, Any], cohort: str) -> dict[str, Any]:
    """The settings that made the cohort, without where its patients lie."""
    entry = dict(config["cohorts"][cohort])
    if "path" in entry:
        entry["path"] = WITHHELD
    for name in (name for name in FURTHER if isinstance(entry.get(name), Mapping)):
        if "path" in entry[name]:
            entry[name] = {**entry[name], "path": WITHHELD}
        if offers(name, "export") and hasattr(export := load(name, "export"), "withhold"):
            entry[name] = export.withhold(entry[name], WITHHELD)
    # Snakemake hands settings to other machines in another order.
    return _in_order({**config, "cohorts": {cohort: entry}})


def _in_order(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings with the keys of every dictionary in alphabetical order."""
    return {
        key: _in_order(value) if isinstance(value, Mapping) else value
        for key, value in sorted(settings.items(), key=lambda item: str(item[0]))
    }


def list_packages() -> str:
    """Every installed package with its version, one a line, as pip writes them."""
    found = {str(d.metadata["Name"]).lower(): d.version for d in metadata.distributions() if d.metadata["Name"]}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def read_code_version(root: Path) -> str:
    """The version of the code, with its git commit where there is one, and whether files were changed since."""

    def git(*arguments: str) -> str | None:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    if shutil.which("git") is None or (commit := git("rev-parse", "HEAD")) is None:
        return f"haemosynth {__version__}\n"
    changed = " with uncommitted changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return f"haemosynth {__version__}, commit {commit}{changed}\n"


def make_manifest(folder: Path) -> pd.DataFrame:
    """Name, size in bytes and sha256 of every file in the folder; `run.json`, which holds times, is left out."""
    rows = [
        (file.relative_to(folder).as_posix(), file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.relative_to(folder).as_posix() not in ("manifest.tsv", "run.json")
    ]
    return pd.DataFrame(rows, columns=["file", "bytes", "sha256"])


def find_differences(folder: Path) -> list[str]:
    """How a received folder differs from its manifest, a line for each file; empty where it does not.

    Raises:
        InputError: the folder has no manifest.
    """
    columns = ["file", "bytes", "sha256"]
    stated = read_table(folder / "manifest.tsv")
    if list(stated.columns) != columns:
        raise InputError(f"{folder / 'manifest.tsv'}: expected the columns {', '.join(columns)}")
    before, now = (dict(zip(table["file"], table["sha256"], strict=True)) for table in (stated, make_manifest(folder)))
    lines = {
        **{name: "is missing" for name in before if name not in now},
        **{name: "is not in the manifest" for name in now if name not in before},
        **{name: "was changed" for name in now if name in before and now[name] != before[name]},
    }
    return [f"{folder / name}: {lines[name]}" for name in sorted(lines)]


def publish(
    folder: Path,
    cohort: Cohort,
    generator: str,
    content: Content,
    config: Mapping[str, Any],
    template: Path,
    strings: str | Path | None = None,
) -> None:
    """Write the release of one recipe, unless the gate is shut.

    Args:
        cohort: the synthetic cohort of the first seed, exactly as it was attacked.
        content: the study's results; figures of other generators are left out.
        template: of the dossier. strings: hashes of raw strings that no file may hold (`publish.strings`).

    Raises:
        InputError: the gate is shut; the line says which check failed and by how much. Or a file holds a raw string.
    """
    gate = content.gate[content.gate["generator"] == generator].reset_index(drop=True)
    curve, tier = content.sizes.get(generator), str(config["release"]["tier"])
    if not verdict(gate):
        shutil.rmtree(folder, ignore_errors=True)
        smaller = advice(curve, tier) if curve is not None and "told" in curve else ""
        raise InputError(f"{content.cohort}: {refusal(gate, smaller)}")
    own = content.metrics[(content.metrics["generator"] == generator) & (content.metrics["seed"] == config["seeds"][0])]
    number = config["synthetic_patients"]
    balance = config.get("balance")
    quotas = read_quotas(balance, content.train, number) if balance else None
    recipe = {modality: config["generators"][generator][modality] for modality, _ in content.models}
    composites = content.composites[content.composites["generator"] == generator]
    models = {modality: description for (modality, _), description in content.models.items()}
    root = template.resolve().parents[2]
    released = replace(cohort, schema=restrict_schema(cohort))
    places = template.parent, root / "resources" / "explorer"
    balanced = [] if quotas is None else sentences(quotas, content.train, len(cohort))
    tables = {
        "metrics.tsv": content.metrics,
        "metrics_dictionary.tsv": content.dictionary,
        "scorecard.tsv": content.scorecard,
        "stages.tsv": content.stages,
        "composites.tsv": content.composites,
        "against_baseline.tsv": content.baseline,
        "gate.tsv": gate,
        **({} if curve is None else {"size.tsv": curve}),
    }
    figures = {figure.stage: figure.svg for figure in content.figures if figure.generator == generator}
    if generator in content.size_figures:
        figures["size"] = content.size_figures[generator]
    account = Account(
        content.cohort,
        generator,
        recipe,
        models,
        len(content.train),
        gate,
        composites,
        note=note_of(config, content.cohort),
        tier=tier,
        disclosure=disclosure_sentences(own, len(content.train), config["release"], curve),
        curve=curve,
        balance=balanced,
    )
    pages = {
        "dossier.html": render(content, config, [generator], release=True, template=template),
        "explorer.html": render_explorer(
            content.train, content.holdout, released, content.cohort, tier, *places, balance=balanced
        ),
        "DATA_CARD.md": write_card(cohort, account),
    }
    run = {"finished": datetime.now(UTC).isoformat(timespec="seconds"), "machine": platform.platform()}
    characteristics = make_table_one(join_cohorts(content.train, content.holdout), cohort, release=True)
    weight = None if quotas is None else weights(cohort, quotas, content.train)
    papers = Papers(content.cohort, tables, figures, pages, config, run, characteristics)
    write_release(folder, cohort, papers, root, weight, strings)


def _check_strings(folder: Path, part: Path, strings: Path, schema: Schema, root: Path) -> None:
    """No file holds a string of a raw record that is no name or level of the schema; else nothing is left there."""
    levels = [level for column in schema.columns.values() for level in column.categories]
    units = [column.unit for column in schema.columns.values() if column.unit]
    declared = [*schema.columns, *levels, *units, *schema.alterations, *schema.endpoints, schema.cohort]
    try:
        check_strings(part, json.loads(strings.read_text(encoding="utf-8")), chain(declared, collect_own_texts(root)))
    except InputError:
        shutil.rmtree(part)
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _write_text_table(table: pd.DataFrame, path: Path) -> None:
    write_table(without_formulas(table), path)


@dataclass(frozen=True)
class Papers:
    """What accompanies the patients of a release.

    study: the name of the real cohort that was learned from. tables: metrics, scorecard, ..., by file name. figures:
    stage -> SVG text that shows aggregates only. pages: file name -> text of dossier, data card and explorer. config:
    the study's settings. run: times and machine; the only file whose bytes differ between equal runs. characteristics:
    Table 1, not written where it is empty.
    """

    study: str
    tables: Mapping[str, pd.DataFrame]
    figures: Mapping[str, str]
    pages: Mapping[str, str]
    config: Mapping[str, Any]
    run: Mapping[str, Any]
    characteristics: pd.DataFrame | None = None


def write_release(
    folder: Path,
    cohort: Cohort,
    papers: Papers,
    root: Path,
    weight: pd.Series | None = None,
    strings: str | Path | None = None,
) -> None:
    """Write a release folder in one piece: it is built beside its place and moved there when it is whole.

    Args:
        cohort: the synthetic cohort, exactly as it was attacked.
        root: of the checkout that made it.
        weight: (patients,) of a balanced cohort, see `generate.balance.weights`; its files say that it is balanced.
        strings: hashes of raw strings that no file may hold; not searched for where there are none.

    Raises:
        InputError: a file holds a raw string; nothing is written.
    """
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    tier, balanced = str(papers.config["release"]["tier"]), weight is not None
    released = replace(cohort, schema=restrict_schema(cohort))
    _write_patients(part, released, papers.study, tier, weight)
    for name, table in papers.tables.items():
        _write_text_table(table, part / name)
    for stage, figure in papers.figures.items():
        write_text(figure, part / "figures" / f"{stage}.svg")
    for name, page in papers.pages.items():
        write_text(page, part / stamp_name(name, tier, balanced))
    if papers.characteristics is not None and len(papers.characteristics) > 1:
        write_table_one(papers.characteristics, part, papers.study, lambda name: stamp_name(name, tier, balanced))
    write_yaml(withhold_paths(papers.config, papers.study), part / "config.yaml")
    write_text(list_packages(), part / "environment.txt")
    write_text(read_code_version(root), part / "code_version.txt")
    write_crate(part, papers.study, papers.config, root)
    write_table(make_manifest(part), part / "manifest.tsv")
    write_json(papers.run, part / "run.json")
    if strings is not None:
        _check_strings(folder, part, Path(strings), released.schema, root)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _write_patients(part: Path, released: Cohort, study: str, tier: str, weight: pd.Series | None) -> None:
    """The patients in every form: canonical tables, text, MuData, and a study folder for cBioPortal."""
    balanced = weight is not None

    def write_listed(table: pd.DataFrame, name: str, place: str = "tables") -> None:
        _write_text_table(table, part / place / stamp_name(name, tier, balanced))

    write_cohort(released, part / "cohort")
    for name in (name for name in FURTHER if name in released.parts):
        load(name, "part").write(released.parts[name], part / "cohort" / MODALITIES[name].files[0])
        if offers(name, "export") and hasattr(export := load(name, "export"), "export"):
            export.export(released, part, tier, balanced)
    write_listed(released.clinical.rename_axis("patient_id").reset_index(), "clinical.tsv")
    if released.alterations is not None and released.sequenced is not None and released.mutations is not None:
        matrix = released.alterations.astype("Int8")
        matrix.insert(0, "sequenced", released.sequenced.astype("Int8"))
        write_listed(matrix.rename_axis("patient_id").reset_index(), "alterations.tsv")
        write_listed(released.mutations, "mutations.tsv")
    if weight is not None:
        for place in ("cohort", "tables"):
            write_listed(weight.rename_axis("patient_id").reset_index(), "weights.tsv", place)
    if collect_annotated(released):
        write_mudata(released, part / stamp_name("cohort.h5mu", tier, balanced))
    write_study(
        released,
        part / "cbioportal",
        "_".join([study, "synthetic", *(["balanced"] if balanced else []), *([] if tier == "open" else [tier])]),
        f"Synthetic patients after {study}{', a balanced cohort' if balanced else ''}",
    )
    for name in (name for name in FURTHER if name in released.parts and offers(name, "export")):
        if hasattr(export := load(name, "export"), "extend_study"):
            export.extend_study(released, part / "cbioportal")
