"""Numbers as people write them: decimal commas, thousands, units in cells, percentages, limits of detection.

A sign before three digits, as in 1.234, may come before decimals or between thousands. The other values of the column
decide, then the other columns of the file; where neither does, nothing is guessed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import yaml

from haemosynth.core.errors import InputError
from haemosynth.reading.preprocess import find_conversion_factor, unit

MARKS = (".", ",")
NUMERIC = 0.8  # the least share of numbers among the values of a column that is taken for one of numbers
BELOW = r"&lt;|&le;|<=|=<|<|\u2264|\u2a7d|less than|below|under|kleiner(?: als)?|unter"
ABOVE = r"&gt;|&ge;|>=|=>|>|\u2265|\u2a7e|more than|greater than|above|over|gr\u00f6\u00dfer(?: als)?|\u00fcber"
VALUE = re.compile(
    rf"(?:(?P<below>{BELOW})|(?P<above>{ABOVE})|(?P<about>~|\u2248|ca\.?|circa|approx\.?))?\s*"
    r"(?P<minus>[+\u2212\u2013-]?)\s?"
    r"(?P<body>\d{1,3}(?:[ '\u2019]\d{3})+(?!\d)(?:[.,]\d+)?|\d[\d.,]*|[.,]\d+)(?P<power>[eE][+-]?\d+)?"
    r"\s*(?P<unit>(?!(?:and|or|und|oder)\b)(?:[^\d+\s]|10\s?[\^*e]).{0,24}?)??"
    r"(?P<plus>\s*\+|\s+(?:and|or|und|oder)\s+(?:older|over|above|more|\u00e4lter|mehr))?",
    re.IGNORECASE,
)
GROUPED = re.compile(r"\d{1,3}(?:[ '\u2019]\d{3})+(?:[.,]\d+)?")
BOTH = re.compile(r"\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:,\d{3})+\.\d+")
UNIT = re.compile(
    r"[a-z\u00b5\u03bc%\u2030\u00b0]{1,8}(?:\s?[/*.\u00b7]\s?[a-z\u00b5\u03bc0-9\u00b2\u00b3^]{1,6}){0,2}",
    re.IGNORECASE,
)
TIMES = {"y": "years", "yr": "years", "yrs": "years", "mo": "months", "mos": "months", "d": "days", "wk": "weeks",
         "wks": "weeks", "jahre": "years", "monate": "months", "tage": "days"}  # fmt: skip


@dataclass(frozen=True)
class Value:
    """One written number: its digits with the signs between them, and what is around it.

    decimal: the sign that certainly comes before decimals, or None. thousands: the sign that certainly comes between
    thousands, or None. open: the sign that could be either, or None. limit: low, high or None.
    """

    digits: str
    decimal: str | None
    thousands: str | None
    open: str | None
    limit: str | None
    unit: str

    def plain(self, decimal: str | None) -> str:
        """The number with a point before its decimals, where `decimal` decides what an open sign is."""
        mark = self.decimal or (self.open if self.open == decimal else None)
        return "".join(("." if sign == mark else "") if sign in MARKS else sign for sign in self.digits)


@lru_cache(maxsize=200_000)
def read_value(text: str) -> Value | None:
    """A text as a written number; None where it is none."""
    match = VALUE.fullmatch(text)
    if match is None:
        return None
    body = match["body"]
    mark: dict[str, str | None] = {"decimal": None, "thousands": None, "open": None}
    if GROUPED.fullmatch(body):
        body = re.sub(r"[ '\u2019]", "", body)
        mark["decimal"] = next((sign for sign in MARKS if sign in body), None)
    elif not re.fullmatch(r"[\d.,]+", body):
        return None
    elif "." in body and "," in body:
        if not BOTH.fullmatch(body):
            return None
        mark["decimal"] = max(MARKS, key=body.rfind)
    elif sign := next((sign for sign in MARKS if sign in body), None):
        if body.count(sign) > 1:
            if not re.fullmatch(rf"[1-9]\d{{0,2}}(?:\{sign}\d{{3}})+", body):
                return None
            mark["thousands"] = sign
        else:
            alike = re.fullmatch(rf"[1-9]\d{{0,2}}\{sign}\d{{3}}", body) and not match["power"]
            mark["open" if alike else "decimal"] = sign
    limit = "low" if match["below"] else ("high" if match["above"] or match["plus"] else None)
    minus = "-" if match["minus"] in ("-", "\u2212", "\u2013") and match["minus"] else ""
    return Value(minus + body + (match["power"] or ""), limit=limit, unit=_unit_word(match["unit"]), **mark)


def _unit_word(text: str | None) -> str:
    return (text or "").strip().strip("()[]").strip()


@dataclass(frozen=True)
class Plain:
    """A column with its numbers written plainly.

    text: the column; cells that are no number are kept. unit: the unit that its cells named, or None.
    limits: (patients,) low or high where a cell holds a limit of detection, None elsewhere. notes: what was changed.
    doubt: why the column cannot be read without a declaration, or None.
    """

    text: pd.Series
    unit: str | None = None
    limits: pd.Series | None = None
    notes: tuple[str, ...] = ()
    doubt: str | None = None


def find_marks(columns: Iterable[pd.Series]) -> frozenset[str]:
    """The signs that certainly come before decimals somewhere in these columns of text."""
    found: set[str] = set()
    for column in columns:
        seen = column.dropna()
        values = seen.map(read_value)
        if len(seen) and values.notna().mean() >= NUMERIC:
            found |= _certain(values.dropna())
    return frozenset(found)


def _certain(values: Iterable[Value]) -> set[str]:
    found = {value.decimal for value in values} - {None}
    found |= {MARKS[1 - MARKS.index(value.thousands)] for value in values if value.thousands}
    return {mark for mark in found if mark}


def _decimal(values: Mapping[str, Value], counts: Mapping[str, int], file: frozenset[str]) -> str | None:
    """The sign before decimals of a column with an open sign; None where nothing decides.

    Whole numbers of up to three digits beside 1.234 and nothing like 1.2 speak for thousands, whatever the file uses:
    of values with three decimals one in a thousand is whole.
    """
    own = _certain(values.values())
    open_signs = {value.open for value in values.values() if value.open}
    if len(own) == 1:
        return next(iter(own))
    if len(open_signs) > 1 or own:
        return None
    sign = next(iter(open_signs))
    other = MARKS[1 - MARKS.index(sign)]
    whole = {text: abs(float(value.digits)) for text, value in values.items() if value.open is None}
    share = sum(counts[text] for text in whole) / sum(counts.values())
    like_thousands = share >= 0.1 and len(whole) >= 3 and 100 <= max(whole.values()) < 1000
    if file == {other}:
        return other if sign == "," or not whole or max(whole.values()) < 1000 else None
    if like_thousands or (sign == "," and file != {","}):
        return None
    return sign if file in ({sign}, frozenset()) else None


def plain(
    name: str,
    text: pd.Series,
    file: frozenset[str],
    declared: Mapping[str, Any],
    where: str,
    analyte: str | None = None,
) -> Plain:
    """A column of text with its numbers written plainly; as it is where it is no column of numbers.

    Args:
        file: the signs before decimals of the file's other columns. declared: of the column; `decimal` decides.
        where: the column's place in its file, for messages. analyte: for conversions between units.
    """
    seen = text.dropna()
    counts = {str(word): int(count) for word, count in seen.value_counts(sort=False).items()}
    values = _with_units({word: value for word in counts if (value := read_value(word)) is not None}, counts)
    numeric = sum(counts[word] for word in values)
    bare = {word for word, value in values.items() if value.limit is None}
    bounds = {word for word, value in values.items() if value.limit}
    if bounds and (len(bare) < 3 or len(bare) <= len({values[word].digits for word in bounds})):
        values = {word: value for word, value in values.items() if word in bare}  # classes such as <5 and >=5
        numeric = sum(counts[word] for word in values)
    if not len(seen) or numeric < NUMERIC * len(seen):
        return Plain(text)
    notes: list[str] = []
    decimal = declared.get("decimal")
    open_words = [word for word, value in values.items() if value.open]
    if open_words and decimal is None:
        decimal = _decimal(values, counts, file)
        if decimal is None:
            example = values[open_words[0]]
            first, second = (
                f"{example.plain(mark)} (`{advice(name, decimal=mark)}`)" for mark in (example.open, _other(example))
            )
            return Plain(text, doubt=f"{where}: {open_words[0]!r} could be {first} or {second}; declare which")
        thousands = [word for word in open_words if values[word].open != decimal]
        if thousands:
            notes.append(
                f"{name}: {sum(counts[word] for word in thousands)} values such as {thousands[0]!r} read as "
                f"{values[thousands[0]].plain(decimal)}"
            )
    if len(_certain(values.values())) > 1:
        notes.append(f"{name}: decimals are written with a point and with a comma; both are read as such")
    written = {word: value.plain(decimal) for word, value in values.items()}
    told, problem = _one_unit(name, values, counts, written, analyte, where, notes)
    if problem:
        return Plain(text, doubt=problem)
    limits = None
    if bounds & values.keys():
        kind = {word: values[word].limit for word in bounds}
        limits = text.map(kind)
        limits = limits.astype("object").mask(limits.isna(), None)
    return Plain(text.map(lambda word: written.get(word, word), na_action="ignore"), told, limits, tuple(notes))


def _other(value: Value) -> str:
    return MARKS[1 - MARKS.index(value.open or ".")]


def _with_units(values: Mapping[str, Value], counts: Mapping[str, int]) -> dict[str, Value]:
    """Without the texts that only look like a number with its unit: that follow no known unit and no common word."""
    words = Counter[str]()
    for text, value in values.items():
        words[value.unit] += counts[text]
    total = sum(words.values())
    common = {
        word for word, count in words.items()
        if not word or find_unit(word) or (UNIT.fullmatch(word) and count >= NUMERIC * total and len(values) > 5)
    }  # fmt: skip
    return {text: value for text, value in values.items() if value.unit in common}


def find_unit(word: str) -> str | None:
    """The canonical spelling of a unit that can be converted, or None."""
    plain_word = word.strip().lower()
    if plain_word in TIMES:
        return TIMES[plain_word]
    try:
        return unit(plain_word.replace(" ", "").replace("\u00d7", "x").replace("\u2079", "^9"), "")
    except InputError:
        return None


def read_header_unit(name: str) -> str | None:
    """The unit at the end of a column's name in brackets, after a comma, or after underscores: Hb (g/dL), HB_G_DL."""
    told = re.search(r"[\[(]([^\])]+)[\])]\s*$", name)
    if told:
        return told[1].strip()
    told = re.search(r"[, ]\s*(\S+)$", name)
    if told and (found := find_unit(told[1])) and ("/" in told[1] or "%" in told[1]):
        return found
    plain_name = "_" + re.sub(r"[^a-z0-9]+", "_", name.lower())
    for ending, meaning in (("_g_dl", "g/dL"), ("_g_l", "g/L"), ("_mg_dl", "mg/dL"), ("_mg_l", "mg/L"),
                            ("_mmol_l", "mmol/L"), ("_umol_l", "umol/L"), ("_u_l", "U/L"), ("_percent", "%"),
                            ("_years", "years"), ("_months", "months"), ("_days", "days")):  # fmt: skip
        if plain_name.endswith(ending):
            return meaning
    return None


