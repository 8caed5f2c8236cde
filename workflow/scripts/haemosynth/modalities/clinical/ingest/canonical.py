"""The canonical cohort from a source's raw tables: what every format shares."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import MUTATION_COLUMNS, Cohort, set_types
from haemosynth.core.derive import derive, find_parents
from haemosynth.core.errors import InputError, Mistakes
from haemosynth.core.schema import Column, Schema
from haemosynth.modalities.clinical.ingest import PANEL, find_matching, survival
from haemosynth.modalities.clinical.ingest.infer import (
    find_analyte,
    find_events,
    infer,
    list_remarks,
    order_levels,
    without,
)
from haemosynth.modalities.genomic.ingest import mutations
from haemosynth.reading.numbers import Plain, advice, advice_alterations, advice_exclude, find_marks, numbers, plain
from haemosynth.reading.resolution import observe
from haemosynth.reading.source import Raw, suggestion

NO_MUTATIONS = pd.DataFrame(
    {name: pd.Series(dtype="float64" if name in MUTATION_COLUMNS[5:] else "object") for name in MUTATION_COLUMNS}
)


@dataclass(frozen=True)
class Entry:
    """A cohort's entry of the study with every key filled in."""

    where: str
    endpoints: list[str]
    milestones: Mapping[str, str]
    columns: Mapping[str, Mapping[str, Any]]
    exclude: Mapping[str, str]
    alterations: list[str]
    variants: Mapping[str, Any]
    panel: Any
    sequenced: str | None
    stratify: str | None
    winsorise: Mapping[str, Any]
    repair: bool
    genomic: bool | None
    path: str
    missing: list[Any]
    decimal: str | None
    detection: str
    further: bool
    derived: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def _entry(name: str, source: Mapping[str, Any], genomic: bool | None) -> Entry:
    endpoint, exclude = source["endpoint"], source.get("exclude") or {}
    columns = source.get("columns") or {}
    return Entry(
        where=f"cohorts.{name}",
        endpoints=[str(one) for one in endpoint] if isinstance(endpoint, list) else [str(endpoint)],
        milestones=source.get("milestones") or {},
        columns=columns,
        exclude=dict(exclude) if isinstance(exclude, Mapping) else dict.fromkeys(exclude, "excluded by the study"),
        alterations=source.get("alterations") or [],
        variants=source.get("variants") or {},
        panel=source.get("panel") or PANEL,
        sequenced=source.get("sequenced"),
        stratify=source.get("stratify"),
        winsorise=source.get("winsorise") or {},
        repair=bool(source.get("repair", False)),
        genomic=genomic,
        path=str(source["path"]),
        missing=source.get("missing") or [],
        decimal=source.get("decimal"),
        detection=source.get("detection") or "limit",
        further=not isinstance(endpoint, list),
        derived={column: declared for column, declared in columns.items() if "derived" in declared},
    )


