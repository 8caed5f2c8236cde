"""The explorer of a released cohort: one page, without a network, on which synthetic patients are filtered.

It holds the released patients, whom the folder holds anyway, and aggregates of the real ones beside them: counts of at
least five, and survival curves of held-out patients with a step for at least five. What is computed, the browser
computes from the released patients alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from haemosynth import __version__
from haemosynth.core.cohort import Cohort
from haemosynth.core.disclosure import MIN_CELL_COUNT
from haemosynth.encode.baseline import follow_up
from haemosynth.modalities.registry import ALTERED, NAMES, load, offers
from haemosynth.privacy.tiers import TIERS
from haemosynth.report.landscape import CURVE, join_cohorts
from haemosynth.report.table_one import count_levels
from haemosynth.stats.cox import steps_shown
from haemosynth.stats.curves import survival_curve

MOST_BYTES = 4_500_000  # of a page; so many patients are shown as fit
PICTURE_BYTES = 2_000_000  # of them for pictures of patients
BINS = 24  # of a distribution of numbers
CLASS = "molecular class"
LIBRARY = ("uPlot.iife.min.js", "uPlot.min.css", "LICENSE.uPlot")


def render_explorer(
    train: Cohort,
    holdout: Cohort,
    synthetic: Cohort,
    study: str,
    tier: str,
    pages: Path,
    library: Path,
    balance: Sequence[str] = (),
) -> str:
    """The page as HTML.

    Args:
        synthetic: the released patients, with all modalities.
        tier: to whom the release may go.
        pages: folder of explorer.html.j2, explorer.js and explorer.css. library: folder of LIBRARY.
        balance: what is said of a balanced cohort, in sentences (`generate.balance.sentences`); none of any other.
    """
    import jinja2

    classes: Mapping[str, list[str]] = load(ALTERED, "molecular_classes").find_molecular_classes(train)
    fixed: dict[str, Any] = {
        "study": study,
        "tier": f"Tier {tier}: {TIERS[tier].stamp}.",
        "version": __version__,
        "classes": [*classes, "other"] if classes else [],
        "endpoints": list(synthetic.schema.endpoints),
        "columns": _columns(synthetic, classes),
        "alterations": _order(train, synthetic),
        "real": _aggregates(train, holdout, synthetic, classes),
        "released": len(synthetic),
    }
    texts = {name: (library / name).read_text(encoding="utf-8") for name in LIBRARY}
    texts |= {name: (pages / name).read_text(encoding="utf-8") for name in ("explorer.js", "explorer.css")}
    room = MOST_BYTES - len(_json(fixed)) - sum(map(len, texts.values()))
    shown = len(synthetic)
    while True:
        some = synthetic if shown == len(synthetic) else synthetic.take(np.arange(shown))
        patients = _patients(some, classes, fixed["columns"])
        size = len(_json(patients))
        if size <= room or shown <= 1:
            break
        shown = max(1, int(shown * min(0.9, room / size)))
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True).from_string(
        (pages / "explorer.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        study=study,
        tier=fixed["tier"],
        version=__version__,
        balance=balance,
        data=_json({**fixed, **patients}),
        library=texts["uPlot.iife.min.js"],
        licence=texts["LICENSE.uPlot"].replace("--", "- -"),
        style=texts["uPlot.min.css"] + texts["explorer.css"],
        script=texts["explorer.js"],
    )


def _json(value: Any) -> str:
    """JSON that may be put in a page: no `<` ends the element around it."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _columns(synthetic: Cohort, classes: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    """What patients can be filtered by, in the order of a patient's values."""
    schema = synthetic.schema
    found: list[dict[str, Any]] = []
    if classes:
        found.append({"name": CLASS, "kind": "level", "group": CLASS, "levels": [*classes, "other"]})
    for name, column in schema.columns.items():
        if name in schema.survival:
            found.append({"name": name, "kind": "number", "group": "outcome", "hidden": True})
        elif column.numeric:
            found.append({"name": name, "kind": "number", "group": column.group, "unit": column.unit or ""})
        else:
            levels = [str(level) for level in synthetic.clinical[name].cat.categories]
            found.append({"name": name, "kind": "level", "group": column.group, "levels": levels})
    for name, kind in schema.alterations.items():
        found.append({"name": name, "kind": "alteration", "group": f"alterations: {kind}", "of": kind})
    return found


def _patients(cohort: Cohort, classes: Mapping[str, list[str]], columns: list[dict[str, Any]]) -> dict[str, Any]:
    """Identifier and values of each patient, mutations, and what modalities say of single patients."""
    values: list[list[Any]] = [[str(name) for name in cohort.patients]]
    for column in columns:
        if column["name"] == CLASS and column["group"] == CLASS:
            own = load(ALTERED, "molecular_classes").classify_patients(cohort, classes)
        elif column["kind"] == "alteration":
            assert cohort.alterations is not None
            own = cohort.alterations[column["name"]]
        else:
            own = cohort.clinical[column["name"]]
        values.append([_plain(value) for value in own])
    mutations: dict[str, list[list[Any]]] = {}
    if cohort.mutations is not None:
        for row in cohort.mutations[["patient_id", "gene", "hgvsp", "vaf"]].itertuples(index=False):
            protein = "" if pd.isna(row.hgvsp) else str(row.hgvsp)
            mutations.setdefault(str(row.patient_id), []).append([str(row.gene), protein, _plain(row.vaf)])
    single = []
    for name in (name for name in NAMES if name in cohort.parts and offers(name, "explorer")):
        single += load(name, "explorer").of_patients(cohort, PICTURE_BYTES)
    return {"patients": [list(row) for row in zip(*values, strict=True)], "mutations": mutations, "single": single}


