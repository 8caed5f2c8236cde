"""Mutations: from MAF rows to the canonical table, and from it to the matrix of alterations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.core.cohort import MUTATION_COLUMNS
from haemosynth.core.errors import InputError, Mistakes
from haemosynth.core.panel import read_min_carriers
from haemosynth.reading.genes import approve, is_known, list_approved_names, no_symbol, rename_genes
from haemosynth.reading.numbers import numbers
from haemosynth.reading.raw_tables import check_account
from haemosynth.reading.source import FileRead, Table, set_patients, suggestion

COLUMNS = {
    "gene": ("Hugo_Symbol", "gene", "gene_symbol"),
    "sample": ("Tumor_Sample_Barcode", "patient_id", "sample_id", "sample"),
    "chromosome": ("Chromosome", "chrom", "chr"),
    "position": ("Start_Position", "start", "pos"),
    "reference": ("Reference_Allele", "ref"),
    "allele": ("Tumor_Seq_Allele2", "alt"),
    "variant_class": ("Variant_Classification", "variant_class", "consequence"),
    "hgvsp": ("HGVSp_Short", "hgvsp", "protein_change", "Amino_Acid_Change"),
    "alt_count": ("t_alt_count", "alt_count"),
    "ref_count": ("t_ref_count", "ref_count"),
    "depth": ("t_depth", "depth"),
    "vaf": ("vaf", "t_vaf", "tumor_vaf", "allele_frequency"),
    "copy_number": ("copy_number", "total_copy_number"),
    "status": ("Mutation_Status",),
}
NOT_KEPT = "a sample that was not kept"
NOT_MUTATED = frozenset({"wildtype", "none", "loh"})  # of Mutation_Status, as the cBioPortal importer leaves them out
# Classes that change no protein, as the cBioPortal importer leaves them out, and their Sequence Ontology names.
SILENT = frozenset({
    "silent", "synonymous", "synonymous_variant", "intron", "intronic", "intron_variant", "3'utr", "5'utr",
    "3_prime_utr_variant", "5_prime_utr_variant", "3'flank", "5'flank", "upstream_gene_variant",
    "downstream_gene_variant", "igr", "intergenic", "intergenic_variant",
})  # fmt: skip
# Spellings of the MAF classes; a class not listed stays as it is written.
CLASSES = {
    "missense": "Missense_Mutation",
    "misssense": "Missense_Mutation",
    "missense_mutation": "Missense_Mutation",
    "missense_variant": "Missense_Mutation",
    "nonsense": "Nonsense_Mutation",
    "nonsense_mutation": "Nonsense_Mutation",
    "stop_gained": "Nonsense_Mutation",
    "frame_shift_ins": "Frame_Shift_Ins",
    "insertion_frameshift": "Frame_Shift_Ins",
    "frame_shift_del": "Frame_Shift_Del",
    "deletion_frameshift": "Frame_Shift_Del",
    "in_frame_ins": "In_Frame_Ins",
    "inframe_insertion": "In_Frame_Ins",
    "in_frame_del": "In_Frame_Del",
    "inframe_deletion": "In_Frame_Del",
    "splice_site": "Splice_Site",
    "essential_splice": "Splice_Site",
    "splice_acceptor_variant": "Splice_Site",
    "splice_donor_variant": "Splice_Site",
}
CYTOGENETIC = re.compile(
    r"(t|del|inv|dup|add|der|ins|iso|i|idic)\s*\(|[+-]\s*(\d|[xy]\b)|(cyto|trisomy|monosomy|gain|loss|amp|"
    r"hyperdiploid|hypodiploid|complex_?kar)|\S+::\S",
    re.IGNORECASE,
)


def is_cytogenetic(name: str) -> bool:
    """Whether an event's name is that of a cytogenetic event: t(4;14), del(17p), +8, trisomy 8, KMT2A::MLLT3."""
    return CYTOGENETIC.match(name.strip()) is not None