def assemble(name: str, source: Mapping[str, Any], raw: Raw, genomic: bool | None) -> Cohort:
    """The canonical cohort.

    Args:
        genomic: whether the cohort has the genomic modality; None gives it where there are mutations or alterations.

    Raises:
        InputError: declarations and tables do not fit, or a file could not be read; it holds every mistake there is.
    """
    entry = _entry(name, source, genomic)
    mistakes = Mistakes()
    mistakes.add(raw.mistakes)
    names = [*entry.endpoints, *entry.milestones]
    for endpoint in dict.fromkeys(names):
        if names.count(endpoint) > 1:
            mistakes.add([f"{entry.where}: endpoint {endpoint} is named twice"])
    excluded, excluded_events = _find_excluded(raw, entry, mistakes)
    raw, written, notes = _write_plainly(raw, entry, excluded)
    notes += _odd_identifiers(raw.clinical.index)
    told = survival.find_sources(raw, entry.endpoints, entry.milestones)
    endpoints, survived, used, why_not = _outcome(raw, entry, written, excluded, told, notes, mistakes)
    for column in excluded.keys() & used.keys():
        mistakes.add([f"{entry.where}.exclude: {column} {used[column]}; take it out of the endpoints first"])
    _check_names(raw, entry, used, mistakes)
    named = [c for c in raw.clinical.columns if str(c) == entry.sequenced or str(c).upper() == "SEQUENCED"]
    sequenced_column = next((c for c in named if str(c) == entry.sequenced), next(iter(named), None))
    if sequenced_column:
        excluded[sequenced_column] = "says who was sequenced; kept with the alterations"
    excluded |= {column: why for column, why in raw.hidden.items() if column not in excluded}
    with_genomic = entry.genomic is not False
    moved = _move_events(raw, entry, excluded, used, mistakes) if with_genomic else {}
    excluded |= {
        column: why
        for column, why in {
            **survival.find_restated(raw, used, survived),
            **survival.find_unlisted(raw, used),
            **why_not,
        }.items()
        if column not in excluded and column not in entry.columns and column not in moved
    }
    skipped = used.keys() | moved.keys() | entry.derived.keys()
    columns, values, faulty = _infer_columns(raw, entry, skipped, written, excluded, notes, mistakes)
    notes += _propose(raw, entry, list(columns)) if with_genomic else []
    if not columns and not faulty:
        mistakes.add([f"{entry.where}: no clinical column other than the endpoints is left: {_reasons(excluded)}"])
    derived = {column: Column("categorical", derived=str(d["derived"])) for column, d in entry.derived.items()}
    for column in survived.columns:
        kind = str(column).rsplit("_", 1)[1]
        bare = Column(kind, group="outcome", unit="months" if kind == "time" else None)
        columns[column], values[column] = observe(bare, survived[column]), survived[column]

    schema = Schema(
        cohort=name,
        columns=columns,
        endpoints=tuple(endpoints),
        excluded={column: excluded[column] for column in sorted(excluded)},
        notes=(*raw.notes, *notes),
        reading=raw.readings,
    )
    clinical = set_types(pd.DataFrame(values, index=raw.clinical.index), schema)
    cohort = Cohort(schema, clinical)
    if with_genomic and not raw.mistakes:
        with mistakes.keep():
            cohort = _with_alterations(cohort, raw, entry, moved, sequenced_column, excluded_events)
    if not mistakes.lines:
        cohort = _with_derived(cohort, derived, raw, entry)
    if not raw.mistakes:
        _check_uses(cohort, entry, faulty | set(entry.derived if mistakes.lines else ()), mistakes)
    mistakes.tell()
    return cohort


def _infer_columns(
    raw: Raw,
    entry: Entry,
    skipped: Collection[str],
    written: Mapping[str, Plain],
    excluded: dict[str, str],
    notes: list[str],
    mistakes: Mistakes,
) -> tuple[dict[str, Column], dict[str, pd.Series], set[str]]:
    """Columns of the schema, their values, and names of columns that hold a mistake; adds to `excluded` and `notes`."""
    columns: dict[str, Column] = {}
    values: dict[str, pd.Series] = {}
    faulty = set[str]()
    for column in map(str, raw.clinical.columns):
        if column in excluded or column in skipped:
            continue
        faulty.add(column)
        with mistakes.keep():
            found = infer(
                column, raw, entry.columns.get(column, {}), f"{entry.where}.columns.{column}", written.get(column)
            )
            faulty.discard(column)
            if isinstance(found, str):
                excluded[column] = found
            else:
                columns[column], values[column] = found
                notes += _respelt(column, raw, values[column])
                notes += written[column].notes if column in written else ()
                notes += list_remarks(column, *found, written.get(column), len(raw.clinical))
    return columns, values, faulty