def _one_unit(
    name: str,
    values: Mapping[str, Value],
    counts: Mapping[str, int],
    written: dict[str, str],
    analyte: str | None,
    where: str,
    notes: list[str],
) -> tuple[str | None, str | None]:
    """The one unit of the cells, to which others are converted in `written`; or the problem with them."""
    units = Counter[str]()
    for text, value in values.items():
        if value.unit:
            units[find_unit(value.unit) or value.unit] += counts[text]
    if not units:
        return None, None
    named = find_unit(read_header_unit(name) or "")
    target = named or units.most_common(1)[0][0]
    bare = [text for text, value in values.items() if not value.unit]
    if target == "%" and bare:
        shares = [abs(float(written[text])) for text in bare]
        with_sign = [abs(float(written[text])) for text, value in values.items() if value.unit]
        if max(shares) <= 1 < float(np.median(with_sign)) and any(0 < share < 1 for share in shares):
            example = next(text for text, share in zip(bare, shares, strict=True) if 0 < share < 1)
            return None, (
                f"{where}: {example!r} is among values with a % sign and could be {example} % or "
                f"{100 * float(written[example]):g} %; write the sign in every cell or in none"
            )
    for found, count in units.items():
        if found == target:
            continue
        try:
            factor = find_conversion_factor(found, target, analyte, where)
        except InputError:
            return None, (
                f"{where}: {count} values in {found}, others in {target}, and one does not convert to the other; "
                f"write all in one unit, or `{advice_exclude(name)}`"
            )
        for text, value in values.items():
            if value.unit and (find_unit(value.unit) or value.unit) == found:
                written[text] = f"{float(written[text]) * factor:.12g}"
        notes.append(f"{name}: {count} values in {found} converted to {target}")
    if bare:
        without = sum(counts[text] for text in bare)
        notes.append(f"{name}: {without} values without a unit taken as {target}, as the others say")
    return target, None