def _plain(value: Any) -> Any:
    if value is None or pd.isna(value):
        return None
    if isinstance(value, str):
        return value
    number = round(float(value), 6)
    return int(number) if number == int(number) else number


def _order(train: Cohort, synthetic: Cohort) -> list[str]:
    """Alterations, those of most training patients first."""
    if train.alterations is None:
        return []
    carriers = (train.alterations == 1).sum().sort_values(ascending=False, kind="stable")
    return [str(name) for name in carriers.index if name in synthetic.schema.alterations]


def _aggregates(train: Cohort, holdout: Cohort, synthetic: Cohort, classes: Mapping[str, list[str]]) -> dict[str, Any]:
    """What is shown of real patients: their number, distributions in groups of at least five, and held-out curves."""
    real = join_cohorts(train, holdout)
    columns: dict[str, Any] = {}
    for name, column in synthetic.schema.columns.items():
        if name in synthetic.schema.survival or name not in real.clinical:
            continue
        if column.numeric:
            columns[name] = bin_numbers(real.clinical[name], synthetic.clinical[name], column.grain == 1)
        else:
            groups = count_levels(real.clinical[name], synthetic.clinical[name], release=True)
            columns[name] = {"counts": {level: counts[0] for level, counts in groups.items()}}
    for name in _order(train, synthetic):
        assert real.alterations is not None
        known = real.alterations[name].dropna()
        carriers = int((known == 1).sum())
        few = any(0 < number < MIN_CELL_COUNT for number in (carriers, len(known) - carriers))
        columns[name] = {"share": None if few or not len(known) else round(carriers / len(known), 4)}
    curves = {endpoint: _curves(holdout, endpoint, classes) for endpoint in synthetic.schema.endpoints}
    return {"n": len(real), "held_out": len(holdout), "columns": columns, "curves": curves}


def bin_numbers(real: pd.Series, made: pd.Series, whole: bool) -> dict[str, Any]:
    """Edges of a histogram, and the share of real patients in each bin; none of a bin rests on one to four patients.

    Edges lie between the 1 and 99 % quantiles of the synthetic values; the outer bins hold what lies beyond.
    Neighbouring bins are taken together until five patients lie in them, and share them evenly.

    Args:
        whole: the numbers are whole, so that edges lie between them.
    """
    values, known = made.dropna().to_numpy(float), real.dropna().to_numpy(float)
    if len(values) < 2 or len(known) < 2 * MIN_CELL_COUNT or values.min() == values.max():
        return {}
    low, high = np.quantile(values, [0.01, 0.99])
    if whole:
        step = max(1, int(np.ceil((high - low + 1) / BINS)))
        edges = np.arange(np.floor(low) - 0.5, high + step, step)
    else:
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
    counts = np.histogram(np.clip(known, edges[0], edges[-1]), edges)[0]
    groups: list[list[int]] = [[]]
    for place in range(len(counts)):
        groups[-1].append(place)
        if counts[groups[-1]].sum() >= MIN_CELL_COUNT and place < len(counts) - 1:
            groups.append([])
    if len(groups) > 1 and counts[groups[-1]].sum() < MIN_CELL_COUNT:
        last = groups.pop()
        groups[-1] += last
    shares = np.zeros(len(counts))
    for group in groups:
        shares[group] = counts[group].sum() / len(known) / len(group)
    return {"edges": [round(float(edge), 6) for edge in edges], "shares": [round(float(s), 6) for s in shares]}


def _curves(holdout: Cohort, endpoint: str, classes: Mapping[str, list[str]]) -> dict[str, Any]:
    """Curves of held-out patients, all of them and by class, with a step for at least five."""
    rows, time, event = follow_up(holdout, endpoint)
    groups = {"": np.ones(len(rows), dtype=bool)}
    if classes:
        own = load(ALTERED, "molecular_classes").classify_patients(holdout, classes).iloc[rows].to_numpy()
        groups |= {name: own == name for name in (*classes, "other")}
    found = {}
    for name, among in groups.items():
        if among.sum() < CURVE:
            continue
        curve = survival_curve(time[among], event[among])
        mean, ends = steps_shown(curve.times, curve.at_risk, MIN_CELL_COUNT, float(np.inf))
        found[name] = {
            "n": int(among.sum()),
            "times": [0, *(round(float(t), 3) for t in mean)],
            "survival": [1, *(round(float(s), 4) for s in curve.estimate[ends])],
        }
    return found