def _outcome(
    raw: Raw,
    entry: Entry,
    written: Mapping[str, Plain],
    excluded: Mapping[str, str],
    told: list[str],
    notes: list[str],
    mistakes: Mistakes,
) -> tuple[list[str], pd.DataFrame, dict[str, str], dict[str, str]]:
    """The endpoints, their times and events, the columns that hold these, and why others cannot be taken.

    Without endpoints where they hold a mistake; the columns that the study names (`told`) then count as theirs.
    """
    nothing = pd.DataFrame(index=raw.clinical.index)
    meant = dict.fromkeys(told, "belongs to an endpoint")
    try:
        _check_times(raw, written, told)
        endpoints, why_not = (
            survival.find_further(
                raw, entry.endpoints, entry.milestones, entry.columns, excluded, entry.repair, entry.where
            )
            if entry.further
            else (entry.endpoints, {})
        )
        survived, used, more = survival.read(raw, endpoints, entry.milestones, entry.columns, entry.repair, entry.where)
    except InputError as error:
        mistakes.add(error.lines)
        return [], nothing, meant, {}
    notes += _of_endpoints(entry.endpoints, endpoints, used, written) + more
    return [*endpoints, *entry.milestones], survived, used, why_not


def _write_plainly(raw: Raw, entry: Entry, excluded: Mapping[str, str]) -> tuple[Raw, dict[str, Plain], list[str]]:
    """The clinical table without words for missing and with its numbers written plainly, and what its cells said."""
    notes: list[str] = []
    columns = {}
    for name in map(str, raw.clinical.columns):
        text = raw.clinical[name]
        cleared = without(text, [*entry.missing, *entry.columns.get(name, {}).get("missing", ())])
        lone = cleared == "-"
        if lone.any() and not (cleared == "+").any():  # beside a plus it is a negative finding
            notes.append(f"{name}: '-' in {int(lone.sum())} patients taken as not recorded")
            cleared = cleared.mask(lone, None)
        columns[name] = cleared
    signs = {
        file: find_marks(columns[name] for name in columns if raw.files.get(name) == file)
        for file in set(raw.files.values())
    }
    written: dict[str, Plain] = {}
    for name, text in columns.items():
        declared = entry.columns.get(name, {})
        if name in excluded or "categories" in declared or declared.get("kind") in ("categorical", "ordinal", "binary"):
            continue
        told = {"decimal": entry.decimal, **declared} if entry.decimal else declared
        made = plain(name, text, signs[raw.files[name]], told, raw.column(name), find_analyte(name))
        if made.limits is not None and declared.get("detection", entry.detection) == "half":
            made = _halve(name, made)
        written[name] = made
        columns[name] = made.text
    return replace(raw, clinical=pd.DataFrame(columns, index=raw.clinical.index, dtype="object")), written, notes


def _odd_identifiers(patients: pd.Index) -> list[str]:
    """A note where one or two identifiers are written unlike all others, as by mistake."""
    shapes = pd.Series([re.sub(r"[a-z]+", "a", re.sub(r"[A-Z]+", "A", re.sub(r"\d+", "9", p))) for p in patients])
    counts = shapes.map(shapes.value_counts())
    odd = [str(patient) for patient, count in zip(patients, counts, strict=True) if count <= 2]
    if not odd or len(odd) > 2 or counts.max() < 0.95 * len(patients):
        return []
    return [
        f"patients: {', '.join(odd)} written unlike all other identifiers, such as {patients[int(counts.argmax())]}"
    ]


def _check_times(raw: Raw, written: Mapping[str, Plain], names: list[str]) -> None:
    """Check that the times of the endpoints can be read, and that none is a limit (`> 60`)."""
    mistakes = Mistakes()
    for name in names:
        made = written.get(name)
        if made is not None and made.doubt:
            mistakes.add([made.doubt])
        if made is not None and made.limits is not None:
            patient = str(made.limits.index[int(made.limits.notna().argmax())])
            mistakes.add([
                f"{raw.value(name, patient)}: a time with a sign such as < or >; write the time of the last contact, "
                f"and 0 as its event"
            ])  # fmt: skip
    mistakes.tell()


