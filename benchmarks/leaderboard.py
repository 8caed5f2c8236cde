"""The field on the same patients: this project's methods and published generators, under the same validation.

For every study: its patients are split as in any run; every peer learns the training patients in an environment of its
own, which is made here and is no part of the project's lock file, and draws as many; then the study is run with all of
them as candidates, what others made as `external`. Peers get record and alterations as one table, and have the settings
that their authors ship. `docs/leaderboard.md` and its figure are written from what came out, with versions, seconds and
memory, and with the line that a failed peer ended with.

    HAEMOSYNTH_DATA=... make leaderboard
    make leaderboard ARGS='--studies config/studies/beataml.yaml --stages detection disclosure --peers ctgan arf'
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np
import pandas as pd
import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from haemosynth.core.cohort import Cohort, set_types
from haemosynth.core.derive import derive
from haemosynth.core.errors import InputError
from haemosynth.core.figures import BLUE, NEUTRAL, ORANGE, new_figure, save_figure
from haemosynth.core.files import read_table, write_table
from haemosynth.core.streams import stream
from haemosynth.generate import settings_of as settings_of_algorithm
from haemosynth.generate.constraints import enforce
from haemosynth.modalities import joint_table
from haemosynth.modalities.clinical.reference import reference
from haemosynth.modalities.cohort_files import read_cohort
from haemosynth.modalities.registry import RECORD, load_algorithm
from haemosynth.privacy.release_check import gate
from haemosynth.study.external import read_external
from haemosynth.study.settings import merge
from haemosynth.study.split import halve
from haemosynth.validate import STAGES
from haemosynth.validate.resampling import evaluate, prepare_comparison, read_stage_settings
from haemosynth.validate.stage import Comparison

OWN = ("default", "forest", "selected", "gan", "diffusion", "gan_joint", "diffusion_joint")
REFERENCES = ("real", "independent", "uniform")
TORCH = "torch==2.13.0"  # the project's, where a peer can do with it
WORK = ROOT / "results/leaderboard"
# What the figure holds fidelity against: the first of these that was measured.
RISKS = {
    "worst attack": "AUC of the worst attack (0.5 is best)",
    "nearer to training patients": "share nearer to a training than to an unseen patient (0.5 is best)",
}
# With --quick: attacks with fewer trees and exchanges, and what the page says.
QUICK: dict[str, dict[str, Any]] = {"disclosure": {"trees": 60, "exchanges": 100}}
QUICKLY = (
    "\nThis is the short form (`--quick`): the record alone, compared in one process, with fewer repetitions and trees"
    "\nof the attacks. Own recipes were drawn without alterations; peers learned both and are judged by the record."
)


@dataclass(frozen=True)
class Peer:
    """A published generator. environment: its own, or one that several share. packages: installed together."""

    environment: str
    packages: tuple[str, ...]
    licence: str
    source: str


VAULT = ("sdv", (TORCH, "sdv==2.0.0", "ctgan==0.12.1", "copulas==0.14.1"), "Business Source Licence 1.1")
PEERS = {
    "ctgan": Peer(*VAULT, "Xu et al., NeurIPS 2019"),
    "tvae": Peer(*VAULT, "Xu et al., NeurIPS 2019"),
    "gaussian_copula": Peer(*VAULT, "Patki et al., DSAA 2016"),
    "arf": Peer("arf", ("numpy<2.3", "arfpy==0.1.1"), "MIT", "Watson et al., AISTATS 2023"),
    "synthpop": Peer("synthpop", ("python-synthpop==0.1.2",), "MIT", "Nowok et al., J Stat Softw 2016;74(11)"),
    "tabddpm": Peer("synthcity", ("synthcity==0.2.12", "opacus<1.5"), "Apache 2.0", "Kotelnikov et al., ICML 2023"),
    "mostlyai": Peer("mostlyai", (TORCH, "mostlyai-engine==2.7.3"), "Apache 2.0", "Tiwald et al., arXiv:2501.12012"),
}  # fmt: skip
# Peers that no package registry has: they stand in the table with the reason.
ABSENT = {"tabsyn": "TabSyn (Zhang et al., ICLR 2024) is code in a repository and no package of a registry"}
# What the page shows: stage, metric, modality ("" for the worst one), and the heading.
SHOWN = (
    ("detection", "auc", "joint", "two-sample AUC, record and alterations"),
    ("detection", "auc", "clinical", "two-sample AUC, record"),
    ("correlations", "association_error", "clinical", "error of associations"),
    ("marginals", "kolmogorov_smirnov", "clinical", "error of columns"),
    ("survival", "km_distance", "clinical", "distance of survival curves"),
    ("survival", "c_index_tstr", "clinical", "C-index in real patients"),
    ("cross_classification", "tstr_auc", "", "AUC in real patients"),
    ("coverage", "recall", "", "recall"),
    ("disclosure", "disclosure_auc", "", "worst attack"),
    ("distance", "nearer_to_train", "", "nearer to training patients"),
    ("distance", "exact_matches", "", "exact matches"),
    ("memory", "linked_copies", "", "linked copies"),
)  # fmt: skip


def python_of(peer: Peer, folder: Path) -> Path:
    """The interpreter of a peer's environment, which is made where it is missing.

    Raises:
        RuntimeError: the installation failed; the last line that it said.
    """
    place = folder / peer.environment
    python, ready = place / "bin/python", place / ".ready"
    if ready.is_file():
        return python
    if not python.is_file():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    # pip looks for versions that go together for an hour where uv takes a second.
    command = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", str(python)]
    wheels = {"UV_FIND_LINKS": os.environ.get("PIP_FIND_LINKS", "")}
    done = subprocess.run(
        [*command, *peer.packages], capture_output=True, text=True, check=False, env=os.environ | wheels
    )
    if done.returncode:
        raise RuntimeError(f"installing {', '.join(peer.packages)}: {last_line(done.stderr)}")
    ready.touch()
    return python


def last_line(text: str) -> str:
    """The last line that is not empty, without colours and paths."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines()]
    found = [line for line in lines if line] or ["nothing was said"]
    return re.sub(r"/\S*/", "", found[-1])[:200]