def read_maf(
    table: Table, patient_of: Mapping[str, str], kept: frozenset[str]
) -> tuple[pd.DataFrame, list[str], FileRead]:
    """Canonical mutations (MUTATION_COLUMNS) from MAF rows, in the order of the file.

    Left out, each with its reason: rows without a gene, rows of samples that are not `kept`, rows that say that nothing
    is mutated, classes that change no protein (5'Flank of TERT, its promoter, stays), and second calls of the same
    variant in a patient (the call of greatest depth stays; rows without position are never taken for the same variant).
    A gene has one name: other spellings and earlier symbols are reported in a note.

    Args:
        patient_of: sample (or patient) -> patient, of all samples of the clinical files.

    Raises:
        InputError: a column is missing, a row names an unknown patient, no row names a gene, or counts and VAF are
            impossible.
    """
    columns = {title: table.column(*names) for title, names in COLUMNS.items()}
    for title in ("gene", "sample"):
        if columns[title] is None:
            raise InputError(
                f"{table.path}: not a table of mutations: column {COLUMNS[title][0]} is missing; "
                f"{suggestion(COLUMNS[title][0], list(table.frame.columns))}"
            )
    rows = pd.DataFrame(
        {title: table.frame[name] if name else None for title, name in columns.items()}, index=table.frame.index
    ).astype("object")
    mistakes = Mistakes()
    rows["patient_id"] = rows["sample"]
    with mistakes.keep():
        rows["patient_id"] = find_patients(table, str(columns["sample"]), patient_of)
    left: dict[str, int] = {}
    notes: list[str] = []
    with mistakes.keep():
        rows, notes = _with_genes(table, rows, str(columns["gene"]), left)
    counts = {}
    for title in ("alt_count", "ref_count", "depth"):
        with mistakes.keep():
            counts[title] = _count(table, rows, columns, title)
    if len(counts) == 3:
        with mistakes.keep():
            rows = rows.assign(**counts, **_fraction(table, rows, columns, counts))
    mistakes.tell()
    rows["ref_count"] = rows["ref_count"].fillna(rows["depth"] - rows["alt_count"])
    rows["copy_number"] = numbers(rows["copy_number"])
    rows["hgvsp"] = rows["hgvsp"].mask(rows["hgvsp"].eq("MUTATED"), None)  # cBioPortal's word for a change not given
    rows = _thin(rows, kept, left)
    return rows, [*notes, *note_left_out(table, left)], make_account(table, len(rows), left)


def make_account(table: Table, read: int, left: Mapping[str, int]) -> FileRead:
    """The account of a file of which `read` records were taken and the others left out, by reason."""
    reading = replace(table.reading, read=read, left={**table.reading.left, **left})
    check_account(reading, table.path)
    return reading


def note_other_symbols(table: Table, names: Mapping[str, str]) -> list[str]:
    """A note where genes were listed under another symbol than their own."""
    changes = rename_genes(names)
    return [f"{table.path.name}: genes under another symbol: {changes}"] if changes else []


def note_left_out(table: Table, left: Mapping[str, int]) -> list[str]:
    """A note for every reason for which records were left out."""
    return [
        f"{table.path.name}: {count} row{'' if count == 1 else 's'} left out: {reason}"
        for reason, count in left.items()
    ]


def find_patients(table: Table, column: str, patient_of: Mapping[str, str]) -> pd.Series:
    """The patient of each row, by its sample.

    Raises:
        InputError: a row without sample, or of a sample that no clinical file knows.
    """
    samples = table.frame[column]
    if samples.isna().any():
        raise InputError(f"{table.row(int(samples.isna().argmax()))}: column {column} is empty")
    strange = ~samples.isin(list(patient_of))
    if strange.any():
        position = int(strange.argmax())
        raise InputError(
            f"{table.row(position)}: {column} {samples[position]!r} is not in the clinical table "
            f"({samples[strange].nunique()} such); add the patient there or remove the row"
        )
    return samples.map(patient_of)


def _with_genes(table: Table, rows: pd.DataFrame, column: str, left: dict[str, int]) -> tuple[pd.DataFrame, list[str]]:
    """The rows that name a gene, each gene by one name."""
    reasons = rows["gene"].map({name: no_symbol(name) for name in rows["gene"].unique()})
    for reason in sorted(reasons.dropna().unique()):
        words = sorted(set(rows.loc[reasons == reason, "gene"].dropna()))
        named = f" ({', '.join(words[:5])}{' and others' if len(words) > 5 else ''})" if words else ""
        left[f"{reason}{named}"] = int((reasons == reason).sum())
    if len(rows) and reasons.notna().all():
        raise InputError(
            f"{table.row(0)}: column {column}: {rows['gene'].iloc[0] or 'empty'!r} and all others are no gene symbols; "
            f"expected symbols such as NPM1"
        )
    rows = rows[reasons.isna()]
    names = list_approved_names(rows["gene"])
    return rows.assign(gene=rows["gene"].map(names)), note_other_symbols(table, names)