def _halve(name: str, made: Plain) -> Plain:
    """Values below a limit of detection as half of it (Hornung and Reed, Appl Occup Environ Hyg 1990;5:46)."""
    assert made.limits is not None
    low = made.limits == "low"
    half = made.text[low].map(lambda number: f"{float(number) / 2:.12g}")
    note = f"{name}: {int(low.sum())} values below a limit of detection are set to half of it, as the study asks"
    limits = made.limits.mask(low, None)
    return replace(
        made,
        text=made.text.mask(low, half),
        limits=limits if limits.notna().any() else None,
        notes=(*made.notes, note) if low.any() else made.notes,
    )


def _of_endpoints(
    listed: list[str], endpoints: list[str], used: Mapping[str, str], written: Mapping[str, Plain]
) -> list[str]:
    """Which endpoints were taken although nobody named them, and how their numbers were written."""
    notes = [note for name in used if name in written for note in written[name].notes]
    more = [endpoint for endpoint in endpoints if endpoint not in listed]
    if more:
        notes.append(
            f"endpoints: {', '.join(more)} taken beside {listed[0]}; for {listed[0]} alone: `endpoint: [{listed[0]}]`"
        )
    return notes


def _propose(raw: Raw, entry: Entry, kept: list[str]) -> list[str]:
    """Yes/no columns of genes and of cytogenetic events, with the line that makes them alterations."""
    called = set() if raw.mutations is None else set(raw.mutations["gene"])
    matrix = set() if raw.matrix is None else set(map(str, raw.matrix.columns))
    found = find_events(raw, kept, called)
    twice = [name for name in found if name in called | matrix | set(entry.variants)]
    new = [name for name in found if name not in twice]
    notes = []
    if new:
        names = [*entry.alterations, *new]
        notes.append(
            f"{', '.join(new)}: yes or no of a gene or of a cytogenetic event, kept among the clinical columns; to "
            f"model them as alterations: `{advice_alterations(*names)}`"
        )
    if twice:
        notes.append(
            f"{', '.join(twice)}: are among the alterations too and are kept among the clinical columns; to have "
            f"them once: `{advice_exclude(*[*entry.exclude, *twice])}`"
        )
    return notes


def _respelt(name: str, raw: Raw, values: pd.Series) -> list[str]:
    """A note where levels that differ in case or spaces alone were taken as one."""
    text = raw.clinical[name]
    both = text.notna() & values.notna() & (text != values)
    other = text[both & numbers(text).isna()]
    if other.empty:
        return []
    return [
        f"{name}: {len(other)} values in another spelling ({', '.join(sorted(other.unique())[:5])}) taken as one level"
    ]


