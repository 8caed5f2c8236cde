"""Gene symbols as people write them: one name for a gene, and names that are none.

`resources/genes/symbols.tsv` lists genes of myeloid and plasma cell neoplasms with the symbols that they had before,
after the HUGO Gene Nomenclature Committee (HGNC, Seal et al., Nucleic Acids Res 2023;51:D1003, www.genenames.org).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from haemosynth.reading.raw_tables import is_missing

SYMBOLS = Path(__file__).resolve().parents[4] / "resources" / "genes" / "symbols.tsv"
NO_GENE = re.compile(r"[-–—.]+|none|no[ _]gene|intergenic|igr", re.IGNORECASE)  # beside the words for missing
# What a spreadsheet makes of MARCH1, SEPT2 or DEC1, in any of its formats for dates, and the number behind such a date.
MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
DATE = re.compile(
    rf"\d{{1,4}}[-/. ]{MONTH}([-/. ]\d{{2,4}})?|{MONTH}[-/. ]\d{{1,4}}|\d{{4}}-\d{{1,2}}-\d{{1,2}}.*|"
    r"\d{1,2}[/.]\d{1,2}([/.](\d{2,4})?)?",
    re.IGNORECASE,
)
PLAIN = re.compile(r"[A-Z][A-Z0-9-]*", re.IGNORECASE)
READING_FRAME = re.compile(r"C(\d+|X|Y)ORF(\d+)")


@cache
def _table() -> tuple[dict[str, str], frozenset[str]]:
    """The approved symbol of each earlier one, and the approved symbols."""
    rows = [line.split("\t") for line in SYMBOLS.read_text(encoding="utf-8").splitlines()[1:]]
    earlier = {old: symbol for symbol, *others in rows for cell in others for old in cell.split("|") if old}
    return earlier, frozenset(symbol for symbol, *_ in rows)


def no_symbol(name: str | None) -> str | None:
    """Why a name is no gene symbol: none given, a date, a number; None where it may be one."""
    if name is None or is_missing(name.strip()) or NO_GENE.fullmatch(name.strip()):
        return "no gene symbol"
    if DATE.fullmatch(name.strip()):
        return "a date in place of a gene symbol"
    if re.fullmatch(r"\d+(\.\d+)?", name.strip()):
        return "a number in place of a gene symbol"
    return None


def approve(name: str) -> str:
    """The approved symbol of a gene: of an earlier symbol its successor, of npm1 and Npm1 NPM1, else `name` itself.

    Symbols are of capital letters but for open reading frames such as C6orf165. A name in which only some letters are
    small (CEBPAbi, FLT3itd) is not taken for a misspelt symbol unless its gene is known.
    """
    text = name.strip()
    capital = text.upper()
    earlier, known = _table()
    if capital in earlier:
        return earlier[capital]
    if frame := READING_FRAME.fullmatch(capital):
        return f"C{frame[1]}orf{frame[2]}"
    misspelt = PLAIN.fullmatch(text) is not None and text in (text.lower(), text.capitalize())
    return capital if capital in known or misspelt else text


def is_known(name: str) -> bool:
    """Whether a name, in any case or of any time, is that of a gene of `resources/genes/symbols.tsv`."""
    earlier, known = _table()
    return name.strip().upper() in known or name.strip().upper() in earlier


def list_approved_names(names: Iterable[str]) -> dict[str, str]:
    """The one name of each gene among `names`: spellings that differ in case alone are one gene."""
    one = {name: approve(name) for name in dict.fromkeys(names)}
    spellings: dict[str, set[str]] = {}
    for name in one.values():
        spellings.setdefault(name.upper(), set()).add(name)
    return {name: found if len(spellings[found.upper()]) == 1 else found.upper() for name, found in one.items()}


def rename_genes(names: Mapping[str, str]) -> str:
    """What was renamed, for a note: MLL as KMT2A, npm1 and Npm1 as NPM1."""
    groups: dict[str, list[str]] = {}
    for name, one in names.items():
        if name != one:
            groups.setdefault(one, []).append(name)
    return ", ".join(f"{' and '.join(sorted(old))} as {one}" for one, old in sorted(groups.items()))