def versions(python: Path, peer: Peer) -> str:
    """The versions of a peer's own packages, as they are installed."""
    command = [str(python), "-m", "pip", "list", "--format=json"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    known = {entry["name"].lower(): entry["version"] for entry in json.loads(listed.stdout)}
    names = [re.split("[<=]", package)[0] for package in peer.packages if package != TORCH]
    return ", ".join(f"{name} {known[name]}" for name in names)


def run_peer(name: str, python: Path, train: Cohort, folder: Path, limit: int) -> dict[str, Any]:
    """Let a peer learn and draw; its tables are written as an external candidate.

    Returns:
        seconds (of processors), memory (MB), and failure: "" or the last line that was said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = joint_table.extend_table(train)
    columns = [column for column, kind in whole.schema.columns.items() if kind.derived is None]
    table = whole.clinical[columns].copy()
    for column in columns:
        if whole.schema.columns[column].kind == "event":
            table[column] = table[column].map({0.0: "0", 1.0: "1"})
    numbers = [c for c in columns if whole.schema.columns[c].numeric and whole.schema.columns[c].kind != "event"]
    source, told, drawn = folder / "train.csv", folder / "columns.json", folder / "drawn.csv"
    table.to_csv(source, index=False)
    told.write_text(json.dumps({"numbers": numbers, "levels": [c for c in columns if c not in numbers]}))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [
        str(python),
        str(ROOT / "benchmarks/peers.py"),
        name,
        str(source),
        str(told),
        str(len(train)),
        "1",
        str(drawn),
    ]
    command = ["/usr/bin/time", "-f", "memory %M", *command] if Path("/usr/bin/time").exists() else command
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failure": f"not done after {limit} seconds"}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    memory = re.search(r"memory (\d+)", done.stderr)
    found = {
        "seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "memory": int(memory[1]) / 1024 if memory else np.nan,
    }
    if done.returncode or not drawn.is_file():
        said = [line for line in done.stderr.splitlines() if not re.match(r"memory \d|Command exited", line)]
        return {**found, "failure": last_line("\n".join(said))}
    try:
        write_external(
            pd.read_csv(drawn, dtype=dict.fromkeys(set(columns) - set(numbers), str)), train, folder / "tables"
        )
        read_external(folder / "tables", train)
    except (InputError, ValueError, KeyError) as error:
        return {**found, "failure": f"what was drawn is no such table: {last_line(str(error))}"}
    return {**found, "failure": ""}


def write_external(drawn: pd.DataFrame, train: Cohort, folder: Path) -> None:
    """What a peer drew as tables of an external candidate; derived columns are computed, nothing else is mended."""
    folder.mkdir(parents=True, exist_ok=True)
    schema = joint_table.lengthen_schema(train.schema, list(train.schema.alterations))
    ids = pd.Index([f"S{number:06d}" for number in range(1, len(drawn) + 1)], name="patient_id")
    table = drawn.set_index(ids)
    for name, column in schema.columns.items():
        if column.derived is not None:
            table[name] = np.nan if column.numeric else None
        elif column.numeric:
            table[name] = pd.to_numeric(table[name])
    record = set_types(table[list(train.schema.columns)], train.schema)
    cohort = Cohort(train.record().schema, record)
    if train.alterations is not None:
        cohort = joint_table.take_up(cohort, table, train.schema.alterations)
        matrix = cohort.alterations.astype("Int8")  # type: ignore[union-attr]
        matrix.insert(0, "sequenced", cohort.sequenced)
        matrix.to_csv(folder / "alterations.csv", index_label="patient_id")
    derive(cohort).clinical.to_csv(folder / "clinical.csv", index_label="patient_id")


def settings_of(study: Path, name: str, chosen: argparse.Namespace, peers: dict[str, Path]) -> Path:
    """Write the study that is run: one cohort, all candidates, nothing published."""
    config = yaml.safe_load(study.read_text(encoding="utf-8"))
    cohort = next(iter(config["cohorts"].values()))
    fast = (
        {"common": {"repeats": chosen.repeats, "replicates": chosen.replicates}}
        if chosen.replicates is not None
        else {}
    )
    settings = merge(
        {key: value for key, value in config.items() if key != "cohorts"},
        {
            "cohorts": {name: cohort},
            "seeds": [1],
            "synthetic_patients": None,
            "publish": [],
            "generators": {peer: {"external": str(folder)} for peer, folder in peers.items()},
            "compare": [*REFERENCES, *chosen.own, *peers],
            "stages": chosen.stages,
            "validation": fast,
        },
    )
    place = WORK / f"{name}.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return place


def run(study: Path, cores: int, *targets: str) -> None:
    """Run the workflow to these targets.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, str(ROOT / "workflow/run.py"), "--study", str(study), "--cores", str(cores), *targets]
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        raise SystemExit(code)