def _reasons(excluded: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {why}" for name, why in list(excluded.items())[:4])


def _event_names(raw: Raw, entry: Entry) -> list[str]:
    genes = set() if raw.mutations is None else set(raw.mutations["gene"])
    matrix = [] if raw.matrix is None else [str(name) for name in raw.matrix.columns]
    return sorted(genes | set(entry.variants)) + [name for name in matrix if name not in genes]


def _find_excluded(raw: Raw, entry: Entry, mistakes: Mistakes) -> tuple[dict[str, str], dict[str, str]]:
    """The clinical columns and the events that the study excludes, each with its reason.

    A name or pattern means clinical columns; genes and other events only where no column is like it, so that a
    column that repeats an event can be excluded.
    """
    names, events = [str(name) for name in raw.clinical.columns], _event_names(raw, entry)
    columns: dict[str, str] = {}
    others: dict[str, str] = {}
    for pattern, reason in entry.exclude.items():
        here = find_matching([str(pattern)], names)
        there = {} if here else find_matching([str(pattern)], events)
        if not here and not there and not raw.mistakes:  # it may be one of a file that cannot be read
            near = suggestion(str(pattern), names + events)
            mistakes.add([f"{entry.where}.exclude: there is no column {pattern}; {near}"])
        columns |= dict.fromkeys(here, str(reason))
        others |= dict.fromkeys(there, str(reason))
    return columns, others


def _check_names(raw: Raw, entry: Entry, used: Mapping[str, str], mistakes: Mistakes) -> None:
    """Every column that the study names must be there."""
    names = [str(name) for name in raw.clinical.columns]
    for name, declared in entry.columns.items():
        if name not in names and "derived" not in declared and not raw.mistakes:
            mistakes.add([f"{entry.where}.columns: there is no column {name}; {suggestion(name, names)}"])
        if name in used and set(declared) - {"convert", "decimal", "missing"}:
            only = "only `convert`, `decimal` and `missing` apply to it"
            mistakes.add([f"{entry.where}.columns.{name}: it {used[name]}; {only}"])
        if name in entry.exclude:
            mistakes.add([f"{entry.where}: column {name} is under both `columns` and `exclude`; choose one"])
        if "derived" in declared:
            with mistakes.keep():
                find_parents(str(declared["derived"]), f"{entry.where}.columns.{name}")
    if entry.sequenced is not None and entry.sequenced not in names and not raw.mistakes:
        near = suggestion(entry.sequenced, names)
        mistakes.add([f"{entry.where}.sequenced: there is no column {entry.sequenced}; {near}"])


def _move_events(
    raw: Raw, entry: Entry, excluded: Mapping[str, str], used: Mapping[str, str], mistakes: Mistakes
) -> dict[str, pd.Series]:
    """The clinical columns that are cytogenetic events, as 0/1/NaN."""
    names = [str(name) for name in raw.clinical.columns if name not in excluded and name not in used]
    matrix = [] if raw.matrix is None else [str(name) for name in raw.matrix.columns]
    for pattern in entry.alterations:
        if not find_matching([pattern], [*names, *matrix]) and not raw.mistakes:
            near = suggestion(pattern, names + matrix)
            mistakes.add([f"{entry.where}.alterations: no column is like {pattern}; {near}"])
    moved = {}
    for name in find_matching(entry.alterations, names):
        text = raw.clinical[name]
        moved[name] = mutations.read_yes_no(text)
        wrong = text.notna() & moved[name].isna()
        if wrong.any():
            patient = str(text.index[int(wrong.argmax())])
            mistakes.add([
                f"{raw.value(name, patient)}: {text[patient]!r} is neither yes nor no; an alteration is present, "
                f"absent or missing; where it means not recorded: "
                f"`{advice(name, missing=sorted(text[wrong].unique())[:20])}`"
            ])  # fmt: skip
        elif moved[name].notna().sum() == 0:
            mistakes.add([f"{raw.column(name)}: named under `alterations`, but no patient has a value"])
    return moved


def _find_sequenced(raw: Raw, column: str | None, notes: list[str]) -> pd.Series:
    """Who was sequenced: by the column, by the source, else everyone where there are mutations."""
    patients = raw.clinical.index
    if column is not None:
        text = raw.clinical[column]
        flags = mutations.read_yes_no(text)
        if (text.notna() & flags.isna()).any():
            patient = str(text.index[int((text.notna() & flags.isna()).argmax())])
            raise InputError(f"{raw.value(column, patient)}: {text[patient]!r} is neither yes nor no")
        if flags.isna().any():
            notes.append(f"{column}: missing in {int(flags.isna().sum())} patients, taken as not sequenced")
        return flags.eq(1)
    if raw.sequenced is not None:
        return raw.sequenced
    if raw.mutations is None:
        return pd.Series(False, index=patients)
    notes.append("nothing says who was sequenced; all patients are taken as sequenced (name a column: `sequenced:`)")
    return pd.Series(True, index=patients)


def _with_alterations(
    cohort: Cohort,
    raw: Raw,
    entry: Entry,
    moved: Mapping[str, pd.Series],
    sequenced_column: str | None,
    excluded: Mapping[str, str],
) -> Cohort:
    """The cohort with its mutations and the matrix of alterations; as it is where there are none."""
    if raw.mutations is None and raw.matrix is None and not moved:
        if entry.genomic:
            raise InputError(
                f"{entry.where}: no mutations in {entry.path}; expected data_mutations.txt (cbioportal), or "
                f"mutations.* or alterations.* (tables); without them set `modalities: [clinical]`"
            )
        return cohort
    patients = cohort.patients
    notes: list[str] = []
    sequenced = _find_sequenced(raw, sequenced_column, notes)
    table = NO_MUTATIONS if raw.mutations is None else raw.mutations
    if entry.variants:
        table, more = mutations.name_variants(table, entry.variants, entry.where)
        notes += more
    table = table[~table["gene"].isin(list(excluded))]
    gene_of = {name: str(rule["gene"]) for name, rule in entry.variants.items()}
    told = raw.column(sequenced_column) if sequenced_column else ""
    genes, more = mutations.find_carriers(table, patients, sequenced, raw.panels, gene_of, told)
    notes += more
    events = dict(moved)
    if raw.matrix is not None:
        given = raw.matrix.drop(columns=[name for name in raw.matrix.columns if name in excluded])
        cytogenetic = [
            str(name)
            for name in given.columns
            if mutations.is_cytogenetic(str(name)) or find_matching(entry.alterations, [str(name)])
        ]
        events |= {name: given[name] for name in cytogenetic}
        genes = _unite(genes, given.drop(columns=cytogenetic), sequenced, notes)
    for name in events:
        if name in genes:
            raise InputError(
                f"{entry.where}: {name} is an alteration both of the clinical table and of the mutations; exclude or "
                f"rename one of them"
            )
    panel_notes: list[str] = []
    panel = [name for name in entry.panel if name not in events] if isinstance(entry.panel, list) else entry.panel
    if panel == []:  # events alone are listed
        genes = genes[[]]
    elif genes.shape[1] or isinstance(panel, list):
        genes, panel_notes = mutations.select_panel(genes, panel, entry.where)
    if genes.shape[1] == 0 and not events:
        raise InputError(f"{entry.where}.panel: no gene is left; lower min_carriers or list the genes")
    left = ~table["gene"].isin(list(genes.columns))
    if left.any():
        panel_notes.append(f"mutations: {int(left.sum())} rows of genes outside the panel are left out")
    table = table[~left]
    order = np.argsort(patients.get_indexer(pd.Index(table["patient_id"])), kind="stable")
    alterations = pd.concat([genes, pd.DataFrame(events, index=patients)], axis=1).astype("float64")
    kinds = dict.fromkeys(map(str, genes.columns), "gene") | dict.fromkeys(events, "cytogenetic")
    schema = replace(
        cohort.schema,
        alterations=kinds,
        excluded=dict(sorted({**excluded, **cohort.schema.excluded}.items())),
        notes=(*cohort.schema.notes, *notes, *panel_notes),
    )
    return Cohort.of(
        schema, cohort.clinical, alterations, sequenced.astype(bool), table.iloc[order].reset_index(drop=True)
    )


def _unite(genes: pd.DataFrame, given: pd.DataFrame, sequenced: pd.Series, notes: list[str]) -> pd.DataFrame:
    """Genes of the MAF and of the matrix in one matrix; the matrix decides, and must not contradict the MAF."""
    unknown = given[~sequenced]
    if (unknown == 1).any(axis=None):
        patient = unknown.index[int((unknown == 1).any(axis=1).argmax())]
        raise InputError(
            f"patient {patient} has mutations ({(unknown.loc[patient] == 1).idxmax()}) but is listed as not sequenced; "
            f"mend one of the two"
        )
    if unknown.notna().any(axis=None):
        notes.append(
            f"alterations: genes of {int(unknown.notna().any(axis=1).sum())} patients not sequenced are unknown"
        )
    given = given.where(sequenced, np.nan, axis=0)
    for name in given.columns:
        strange = genes[name].eq(1) & ~given[name].eq(1) if name in genes else pd.Series(False, index=given.index)
        if strange.any():
            raise InputError(
                f"patient {strange.index[int(strange.argmax())]} has a mutation of {name} that the matrix of "
                f"alterations denies; mend one of the two"
            )
    return pd.concat([given, genes.drop(columns=[name for name in genes if name in given])], axis=1)


def _with_derived(cohort: Cohort, derived: Mapping[str, Column], raw: Raw, entry: Entry) -> Cohort:
    """The cohort with its derived columns computed, before the endpoints; recorded values are only compared."""
    if not derived:
        return cohort
    names = [name for name in cohort.schema.columns if name not in cohort.schema.survival]
    columns = {name: cohort.schema.columns[name] for name in names} | dict(derived)
    columns |= {name: cohort.schema.columns[name] for name in cohort.schema.survival}
    empty = cohort.clinical.assign(**dict.fromkeys(derived, None))
    made = derive(
        Cohort.of(
            cohort.schema.with_columns(columns),
            set_types(empty, cohort.schema.with_columns(columns)),
            cohort.alterations,
            cohort.sequenced,
            cohort.mutations,
        )
    )
    notes = []
    for name in derived:
        levels = set(made.clinical[name].dropna().astype(str))
        declared = entry.columns[name]
        columns[name] = Column(
            **{"kind": _infer_derived_kind(name, levels), "categories": _order_derived(name, levels)}
            | {key: declared[key] for key in ("kind", "group", "unit", "derived") if key in declared}
            | ({"categories": tuple(map(str, declared["categories"]))} if "categories" in declared else {}),
            declared=tuple(key for key in ("kind", "group", "unit", "categories", "derived") if key in declared),
        )
        if name in raw.clinical:
            recorded, computed = raw.clinical[name], made.clinical[name].astype("object")
            differ = int((recorded.notna() & computed.notna() & (recorded != computed)).sum())
            notes.append(f"{name}: recomputed by {declared['derived']}; {differ} recorded values differ from it")
    schema = replace(cohort.schema, columns=columns, notes=(*cohort.schema.notes, *notes))
    return Cohort.of(schema, set_types(made.clinical, schema), cohort.alterations, cohort.sequenced, cohort.mutations)


def _order_derived(name: str, levels: set[str]) -> tuple[str, ...]:
    for whole in (("No", "Yes"), ("I", "II", "III")):
        if levels <= set(whole):
            return whole
    return order_levels(name, sorted(levels)) or tuple(sorted(levels))


def _infer_derived_kind(name: str, levels: set[str]) -> str:
    whole = _order_derived(name, levels)
    return "binary" if len(whole) == 2 else ("ordinal" if order_levels("stage", list(whole)) else "categorical")


def _check_uses(cohort: Cohort, entry: Entry, faulty: Collection[str], mistakes: Mistakes) -> None:
    """Columns that the split uses must have come through; nothing is said of those that are `faulty` by themselves."""
    schema = cohort.schema
    names = [*schema.columns, *schema.alterations]
    for name in [entry.stratify] if entry.stratify else []:
        if name not in names and name not in faulty:
            why = f"left out ({schema.excluded[name]})" if name in schema.excluded else "not there"
            mistakes.add([f"{entry.where}.stratify: column {name} is {why}; {suggestion(name, names)}"])
    numeric = schema.of_kind("continuous", "integer")
    for name in entry.winsorise:
        if name not in numeric and name not in faulty:
            mistakes.add([f"{entry.where}.winsorise: {name} is no column of numbers; {suggestion(name, numeric)}"])