def _count(table: Table, rows: pd.DataFrame, columns: Mapping[str, str | None], title: str) -> pd.Series:
    values = numbers(rows[title])
    for flags, fault in (
        (rows[title].notna() & values.isna(), "is not a number"),
        (values < 0, "is negative"),
        (values % 1 > 0, "is not a whole number"),
    ):
        if flags.any():
            position = int(flags.argmax())
            raise InputError(
                f"{table.row(position)}, patient {rows.loc[position, 'patient_id']}: column {columns[title]}: "
                f"{rows.loc[position, title]!r} {fault}; expected a count of reads"
            )
    return values


def _fraction(
    table: Table, rows: pd.DataFrame, columns: Mapping[str, str | None], counts: Mapping[str, pd.Series]
) -> dict[str, pd.Series]:
    """The variant allele frequency as recorded, else from the reads."""
    given = numbers(rows["vaf"])
    wrong = (rows["vaf"].notna() & given.isna()) | (given < 0) | (given > 1)
    if wrong.any():
        position = int(wrong.argmax())
        raise InputError(
            f"{table.row(position)}, patient {rows.loc[position, 'patient_id']}: column {columns['vaf']}: "
            f"{rows.loc[position, 'vaf']!r} is no allele frequency; expected 0 to 1 (divide percentages by 100)"
        )
    alt, depth = counts["alt_count"], counts["depth"]
    if (alt > depth).any():
        position = int((alt > depth).argmax())
        raise InputError(
            f"{table.row(position)}, patient {rows.loc[position, 'patient_id']}: {columns['alt_count']} "
            f"{alt[position]:g} is above {columns['depth']} {depth[position]:g}"
        )
    total = (alt + counts["ref_count"]).fillna(depth)
    return {"vaf": given.fillna((alt / total.where(total > 0)).astype("float64"))}


def _thin(rows: pd.DataFrame, kept: frozenset[str], left: dict[str, int]) -> pd.DataFrame:
    def without(flags: pd.Series, reason: str) -> pd.DataFrame:
        if flags.any():
            left[reason] = int(flags.sum())
        return rows[~flags]

    rows = without(~rows["sample"].isin(list(kept)), NOT_KEPT)
    rows = without(
        rows["status"].map(lambda text: text.lower() in NOT_MUTATED, na_action="ignore").eq(True),
        "a status that says not mutated",
    )
    word = rows["variant_class"].map(lambda text: re.sub(r"[\s-]+", "_", text.lower()), na_action="ignore")
    silent = word.isin(SILENT) & ~((rows["gene"] == "TERT") & word.isin(["5'flank", "upstream_gene_variant"]))
    found = ", ".join(sorted(rows.loc[silent, "variant_class"].unique()))
    rows = without(silent, f"a class that changes no protein ({found})")
    rows = rows.assign(variant_class=word[~silent].map(CLASSES).fillna(rows["variant_class"]))
    variant = ["patient_id", "gene", "chromosome", "position", "reference", "allele"]
    depth = (rows["alt_count"] + rows["ref_count"]).fillna(-1)
    deepest = rows.assign(order=-depth).sort_values("order", kind="stable")
    second = (deepest.duplicated(variant) & deepest["position"].notna()).reindex(rows.index)
    rows = without(second, "a second call of a variant of the patient, less deep")
    rows = rows[list(MUTATION_COLUMNS)].reset_index(drop=True)
    text = ["chromosome", "variant_class", "hgvsp"]
    return rows.assign(**{name: rows[name].astype("object").mask(rows[name].isna(), None) for name in text})