def plain_matrix(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """A table of numbers alone, such as a matrix of genes, with all of them written plainly by one rule.

    Raises:
        InputError: a sign could come before decimals or between thousands, and no value of the table decides.
    """
    odd = sorted({word for name in frame for word in set(frame[name].dropna()) if "," in word or word.count(".") > 1})
    if not odd:
        return frame
    whole = pd.Series(pd.unique(frame.to_numpy(dtype=object).ravel()), dtype="object")
    made = plain("values", whole, frozenset(), {}, where)
    if made.doubt:
        raise InputError(made.doubt.split("; declare")[0] + "; write all numbers with a decimal point")
    known = dict(zip(whole, made.text, strict=True))
    return frame.map(lambda word: known.get(word, word), na_action="ignore")


def numbers(text: pd.Series) -> pd.Series:
    """The numbers of a text column, NaN where the text is missing or no finite number.

    Decimal commas and thousands are read where one value alone decides.
    """
    values = pd.to_numeric(text, errors="coerce").astype("float64")
    odd = text[text.notna() & values.isna()]
    if len(odd):
        known = {word: read_number(word) for word in odd.unique() if isinstance(word, str)}
        values = values.fillna(odd.map(known).astype("float64"))
    return values.where(np.isfinite(values))


def read_number(word: str) -> float:
    """The number that one text alone means, NaN where it means none."""
    try:
        return float(word)
    except ValueError:
        pass
    value = read_value(word)
    if value is None or value.open or value.limit or value.unit:
        return np.nan
    return float(value.plain(None))


def advice(name: str, **attributes: Any) -> str:
    """A declaration of a column as one line of YAML, to be pasted into the cohort's entry of the study."""
    return _yaml({"columns": {name: attributes}})


def advice_exclude(*names: str) -> str:
    """The exclusion of columns as one line of YAML, to be pasted into the cohort's entry of the study."""
    return _yaml({"exclude": list(names)})


def advice_alterations(*names: str) -> str:
    """Columns as alterations, as one line of YAML, to be pasted into the cohort's entry of the study."""
    return _yaml({"alterations": list(names)})


def _yaml(content: Mapping[str, Any]) -> str:
    text = yaml.safe_dump(content, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.strip()[1:-1]
