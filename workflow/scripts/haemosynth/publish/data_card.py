"""The data card: what a reader of a released cohort must know, on one page of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from haemosynth.core.cohort import Cohort
from haemosynth.modalities.registry import FURTHER, load, offers
from haemosynth.privacy.accountant import UNIT, compose
from haemosynth.privacy.release_check import OVERRIDE, outcomes, overridden
from haemosynth.privacy.tiers import TIERS, stamp_name
from haemosynth.report.content import say_selected, select_rows


@dataclass(frozen=True)
class Account:
    """What the data card says of a release beside its patients.

    study: the real cohort that was learned from; training_patients: of it. recipe: modality -> method. models: modality
    -> description of its fitted model; `parameters` is the number of fitted numbers. gate: the checks. composites: mean
    relative score per pillar and modality, as `scorecard` makes them. note: what the study says of its cohort. tier: to
    whom the release may go. disclosure: what attackers learn, in sentences. curve: what each number of patients reveals
    and is good for (`publish.size`). balance: what is said of a balanced cohort, in sentences.
    """

    study: str
    generator: str
    recipe: Mapping[str, str]
    models: Mapping[str, Mapping[str, Any]]
    training_patients: int
    gate: pd.DataFrame
    composites: pd.DataFrame
    note: str = ""
    tier: str = "open"
    disclosure: Sequence[str] = ()
    curve: pd.DataFrame | None = None
    balance: Sequence[str] = ()


def write_card(cohort: Cohort, account: Account) -> str:
    """The data card of a synthetic cohort as Markdown."""
    lines = [
        *_open(cohort, account),
        *_list_content(cohort, account.tier, bool(account.balance)),
        *_say_how_made(account),
        *_guarantee(account.models),
        *_rate_distances(account.composites),
        *_say_what_attackers_learn(account.disclosure),
        *_sizes(account.curve),
        *_list_checks(account.gate, account.tier),
        *_say_what_it_is_not(account.training_patients, account.tier, bool(account.balance)),
    ]
    return "\n".join(lines)


def _open(cohort: Cohort, account: Account) -> list[str]:
    return [
        f"# Synthetic patients after {account.study}" + (", balanced" if account.balance else ""),
        "",
        f"{len(cohort)} synthetic patients, made by the generator `{account.generator}` from "
        f"{account.training_patients} real ones. No row is a real patient. Identifiers were made up.",
        "",
        f"**Tier {account.tier}: {TIERS[account.tier].stamp}.**",
        "",
        *([f"**{account.note}**", ""] if account.note else []),
        *(
            [f"**{account.balance[0]}**", "", *(f"- {line}" for line in account.balance[1:]), ""]
            if account.balance
            else []
        ),
    ]


def _list_content(cohort: Cohort, tier: str, balanced: bool) -> list[str]:
    schema = cohort.schema
    return [
        "## Content",
        "",
        f"- clinical columns: {len(schema.columns)}",
        f"- endpoints: {', '.join(schema.endpoints) or 'none'} (months; event 1, censored 0)",
        f"- alterations: {len(schema.alterations)} ({len(schema.genes)} genes)",
        "- missing values mean: not recorded. Genes of patients who were not sequenced are missing, not absent.",
        *describe_further(cohort, tier, balanced),
        "",
    ]


def _say_how_made(account: Account) -> list[str]:
    """A line for each model, with what it did not learn."""
    lines = ["## How it was made", ""]
    for modality, method in account.recipe.items():
        if modality not in account.models:
            continue
        model = account.models[modality]
        parameters = int(model.get("parameters", 0))
        patients = int(model.get("patients", account.training_patients))
        per = f", {patients / parameters:.2g} training patients per parameter" if parameters else ""
        some = f", learned from {patients} of them drawn at random" if patients < account.training_patients else ""
        lines.append(f"- {modality}: {method}, {parameters} fitted numbers{per}{some}")
        if "selected" in model:
            lines.append(f"  It {say_selected(model['selected'])}")
        if left_out := ", ".join(model.get("left_out", [])):
            lines.append(f"  Too few patients, neither learned nor released: {left_out}")
        if last := ", ".join(one["name"] for one in model.get("drawn_last", [])):
            lines.append(f"  Drawn last, given the whole patient, as nearly decided by the rest: {last}")
    return lines


def _rate_distances(composites: pd.DataFrame) -> list[str]:
    return [
        "",
        "## Distance from real patients",
        "",
        "1 is as near as other real patients, 0 is without structure.",
        "",
        *(
            f"- {row.pillar}, {row.modality}: {row.relative:.2f} ({row.low:.2f} to {row.high:.2f})"
            for row in select_rows(composites)
        ),
    ]


def _say_what_attackers_learn(disclosure: Sequence[str]) -> list[str]:
    return ["", "## What attackers learn", "", *disclosure] if disclosure else []


def _list_checks(gate: pd.DataFrame, tier: str) -> list[str]:
    """The table of the checks, and who overruled them."""
    lines = [
        "",
        "## Release check",
        "",
        f"Passed: in tier {tier}. Open: whether the check would pass for an open release.",
        "",
        "| check | value | limit | by chance | passed | open |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    checks = gate[gate["check"] != OVERRIDE]
    for row, passed in zip(select_rows(checks), outcomes(checks), strict=True):
        value, chance = ("" if pd.isna(x) else f"{x:.3g}" for x in (row.value, row.chance))
        open_ = passed and ("yes" if row.open else "no")
        lines.append(f"| {row.check} | {value or 'not measured'} | {row.limit:.3g} | {chance} | {passed} | {open_} |")
    if overridden(gate):
        lines += ["", f"**The release check was overruled:** {overridden(gate)}"]
    return lines


def _say_what_it_is_not(training_patients: int, tier: str, balanced: bool) -> list[str]:
    dossier, explorer = (stamp_name(name, tier, balanced) for name in ("dossier.html", "explorer.html"))
    table = stamp_name("table_one.tsv", tier, balanced).removesuffix(".tsv")
    return [
        "",
        "## What it is not",
        "",
        "- Not a proof of anonymity: the release check shows that the attacks that were run found no more than the "
        "limits allow.",
        "- Not a source of new findings: a finding made here must be confirmed on real patients.",
        "- Intervals from synthetic patients do not shrink with their number: the information is that of "
        f"{training_patients} real patients.",
        "",
        f"`{dossier}` is the page to read, `{explorer}` the one on which patients are filtered, and `{table}` "
        "(TSV, HTML, DOCX) the table of real against synthetic patients.",
        "",
        "The settings are in `config.yaml`, the software in `environment.txt` and `code_version.txt`, checksums in "
        "`manifest.tsv`, every metric in `metrics.tsv` with its definition in `metrics_dictionary.tsv`.",
        "",
    ]


def _sizes(curve: pd.DataFrame | None) -> list[str]:
    """The table of what each number of patients reveals and is good for."""
    if curve is None or "told" not in curve:
        return []
    lines = [
        "",
        "## How many patients",
        "",
        "AUC of the worst attack in expectation, what the release reveals as a share of what a printed table "
        "reveals (told), C-index in unseen patients of a Cox model learned on the release, and mean Kolmogorov-Smirnov "
        "distance of numbers from these.",
        "",
        "| patients | AUC | outlying fifth | told | C-index | distance | released |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in select_rows(curve):
        numbers = (row.disclosure_auc, row.disclosure_outlying_auc, row.told, row.c_index, row.margin_distance)
        cells = " | ".join("" if pd.isna(number) else f"{number:.3f}" for number in numbers)
        lines.append(f"| {row.patients} | {cells} | {'yes' if row.chosen else ''} |")
    return lines


def describe_further(cohort: Cohort, tier: str = "open", balanced: bool = False) -> list[str]:
    """What is said of the further modalities that the cohort has."""
    having = [name for name in FURTHER if name in cohort.parts and offers(name, "export")]
    return [line for name in having for line in load(name, "export").describe(cohort, tier, balanced)]


def _guarantee(models: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The section on differential privacy, where any of the models states something about it."""
    statements = {modality: model.get("privacy") for modality, model in models.items()}
    if not any(statements.values()):
        return []
    lines = ["", "## Differential privacy", ""]
    found = compose(list(statements.values()))
    if found is None:
        without = [modality for modality, told in statements.items() if told is None or told["rho"] is None]
        return [*lines, f"- None: the model of {', '.join(without)} gives no guarantee, so the release has none."]
    public = dict.fromkeys(item for told in statements.values() if told for item in told["public"])
    return [
        *lines,
        f"- Epsilon {found['epsilon']:.4g} at delta {found['delta']:g} for {UNIT}; all modalities together "
        f"(zCDP, rho {found['rho']:.4g}).",
        f"- With the number of training patients known, for one patient exchanged for another: epsilon "
        f"{found['exchange']:.4g} at the same delta.",
        "- It holds for the synthetic patients (`cohort/`, `tables/`, `cbioportal/`). Metrics, figures, scorecard, "
        "gate and dossier compare them with real patients without noise: they are aggregates outside this guarantee.",
        "- It holds for this release; every other release from the same patients adds to it.",
        "- The noise comes from a secret that is not published; who holds the secret can take it away again.",
        f"- Taken as public: {'; '.join(public)}.",
    ]