def name_variants(mutations: pd.DataFrame, variants: Mapping[str, Any], where: str) -> tuple[pd.DataFrame, list[str]]:
    """Rows whose protein change matches become an alteration of their own; the other rows of the gene keep its name.

    Raises:
        InputError: a pattern cannot be read, or matches no row.
    """
    gene, notes = mutations["gene"].copy(), []
    for name, rule in variants.items():
        try:
            pattern = re.compile(str(rule["protein"]))
        except (re.error, KeyError, TypeError):
            raise InputError(
                f"{where}.variants.{name}: expected {{gene: FLT3, protein: a regular expression}}"
            ) from None
        of = str(rule.get("gene"))
        of = of if (mutations["gene"] == of).any() else approve(of)
        match = (mutations["gene"] == of) & mutations["hgvsp"].fillna("").str.contains(pattern)
        if not match.any():
            raise InputError(
                f"{where}.variants.{name}: no mutation of {rule.get('gene')} has a change like {rule['protein']!r}"
            )
        gene = gene.mask(match, name)
        notes.append(f"{name}: mutations of {of} with a protein change like {rule['protein']!r}")
        if ((mutations["gene"] == of) & (gene == of)).any():
            notes.append(f"{of}: its other mutations")
    return mutations.assign(gene=gene), list(dict.fromkeys(notes))


def find_carriers(
    mutations: pd.DataFrame,
    patients: pd.Index,
    sequenced: pd.Series,
    panels: Mapping[str, frozenset[str]] | None = None,
    gene_of: Mapping[str, str] | None = None,
    where: str = "",
) -> tuple[pd.DataFrame, list[str]]:
    """The genes of every patient: 1 mutated, 0 not, NaN where not sequenced.  (patients, genes), genes by name.

    Args:
        panels: the genes that were sequenced, of those patients of whom not all were; the others are unknown.
        gene_of: the gene of an alteration that is named otherwise (FLT3 of FLT3_ITD).
        where: what says who was sequenced, for the message.

    Raises:
        InputError: a patient who was not sequenced has mutations.
    """
    strange = mutations["patient_id"].map(sequenced).eq(False)
    if strange.any():
        patient = mutations.loc[strange, "patient_id"].iloc[0]
        count, gene = mutations.loc[strange, "patient_id"].nunique(), mutations.loc[strange, "gene"].iloc[0]
        raise InputError(
            f"{where}{': ' if where else ''}patient {patient} has mutations ({gene}) but is listed as not sequenced "
            f"({count} such patients); mend one of the two"
        )
    genes = sorted(mutations["gene"].unique())
    matrix = np.zeros((len(patients), len(genes)))
    row, column = (
        patients.get_indexer(pd.Index(mutations["patient_id"])),
        pd.Index(genes).get_indexer(pd.Index(mutations["gene"])),
    )
    matrix[row, column] = 1.0
    notes = []
    if panels:
        off = np.zeros(matrix.shape, dtype=bool)
        for i, patient in enumerate(patients):
            if patient in panels:
                off[i] = [(gene_of or {}).get(gene, gene) not in panels[patient] for gene in genes]
        seen = off & (matrix == 1.0)
        if seen.any():
            notes.append(
                f"gene panels: {int(seen.sum())} genes mutated in a patient whose panel lacks them are kept as mutated "
                f"({', '.join(genes[j] for j in np.flatnonzero(seen.any(axis=0))[:5])})"
            )
        matrix[off & ~seen] = np.nan
    matrix[~sequenced.reindex(patients).to_numpy(dtype=bool)] = np.nan
    return pd.DataFrame(matrix, index=patients, columns=genes), notes


def select_panel(genes: pd.DataFrame, panel: Any, where: str) -> tuple[pd.DataFrame, list[str]]:
    """The genes of the panel: those listed, in that order, or every gene with enough carriers, by name.

    Raises:
        InputError: a listed gene has no carrier, or no gene is recurrent.
    """
    counts, least = genes.sum(), read_min_carriers(panel, where)
    if least is None:
        panel = [gene if counts.get(gene, 0) else approve(gene) for gene in panel]
        for gene in panel:
            if counts.get(gene, 0) == 0:
                raise InputError(
                    f"{where}.panel: no patient carries a mutation of {gene}; "
                    f"{suggestion(gene, [str(name) for name in counts.index[counts > 0]])}"
                )
        return genes[list(dict.fromkeys(panel))], []
    chosen = genes.loc[:, counts >= least]
    left = int((counts > 0).sum()) - chosen.shape[1]
    return chosen, [f"panel: {chosen.shape[1]} genes with at least {least} carriers; {left} rarer genes are left out"]


