"""Fusions and copy-number events of a cBioPortal study as alterations: present, absent, or unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.modalities.genomic.ingest.mutations import (
    NOT_KEPT,
    find_patients,
    make_account,
    note_left_out,
    note_other_symbols,
)
from haemosynth.reading.genes import is_known, list_approved_names, no_symbol
from haemosynth.reading.source import FileRead, Table, suggestion

SITES = ("Site1_Hugo_Symbol", "Site2_Hugo_Symbol")
# Events of a gene and the copy-number states that they mean. States are those of cBioPortal's discrete data: -2 deep
# deletion (so is -1.5), -1 loss, 1 gain, 2 amplification.
EVENTS = {
    "deep": {"del": (-2.0, -1.5), "amp": (2.0, 9.0)},
    "all": {"loss": (-2.0, -1.0), "gain": (1.0, 9.0)},
    "none": {},
}
STATES = ("-2", "-1.5", "-1", "0", "1", "2")
LISTED = 10  # carriers that an event needs where the panel lists its genes


@dataclass(frozen=True)
class Profiled:
    """Who was examined for structural variants: `patients`, and for some of them which genes.

    listed: whether a file of the study says so; if none does, whoever has a variant counts as examined, too.
    """

    patients: frozenset[str]
    panels: Mapping[str, frozenset[str]]
    listed: bool


@dataclass(frozen=True)
class Events:
    """Events of a file as a matrix, (patients, events) of 0, 1 and NaN, with notes and the account of the file."""

    matrix: pd.DataFrame
    notes: list[str]
    reading: FileRead


def read_fusions(
    table: Table, patient_of: Mapping[str, str], kept: frozenset[str], patients: pd.Index, profiled: Profiled
) -> Events:
    """Fusions of a table of structural variants: KMT2A::MLLT3, in the commoner order of the two sites.

    A variant within one gene is KMT2A::intragenic, one whose other site is no gene KMT2A::unknown. Left out, with the
    reason: germline variants, rows of samples that are not kept, rows without a gene, second rows of a fusion.

    Raises:
        InputError: a column is missing, a row names an unknown sample, or one that was not profiled.
    """
    sample = _require(table, "Sample_Id")
    sites = [_require(table, name) for name in SITES]
    frame = table.frame
    rows = pd.DataFrame({"patient": find_patients(table, sample, patient_of), "sample": frame[sample]})
    symbols = frame[sites].map(lambda name: name if no_symbol(name) is None else None)
    names = list_approved_names(name for site in sites for name in symbols[site].dropna())
    for i, site in enumerate(sites):
        rows[i] = symbols[site].map(names, na_action="ignore")
    left: dict[str, int] = {}

    def without(flags: pd.Series, reason: str) -> pd.DataFrame:
        if flags.any():
            left[reason] = int(flags.sum())
        return rows[~flags]

    status = table.column("SV_Status")
    germline = frame[status].str.lower().eq("germline") if status else pd.Series(False, index=frame.index)
    rows = without(germline, "a germline variant")
    rows = without(~rows["sample"].isin(list(kept)), NOT_KEPT)
    rows = without(rows[0].isna() & rows[1].isna(), "no gene at either site")
    rows = rows.assign(event=_fusion_names(rows))
    rows = without(rows.duplicated(["patient", "event"]), "a fusion of the patient once more")
    strange = ~rows["patient"].isin(list(profiled.patients))
    if profiled.listed and strange.any():
        raise InputError(
            f"{table.row(int(strange.idxmax()))}, patient {rows.loc[strange, 'patient'].iloc[0]}: has a structural "
            f"variant, but no case list or gene panel says that its sample was looked at "
            f"({rows.loc[strange, 'patient'].nunique()} such patients); mend one of the two"
        )
    notes = note_other_symbols(table, names)
    matrix, looked_at = {}, profiled.patients | set(rows["patient"])
    for event in sorted(rows["event"].unique()):
        carrier = patients.isin(list(rows.loc[rows["event"] == event, "patient"]))
        genes = frozenset(event.split("::"))
        known = [p in looked_at and (p not in profiled.panels or bool(genes & profiled.panels[p])) for p in patients]
        matrix[event] = np.where(carrier, 1.0, np.where(known, 0.0, np.nan))
    return Events(
        pd.DataFrame(matrix, index=patients),
        [*notes, *note_left_out(table, left)],
        make_account(table, len(rows), left),
    )


def _fusion_names(rows: pd.DataFrame) -> pd.Series:
    first, second = rows[0].fillna(rows[1]), rows[1].where(rows[0].notna())
    pairs = pd.Series(list(zip(first, second, strict=True)), index=rows.index, dtype="object")
    counts = pairs.value_counts()

    def name(pair: tuple[str, Any]) -> str:
        one, other = pair
        if pd.isna(other):
            return f"{one}::unknown"
        if one == other:
            return f"{one}::intragenic"
        turned = (other, one)
        swap = (counts.get(turned, 0), pair) > (counts[pair], turned)
        return f"{other}::{one}" if swap else f"{one}::{other}"

    return pairs.map(name)


def read_copy_number(
    table: Table, patient_of: Mapping[str, str], kept: frozenset[str], patients: pd.Index, states: str
) -> Events:
    """Copy-number events of a table of discrete states, genes by samples or one row for each gene and sample.

    Args:
        states: "deep" makes del(TP53) and amp(MYC) of deep deletions and amplifications; "all" makes loss(TP53) and
            gain(MYC) of any loss and gain.

    Raises:
        InputError: a state that is none of -2 to 2, or an unknown sample.
    """
    gene = _require(table, "Hugo_Symbol")
    left: dict[str, int] = {}
    frame = table.frame
    reasons = frame[gene].map({name: no_symbol(name) for name in frame[gene].unique()})
    names = list_approved_names(frame.loc[reasons.isna(), gene].str.split("|").str[0])
    for reason, count in reasons.value_counts().sort_index().items():
        left[str(reason)] = int(count)
    notes = note_other_symbols(table, names)
    frame = frame[reasons.isna()].assign(gene=lambda t: t[gene].str.split("|").str[0].map(names))
    long = table.column("Sample_Id"), table.column("Value")
    if long[0] and long[1]:
        part = Table(frame, table.path, table.rows, table.reading)
        _check_states(part, frame[[long[1]]])
        find_patients(table, long[0], patient_of)
        frame = frame[frame[long[0]].isin(list(kept))]
        if reasons.isna().sum() - len(frame):
            left[NOT_KEPT] = int(reasons.isna().sum() - len(frame))
        second = frame.duplicated(["gene", long[0]])
        states_of = frame[~second].pivot_table(index="gene", columns=long[0], values=long[1], aggfunc="first")
    else:
        samples = [name for name in table.frame if name not in (gene, "Entrez_Gene_Id", "Cytoband")]
        strange = [name for name in samples if name not in patient_of]
        if strange:
            raise InputError(
                f"{table.path}: column {strange[0]} is no sample of the clinical table ({len(strange)} such); add the "
                f"sample there or remove the column"
            )
        part = Table(frame, table.path, table.rows, table.reading)
        _check_states(part, frame[samples])
        second = frame.duplicated("gene")
        states_of = frame[~second].set_index("gene")[[name for name in samples if name in kept]]
    if second.any():
        left["a gene once more"] = int(second.sum())
    values = states_of.rename(columns=patient_of).apply(pd.to_numeric).T.reindex(patients)
    matrix, shallow = {}, 0
    for name in values.columns:
        state = values[name]
        for event, (low, high) in EVENTS[states].items():
            matrix[f"{event}({name})"] = state.between(low, high).astype(float).where(state.notna())
        shallow += int(state.isin([-1.0, 1.0]).sum())
    if states == "deep" and shallow:
        notes.append(
            f"{table.path.name}: {shallow} losses and gains of a single copy are no events; `copy_number: all` makes "
            f"events of them"
        )
    events = pd.DataFrame(matrix, index=patients)
    notes += note_left_out(table, left)
    return Events(events, notes, make_account(table, len(frame) - int(second.sum()), left))


def _check_states(table: Table, states: pd.DataFrame) -> None:
    for name in states:
        text = states[name].map(lambda value: value.removesuffix(".0"), na_action="ignore")
        wrong = text.notna() & ~text.isin(STATES)
        if wrong.any():
            at = int(wrong.idxmax())
            raise InputError(
                f"{table.row(at)}: column {name}: {states[name][at]!r} is no copy-number state; expected one of "
                f"{', '.join(STATES)} or NA (log ratios are not read; `copy_number: none` leaves the file out)"
            )


def _require(table: Table, name: str) -> str:
    found = table.column(name)
    if found is None:
        near = suggestion(name, [str(column) for column in table.frame.columns])
        raise InputError(f"{table.path}: column {name} is missing; {near}")
    return found


def select_recurrent(events: Events, least: int, listed: frozenset[str]) -> tuple[pd.DataFrame, list[str]]:
    """The events with at least `least` carriers, or that the panel lists, with notes.

    Of events with the same carriers one is kept: one that the panel lists, else one of a gene of
    `resources/genes/symbols.tsv`, else the first.
    """
    matrix, file = events.matrix, events.reading.file
    counts = {str(event): int(count) for event, count in matrix.sum().items()}
    taken = [event for event, count in counts.items() if count >= least or event in listed]
    groups: dict[bytes, list[str]] = {}
    for event in sorted(taken, key=lambda event: (event not in listed, not _of_known_gene(event), taken.index(event))):
        groups.setdefault(matrix[event].fillna(9.0).astype("int8").to_numpy().tobytes(), []).append(event)
    same = {first: others for first, *others in groups.values()}
    kept = [event for event in taken if event in same]
    notes = [
        f"{file}: {event} stands for {_some(same[event], 5)} too, of the same patients" for event in kept if same[event]
    ]
    rare = sum(0 < count < least for event, count in counts.items() if event not in taken)
    notes.append(
        f"{file}: alterations are its events with at least {least} carriers: "
        f"{_some([f'{event} ({counts[event]})' for event in kept], 20) or 'none'}; {rare} rarer left out"
    )
    return matrix[kept], notes


def _some(names: list[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} others" if len(names) > most else "")


def _of_known_gene(event: str) -> bool:
    return any(is_known(part) for part in event.replace(")", "").replace("(", "::").split("::"))