def cost(name: str, recipe: str) -> dict[str, float]:
    """Seconds and memory (MB) of fit and draw of a recipe of this project, as its jobs recorded them."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    logs, seconds, memory = ROOT / "logs/benchmarks", 0.0, 0.0
    for modality in ("clinical", "genomic"):
        method = config["generators"].get(recipe, {}).get(modality, "")
        for file in (
            logs / f"fit_{modality}/{name}/{method}/seed-1.tsv",
            logs / f"sample_{modality}/{name}/{recipe}/seed-1.tsv",
        ):
            if file.is_file():
                row = pd.read_csv(file, sep="\t").iloc[-1]
                seconds += float(row["cpu_time"])
                memory = max(memory, float(pd.to_numeric(row["max_rss"], errors="coerce")))
    return {"seconds": seconds or np.nan, "memory": memory or np.nan}


def metrics_here(
    name: str, chosen: argparse.Namespace, sides: tuple[Cohort, Cohort], peers: dict[str, Path]
) -> tuple[pd.DataFrame, dict[str, dict[str, float]]]:
    """The same stages of the record alone, in this process: a look that takes minutes.

    Returns:
        rows as in `metrics.tsv`, and what the recipes of this project cost.
    """
    train, holdout = (side.record() for side in sides)
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))
    fresh, control = halve(holdout, stream(1, "leaderboard", "halves"))
    kept = WORK / name / "metrics.tsv"  # what a run that was ended has measured
    rows, costs = [read_table(kept)] if kept.is_file() else [], {}
    known = set(rows[0]["generator"]) if rows else set()

    def candidates() -> Iterator[tuple[str, Cohort]]:
        yield "fresh", fresh
        yield "real", train
        yield "independent", reference("independent", train, len(train), stream(1, "leaderboard", "independent"))
        for peer, folder in peers.items():
            yield peer, read_external(folder, train)
        for recipe in (recipe for recipe in chosen.own if recipe not in known):
            method = dict(config["methods"]["clinical"][config["generators"][recipe]["clinical"]])
            algorithm, began = load_algorithm("clinical", method.pop("algorithm")), time.process_time()
            settings = settings_of_algorithm(algorithm, {k: v for k, v in method.items() if k != "given"}, recipe)
            model = algorithm.fit(train, settings, stream(1, "leaderboard", recipe), None)
            drawn = algorithm.sample(model, train.schema, len(train), stream(2, "leaderboard", recipe))
            costs[recipe] = {"seconds": time.process_time() - began, "memory": np.nan}
            yield recipe, enforce(Cohort(train.schema, drawn))

    for candidate, cohort in candidates():
        for stage_name in chosen.stages if candidate not in known else ():
            if set(STAGES[stage_name].needs) - {RECORD}:
                continue
            if candidate == "fresh" and STAGES[stage_name].pillar != "privacy":
                continue
            stage: Any = import_module(STAGES[stage_name].module)
            common = {"repeats": chosen.repeats, "replicates": chosen.replicates or 0}
            settings = read_stage_settings(stage, common | QUICK.get(stage_name, {}), stage_name)
            comparison = Comparison(real=holdout, candidate=cohort, train=train, control=control)

            def streams(*names: object, own: str = stage_name) -> np.random.Generator:
                return stream(1, "leaderboard", own, *names)

            values, _ = evaluate(stage, prepare_comparison(stage, comparison, settings, streams), settings, streams)
            rows.append(values.assign(cohort=name, generator=candidate, seed=1, stage=stage_name))
            print(f"{name}: {candidate}: {stage_name}", file=sys.stderr, flush=True)
        write_table(pd.concat(rows, ignore_index=True), kept)
    return pd.concat(rows, ignore_index=True), costs


def table_of(
    name: str, chosen: argparse.Namespace, peers: dict[str, dict[str, Any]], metrics: pd.DataFrame,
    costs: dict[str, dict[str, float]],
) -> pd.DataFrame:  # fmt: skip
    """One row for each candidate: what `SHOWN` names, failed checks, seconds and memory."""
    limits = yaml.safe_load((ROOT / "config/config.yaml").read_text(encoding="utf-8"))["gate"]
    rows = []
    for candidate in ("fresh", *REFERENCES, *chosen.own, *peers):
        own = metrics[metrics["generator"] == candidate]
        row: dict[str, Any] = {"study": name, "method": candidate}
        for stage, metric, modality, heading in SHOWN:
            found = own[(own["stage"] == stage) & (own["metric"] == metric) & (own["target"] == "all")]
            found = found[found["modality"] == modality] if modality else found
            values = found["value"].dropna()
            row[heading] = float(values.max()) if len(values) and stage in metrics["stage"].unique() else np.nan
        run_stages = sorted(
            set(own["stage"]) & {"distance", "memory", "disclosure", "singling_out", "linkability", "inference"}
        )
        checks = gate(own, limits, run_stages) if run_stages and len(own) else pd.DataFrame({"passed": [], "check": []})
        failed = checks.loc[~checks["passed"].astype(bool), "check"].tolist()
        row["failed checks"] = ", ".join(failed) if failed else "none" if len(checks) else "not run"
        row |= (
            {key: peers[candidate].get(key) for key in ("seconds", "memory")}
            if candidate in peers
            else costs.get(candidate) or cost(name, candidate)
        )
        row["failure"] = peers.get(candidate, {}).get("failure", "")
        rows.append(row)
    return pd.DataFrame(rows)


def fidelity(table: pd.DataFrame) -> str:
    """The heading of the two-sample AUC of all that was compared."""
    return next(heading for *_, heading in SHOWN if table[heading].notna().any())


def write_names(axis: Any, names: list[str], places: Any) -> None:
    """Each name beside its point, on the first side where it covers neither another name nor a point."""
    sides = (
        (6, 4, "left"),
        (6, -8, "left"),
        (-6, 4, "right"),
        (-6, -8, "right"),
        (0, 12, "center"),
        (0, -16, "center"),
    )
    scale = axis.figure.dpi / 72
    points = axis.transData.transform(places) / scale  # in points, as the text's size
    taken = [(px - 4, px + 4, py - 4, py + 4) for px, py in points]
    for name, (x, y), (px, py) in zip(names, places, points, strict=True):
        width = 4.4 * len(name)
        boxes = []
        for dx, dy, side in sides:
            left = px + dx - {"left": 0, "right": width, "center": width / 2}[side]
            boxes.append((left, left + width, py + dy - 1, py + dy + 7))
        free = [all(b[0] > o[1] or b[1] < o[0] or b[2] > o[3] or b[3] < o[2] for o in taken) for b in boxes]
        best = free.index(True) if any(free) else 0
        dx, dy, side = sides[best]
        taken.append(boxes[best])
        axis.annotate(name, (x, y), xytext=(dx, dy), textcoords="offset points", fontsize=7.5, ha=side)


def draw_figure(table: pd.DataFrame, path: Path) -> None:
    """Fidelity against the worst attack, a panel for each study."""
    x = fidelity(table)
    y = next(heading for heading in RISKS if table[heading].notna().any())
    shown = table.dropna(subset=[x, y])
    studies = list(dict.fromkeys(table["study"]))
    fig, axes = new_figure(5.4 * len(studies), 4.8, ncols=len(studies), squeeze=False)
    for axis, study in zip(axes[0], studies, strict=True):
        own = shown[shown["study"] == study]
        for group, colour, marker in (
            (OWN, BLUE, "o"),
            (tuple(PEERS), ORANGE, "s"),
            (("fresh", *REFERENCES), NEUTRAL, "D"),
        ):
            part = own[own["method"].isin(group)]
            axis.scatter(part[x], part[y], c=colour, marker=marker, s=34, zorder=3)
        axis.axhline(0.5, c=NEUTRAL, lw=0.8, ls="--")
        axis.axvline(0.5, c=NEUTRAL, lw=0.8, ls="--")
        axis.set(
            xlabel="two-sample AUC against unseen patients (0.5 is best)",
            ylabel=RISKS[y],
        )
        write_names(axis, own["method"].tolist(), own[[x, y]].to_numpy())
        axis.set_title(study.removeprefix("leaderboard_"))
    save_figure(fig, path)


def page(tables: pd.DataFrame, told: dict[str, Any], chosen: argparse.Namespace) -> str:
    """The page in Markdown."""
    headings = [heading for *_, heading in SHOWN if tables[heading].notna().any()]
    lines = [
        "# Leaderboard", "",
        f"Written by `make leaderboard` on {told['date']}. This project's methods and published generators learned the",
        "same training patients, drew as many, and went through the same validation and those checks of a release",
        "that belong to it.",
        "Every number is of one seed; [methods.md](methods.md) says what it means.", "",
        f"Stages that ran: {', '.join(told['stages'])}.{told['resamples']}{QUICKLY if chosen.quick else ''}", "",
        "![Fidelity against what a release reveals about training patients](leaderboard.svg)", "",
        "Left and down is better: patients who cannot be distinguished from unseen ones, and who reveal nothing about",
        "those who were learned from. `real` are the training patients themselves, `independent` has every column",
        "drawn on its own, and `fresh` are unseen patients in place of a release.", "",
    ]  # fmt: skip
    for study, rows in tables.groupby("study", sort=False):
        size = told["sizes"][study]
        lines += [f"## {study.removeprefix('leaderboard_')}", ""]
        lines += [f"{size[0]} training patients, {size[1]} held out, {size[2]} columns and {size[3]} alterations.", ""]
        lines += ["| method | " + " | ".join(headings) + " | failed checks | CPU seconds | memory, MB |"]
        lines += ["| --- |" + " ---: |" * len(headings) + " --- | ---: | ---: |"]
        for _, row in rows.iterrows():
            cells = [_number(row[heading]) for heading in headings]
            failed = f"failed: {row['failure']}" if row["failure"] else row["failed checks"]
            cells = [row["method"], *cells, failed, _whole(row["seconds"]), _whole(row["memory"])]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += ["## Versions and licences", "", "| method | version | licence | source |", "| --- | --- | --- | --- |"]
    for name in told["peers"]:
        peer = PEERS[name]
        lines.append(f"| {name} | {told['versions'].get(name, 'not installed')} | {peer.licence} | {peer.source} |")
    lines += [f"| {name} | none | | {why} |" for name, why in ABSENT.items()]
    return "\n".join([*lines, ""])


def _number(value: Any) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def _whole(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.0f}"


def main() -> None:
    """Run the studies and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    studies = [ROOT / f"config/studies/{name}.yaml" for name in ("beataml", "amlsg")]
    parser.add_argument("--studies", nargs="+", type=Path, default=studies, help="study files of one cohort each")
    parser.add_argument("--stages", nargs="+", default=None, help="validation stages; all that are run by default")
    parser.add_argument("--own", nargs="*", default=list(OWN), help="recipes of this project")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--environments", type=Path, default=WORK / "environments", help="where peers are installed")
    parser.add_argument("--limit", type=int, default=3600, help="seconds that a peer may take")
    parser.add_argument("--repeats", type=int, default=3, help="comparisons, where --replicates is given")
    parser.add_argument("--replicates", type=int, default=None, help="resamples for intervals; those of the study")
    parser.add_argument("--quick", action="store_true", help="the record alone, in one process, with fewer repetitions")
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--page", type=Path, default=ROOT / "docs/leaderboard.md")
    chosen = parser.parse_args()
    resamples = (
        f" Comparisons: {chosen.repeats}; resamples: {chosen.replicates}." if chosen.replicates is not None else ""
    )
    tables, told = (
        [],
        {"resamples": resamples, "date": time.strftime("%d %B %Y"), "sizes": {}, "versions": {}, "peers": chosen.peers},
    )
    told["stages"] = chosen.stages = chosen.stages or [
        s for s, stage in STAGES.items() if stage.by_default and not stage.of_published
    ]
    for study in chosen.studies:
        name = f"leaderboard_{study.stem}"
        split = settings_of(study, name, chosen, {})
        if not (chosen.quick and (ROOT / f"results/{name}/seed-1/holdout/schema.yaml").is_file()):
            run(split, chosen.cores, f"results/{name}/seed-1/train/schema.yaml")
        train, holdout = (read_cohort(ROOT / f"results/{name}/seed-1/{side}") for side in ("train", "holdout"))
        told["sizes"][name] = len(train), len(holdout), len(train.schema.columns), len(train.schema.alterations)
        found: dict[str, dict[str, Any]] = {}
        for peer in chosen.peers:
            folder, record = WORK / name / peer, WORK / name / peer / "result.json"
            if not record.is_file():
                shutil.rmtree(folder, ignore_errors=True)
                print(f"{name}: {peer}", file=sys.stderr, flush=True)
                try:
                    python = python_of(PEERS[peer], chosen.environments)
                    result = run_peer(peer, python, train, folder, chosen.limit)
                    result["version"] = versions(python, PEERS[peer])
                except RuntimeError as error:
                    result = {"failure": str(error)}
                folder.mkdir(parents=True, exist_ok=True)
                record.write_text(json.dumps(result))
            found[peer] = json.loads(record.read_text())
            told["versions"][peer] = found[peer].get("version", told["versions"].get(peer, "not installed"))
        costs: dict[str, dict[str, float]] = {}
        good = {peer: WORK / name / peer / "tables" for peer, result in found.items() if not result["failure"]}
        if chosen.quick:
            metrics, costs = metrics_here(name, chosen, (train, holdout), good)
        else:
            run(settings_of(study, name, chosen, good), chosen.cores, f"results/{name}/metrics.tsv")
            metrics = read_table(ROOT / f"results/{name}/metrics.tsv")
        tables.append(table_of(name, chosen, found, metrics, costs))
    table = pd.concat(tables, ignore_index=True)
    draw_figure(table, chosen.page.with_suffix(".svg"))
    chosen.page.write_text(page(table, told, chosen), encoding="utf-8")
    table.to_csv(WORK / "leaderboard.tsv", sep="\t", index=False)


if __name__ == "__main__":
    main()