def read_matrix(
    table: Table, id_column: str, patients: pd.Index
) -> tuple[pd.DataFrame, pd.Series, list[str], FileRead]:
    """A patient-by-event matrix of 0, 1 and missing.

    Returns:
        matrix: (patients, events) 0/1/NaN in the order of `patients`; those without a row are NaN. A gene has one
            name and one column; columns whose name is a date or a number leave with a note.
        sequenced: as a column `sequenced` says, else whether the patient has any value among the genes.
        notes, and the account of the file.

    Raises:
        InputError: an unknown patient, a value that is not 0, 1 (No, Yes) or missing, or two columns of one gene that
            contradict each other.
    """
    frame = set_patients(table, id_column)
    unknown = ~frame.index.isin(patients)
    if unknown.any():
        position = int(unknown.argmax())
        raise InputError(
            f"{table.row(position)}: patient {frame.index[position]!r} is not in the clinical table "
            f"({int(unknown.sum())} such); add the patient there or remove the row"
        )
    lost = {str(name): why for name in frame.columns if (why := no_symbol(str(name))) is not None}
    notes = [f"{table.path.name}: column {name} left out: {why}" for name, why in lost.items()]
    frame = frame.drop(columns=list(lost))
    matrix = pd.DataFrame({name: read_yes_no(frame[name]) for name in frame.columns}, index=frame.index)
    mistakes = Mistakes()
    for name in frame.columns:
        wrong = frame[name].notna() & matrix[name].isna()
        if wrong.any():
            position = int(wrong.argmax())
            mistakes.add([
                f"{table.row(position)}, patient {frame.index[position]}: column {name}: "
                f"{frame[name].iloc[position]!r} is not 0, 1 or empty"
            ])  # fmt: skip
    mistakes.tell()
    matrix, more = _one_column_each(matrix, table)
    notes += more
    column = table.column("sequenced")
    matrix = matrix.reindex(patients)
    if len(frame) < len(patients):
        notes.append(f"alterations: {len(patients) - len(frame)} patients without a row in {table.path.name}, unknown")
    reading = make_account(table, len(frame), {})
    if column is not None and column in matrix:
        return matrix.drop(columns=column), matrix[column].eq(1), notes, reading
    genes = [name for name in matrix.columns if not is_cytogenetic(str(name))]
    return matrix, matrix[genes or list(matrix.columns)].notna().any(axis=1), notes, reading


def _one_column_each(matrix: pd.DataFrame, table: Table) -> tuple[pd.DataFrame, list[str]]:
    """Columns of one gene under several names as one: present or absent where any of them says so."""
    names = {name: name for name in map(str, matrix.columns)}
    names |= list_approved_names(name for name in names if is_known(name))
    same: dict[str, list[str]] = {}
    for name in names:
        same.setdefault(names[name].upper() if is_known(name) else names[name], []).append(name)
    columns = {}
    for several in same.values():
        one = names[several[0]]
        columns[one] = matrix[several].max(axis=1)
        contrary = matrix[several].min(axis=1) < columns[one]
        if contrary.any():
            raise InputError(
                f"{table.row(int(contrary.argmax()))}, patient {contrary.idxmax()}: columns {' and '.join(several)} "
                f"are of one gene, {one}, but differ ({int(contrary.sum())} such patients); remove or rename one"
            )
    return pd.DataFrame(columns, index=matrix.index), note_other_symbols(table, names)


YES_NO = {
    "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0, "yes": 1.0, "no": 0.0, "y": 1.0, "n": 0.0, "true": 1.0, "false": 0.0,
    "positive": 1.0, "negative": 0.0, "pos": 1.0, "neg": 0.0, "present": 1.0, "absent": 0.0, "detected": 1.0,
    "not detected": 0.0, "mutated": 1.0, "wild type": 0.0, "wildtype": 0.0, "wt": 0.0,
}  # fmt: skip


def read_yes_no(text: pd.Series) -> pd.Series:
    """Words of presence as 1 and 0; NaN for missing values and for other words."""
    return text.map(lambda value: YES_NO.get(value.lower(), np.nan), na_action="ignore").astype("float64")
