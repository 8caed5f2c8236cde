"""What a clinical column is, from its name and its values; declarations of the study override all inference."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.core.schema import GROUPS, Column
from haemosynth.reading.numbers import MARKS, Plain, advice, advice_exclude, numbers, read_header_unit, read_number
from haemosynth.reading.preprocess import find_conversion_factor, unit
from haemosynth.reading.resolution import find_grain, observe, sort_levels
from haemosynth.reading.source import Raw, suggestion

ATTRIBUTES = (
    "kind", "unit", "group", "low", "high", "categories", "grain", "derived", "convert", "missing",
    "decimal", "detection",
)  # fmt: skip
KINDS = ("continuous", "integer", "ordinal", "categorical", "binary")

# Words of a column's name -> group; the first line that matches decides. Words are separated by underscores or spaces.
GROUP_WORDS = {
    "outcome": "response|relapse|remission|progression|mrd|death|deceased|survival|refractory|evolution",
    "demographic": "sex|gender|age|race|ethnicity|ethnic|bmi|weight|height|country|smoking|education",
    "laboratory": (
        "wbc|leu[ck]ocytes?|ha?emoglobin|hb|hgb|platelets?|plt|ldh|albumin|creatinine|calcium|bilirubin|crp|ferritin|"
        "anc|neutrophils?|lymphocytes?|monocytes?|blasts?|b2mg?|beta_?2_?m?|beta_?2_?microglobulin|microglobulin|epo|"
        "ig[agm]|kappa|lambda|flc|m_protein|paraprotein|m_spike|urate|uric|alt|ast|ggt|mcv|rbc|reticulocytes?|"
        "plasma_cells?|ring_sideroblasts?|sodium|potassium|glucose|fibrinogen|d_dimer"
    ),
    "comorbidity": (
        "comorbidity|comorbidities|comorbid|diabetes|hypertension|cci|charlson|hct_?ci|copd|cardiac|renal|hepatic|"
        "neuropathy|obesity"
    ),
    "treatment": (
        "treatment|treated|therapy|regimen|induction|consolidation|maintenance|hsct|sct|asct|allo|auto|transplant|"
        "transplantation|trial|arm|drug|chemotherapy|lenalidomide|bortezomib|azacitidine|decitabine|transfusions?|"
        "hma|donor|conditioning"
    ),
    "disease": (
        "diagnosis|disease|fab|who|eln|icc|r?_?iss|stage|ipss|ipss_?[rm]|risk|type|subtype|de_novo|prior|transformed|"
        "fusion|karyotype|cytogenetics?|cyto|flt3|npm1|splenomegaly|hepatomegaly|ecog|performance|ps|kps|specimen|"
        "fibrosis|heavy_chain|light_chain|isotype|lesions?|extramedullary|plasmacytoma|mds|aml|mm|grade"
    ),
}
ORDINAL_NAME = "ecog|who_ps|performance|ps|stage|iss|riss|r_iss|grade|ipss|ipss_?[rm]|fibrosis|mf|ctcae|hct_?ci"
SCALES = (
    ("very low", "low", "intermediate", "high", "very high"),
    ("very low", "low", "moderate low", "moderate high", "high", "very high"),
    ("low", "intermediate 1", "intermediate 2", "high"),
    ("low", "int 1", "int 2", "high"),
    ("very good", "good", "intermediate", "poor", "very poor"),
    ("favorable", "intermediate", "adverse"),
    ("favourable", "intermediate", "adverse"),
    ("favorable", "intermediate i", "intermediate ii", "adverse"),
    ("favorable", "intermediate 1", "intermediate 2", "adverse"),
    ("favorable", "inter 1", "inter 2", "adverse"),
    ("standard", "intermediate", "high"),
    ("absent", "mild", "moderate", "severe"),
    ("none", "mild", "moderate", "severe"),
    ("no", "mild", "moderate", "severe"),
    ("low", "moderate", "high"),
    ("low", "medium", "high"),
)
ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}
MONTH = r"(?:jan|feb|m[aä]r|mrz|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-zä]*\.?"
DATE = re.compile(
    r"\d{4}[-./]\d{1,2}[-./]\d{1,2}([T ].*)?|\d{1,2}[-./]\d{1,2}[-./](\d{4}|\d{2})( .*)?|"  # 2019-03-01, 1.3.19
    rf"\d{{1,2}}\.?[-/. ]?{MONTH}[-/., ]*(\d{{4}}|\d{{2}})([: ].*)?|{MONTH} \d{{1,2}}(st|nd|rd|th)?,? \d{{4}}|"
    rf"(19|20)\d\d[-./](0[1-9]|1[0-2])|(0?[1-9]|1[0-2])[-./](19|20)\d\d|{MONTH}[-/. ]*((19|20)\d\d)|"  # months
    r"(19|20)\d\d[- /]?[qQ][1-4]|[qQ][1-4][- /]?(19|20)\d\d|(19|20)\d\d-?W\d\d(-\d)?|"  # quarters and weeks
    r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d{4}|\d{6})?",  # 20190301
    re.IGNORECASE,
)
# What a spreadsheet shows of 12.3 or 3/12 that it took for a date: a day and a month, or a month and a year.
SPREADSHEET = re.compile(rf"\d{{1,2}}[-./ ]{MONTH}([-./ ]\d{{2}})?|{MONTH}[-./ ]\d{{1,2}}", re.IGNORECASE)
DATE_NAME = "date|dates|datum|dt|dob|birthday|birthdate|day_of|month_of|diagnosed|geburtsdatum"
SERIAL = (14_000, 62_000)  # days that spreadsheets and SAS count from 1900 and from 1960, in years that are in use
# Names that are a person's or a place's own, whatever the column holds; and those that may also number something else.
PERSONAL = (
    "mrn|upn|uuid|guid|ssn|nhs(_(no|number))?|chi_number|post_?code|postal_?code|zip|zip_?code|plz|address|street|"
    "phone|telephone|e?_?mail|initials|surname|(first|last|family|given|maiden|full|patient)_?name|vorname|nachname|"
    "(case|hospital|patient|pat|record|chart|medical_record|insurance|accession|admission|fall|patienten|versicherungs)"
    "_?(no|nr|num|number|nummer|nos|code|key|id|identifier)"
)
CODED = (
    "id|ids|identifier|barcode|pid|"
    "(study|subject|sample|specimen|registry|register|file|lab|biobank|donor|trial|randomi[sz]ation|serial|sequence|"
    "proben|studien|lauf)_?(no|nr|num|number|nummer|code|key)|(no|nr|number|nummer)(?!_of|_von)"
)
NEARLY_UNIQUE = 0.9  # share of different values from which a column of whole numbers is an identifier
# Genes recurrently mutated in AML, MDS and myeloma (Papaemmanuil, N Engl J Med 2016;374:2209 and Blood 2013;122:3616;
# Walker, Blood 2018;132:587), to know a yes/no column of one by its name.
GENES = frozenset({
    "ASXL1", "ATM", "ATRX", "BCOR", "BCORL1", "BRAF", "CALR", "CBL", "CCND1", "CDKN2C", "CEBPA", "CREBBP", "CSF3R",
    "CUX1", "CYLD", "DDX41", "DIS3", "DNMT3A", "EGR1", "EP300", "ETV6", "EZH2", "FAM46C", "FBXW7", "FGFR3", "FLT3",
    "GATA1", "GATA2", "GNAS", "HRAS", "IDH1", "IDH2", "IKZF1", "IRF4", "JAK2", "KDM5C", "KDM6A", "KIT", "KMT2A",
    "KRAS", "MAF", "MAX", "MLL", "MPL", "MYC", "MYD88", "NF1", "NFKBIA", "NOTCH1", "NPM1", "NRAS", "NSD2", "PHF6",
    "PPM1D", "PRDM1", "PRPF8", "PTEN", "PTPN11", "RAD21", "RB1", "RUNX1", "SETBP1", "SETD2", "SF3B1", "SH2B3",
    "SMC1A", "SMC3", "SP140", "SRSF2", "STAG2", "STAT3", "TENT5C", "TET2", "TP53", "TRAF2", "TRAF3", "U2AF1",
    "U2AF2", "WT1", "XBP1", "ZRSR2",
})  # fmt: skip
MUTATED = ("MUT", "MUTATION", "MUTATED", "STATUS")
CODES = (-1.0, -8.0, -9.0, -99.0, -999.0, -9999.0, 9.0, 88.0, 99.0, 99.9, 888.0, 999.0, 999.9, 8888.0, 9999.0, 99999.0)
B2M = "b2mg?|beta_?2_?m(icroglobulin)?|microglobulin"
CELLS = "wbc|leu[ck]ocytes?|platelets?|plt|anc|neutrophils?|lymphocytes?|monocytes?"
# Analyte (as preprocess.MOLAR_MASS names it, or none), words of a column's name, units and the medians that show them.
ANALYTES = (
    ("haemoglobin", "ha?emoglobin|hb|hgb", (("g/dL", 6.5, 20.0), ("g/L", 40.0, 200.0))),
    ("creatinine", "creatinine|crea", (("mg/dL", 0.3, 8.0), ("umol/L", 30.0, 700.0))),
    ("calcium", "calcium", (("mmol/L", 1.5, 4.0), ("mg/dL", 6.0, 16.0))),
    ("albumin", "albumin", (("g/dL", 1.5, 6.0), ("g/L", 15.0, 60.0))),
    ("beta-2 microglobulin", B2M, (("mg/L", 0.5, 40.0), ("nmol/L", 60.0, 4000.0))),
    ("bilirubin", "bilirubin", ()),
    ("urate", "urate|uric", ()),
    ("", "ldh", (("U/L", 40.0, 5000.0), ("ukat/L", 0.5, 30.0))),
    ("", CELLS, (("10^9/L", 0.1, 900.0), ("/uL", 1000.0, 1e6))),
    ("", "blasts?|plasma_cells?|ring_sideroblasts?", (("%", 1.0, 100.0),)),
    ("", "age", (("years", 15.0, 100.0),)),
)


def find_words(pattern: str, name: str) -> bool:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    return re.search(rf"(^|_)({pattern})(_|$)", plain) is not None


def find_analyte(name: str) -> str | None:
    """The analyte of known molar mass that a column's name mentions, or None."""
    return next((title for title, words, _ in ANALYTES if title and find_words(words, name)), None)


def find_group(name: str) -> str:
    """The group of a column, by the words of its name; `other` where none is known."""
    return next((title for title, words in GROUP_WORDS.items() if find_words(words, name)), "other")


def order_levels(name: str, levels: Sequence[str]) -> tuple[str, ...] | None:
    """The levels in their order where they form a known scale, else None.

    Known: risk and severity scales of the field (Low to Very high, Favorable to Adverse); grades and stages such as
    E0 to E4, I to III, Grade 1 to 4, 0 to 4 where the column's name speaks of one.
    """
    if len(levels) < 3:
        return None
    plain = {level: " ".join(re.split(r"[\s_-]+", level.lower())).removesuffix(" risk") for level in levels}
    for scale in SCALES:
        if set(plain.values()) <= set(scale) and len(set(plain.values())) == len(levels):
            return tuple(sorted(levels, key=lambda level: scale.index(plain[level])))
    parts = [re.fullmatch(r"(.*?)\s*(\d|v|iv|i{1,3})([abc]?)", plain[level]) for level in levels]
    prefixes = {part[1].strip() for part in parts if part}
    known = {"e", "ecog", "g", "grade", "stage", "iss", "r iss", "mf", "ps", "who"}
    if (
        all(parts)
        and len(prefixes) == 1
        and (prefixes <= known or (find_words(ORDINAL_NAME, name) and len(levels) <= 10))
    ):
        rank = {
            level: (ROMAN[part[2]] if part[2] in ROMAN else int(part[2]), part[3])
            for level, part in zip(levels, parts, strict=True)
            if part
        }
        return tuple(sorted(levels, key=lambda level: rank[level]))
    return None


def check_declaration(name: str, declared: Any, where: str) -> None:
    """Check a study's declaration of a column before any data is read.

    Raises:
        InputError: an unknown attribute, kind, group or unit, or a limit that is no number.
    """
    if not isinstance(declared, Mapping):
        raise InputError(f"{where}: expected attributes such as {{kind: continuous, unit: g/dL}}, found {declared!r}")
    for key in declared:
        if key not in ATTRIBUTES:
            raise InputError(f"{where}: unknown attribute {key!r}; {suggestion(key, list(ATTRIBUTES))}")
    for key, known in (("kind", KINDS), ("group", GROUPS)):
        if key in declared and declared[key] not in known:
            extra = "; endpoints are named under `endpoint`" if declared[key] in ("time", "event") else ""
            raise InputError(f"{where}: {key} {declared[key]!r} is unknown; expected one of {', '.join(known)}{extra}")
    for key in ("low", "high", "grain"):
        if not isinstance(declared.get(key, 0), int | float) or isinstance(declared.get(key), bool):
            raise InputError(f"{where}: {key} is {declared[key]!r}; expected a number")
    for key in ("categories", "missing"):
        if key in declared and (not isinstance(declared[key], list) or not declared[key]):
            raise InputError(f"{where}: {key} is {declared[key]!r}; expected a list")
    if "decimal" in declared and declared["decimal"] not in MARKS:
        raise InputError(f"{where}: decimal is {declared['decimal']!r}; expected '.' or ','")
    if "detection" in declared:
        check_detection(declared["detection"], where)
    if "convert" in declared:
        change = declared["convert"]
        if not isinstance(change, Mapping) or set(change) != {"from", "to"}:
            raise InputError(f"{where}: convert is {change!r}; expected {{from: g/dL, to: g/L}}")
        find_conversion_factor(change["from"], change["to"], find_analyte(name), where)


def check_detection(setting: Any, where: str) -> None:
    """Check how limits of detection are taken: kept as such, or half of them; or which they are.

    Raises:
        InputError: the setting is none of these.
    """
    limits = isinstance(setting, Mapping) and len(setting) > 0 and set(setting) <= {"low", "high"}
    if limits:
        values = [at for every in setting.values() for at in (every if isinstance(every, list) else [every])]
        limits = all(isinstance(at, int | float) and not isinstance(at, bool) for at in values)
    if setting not in ("limit", "half") and not limits:
        raise InputError(f"{where}: detection is {setting!r}; expected limit, half, or limits such as {{low: 0.6}}")


def without(text: pd.Series, words: Iterable[Any]) -> pd.Series:
    """A column of text without the words that mean not recorded; numbers are compared by value, words without case."""
    plain = {_level(word).strip().lower() for word in words}
    if not plain:
        return text
    values = {float(word) for word in plain if re.fullmatch(r"[+-]?\d+(\.\d+)?", word)}

    def meant(cell: str) -> bool:
        number = re.fullmatch(r"[+-]?\d+(\.\d+)?", cell)
        return cell.lower() in plain or (number is not None and float(cell) in values)

    return text.mask(text.map(meant, na_action="ignore").eq(True), None)


def values_of(name: str, raw: Raw, declared: Mapping[str, Any]) -> pd.Series:
    """A column's text without the declared words for missing, levels that differ in case or spaces alone as one."""
    text = without(raw.clinical[name], declared.get("missing", ()))
    return text.map(_spelling(text.dropna()), na_action="ignore")


def _level(value: Any) -> str:
    """A level as text: YAML reads Yes and No as truth values and 1 as a number."""
    return ("Yes" if value else "No") if isinstance(value, bool) else str(value)


def convert(name: str, values: pd.Series, declared: Mapping[str, Any], where: str) -> tuple[pd.Series, float]:
    """The values in the unit that the declaration asks for, and the factor they were multiplied by."""
    if "convert" not in declared:
        return values, 1.0
    factor = find_conversion_factor(declared["convert"]["from"], declared["convert"]["to"], find_analyte(name), where)
    return values * factor, factor


def infer(
    name: str, raw: Raw, declared: Mapping[str, Any], where: str, written: Plain | None = None
) -> tuple[Column, pd.Series] | str:
    """What a column is and its canonical values; or, as text, why it is left out of modelling.

    A column with a declared kind is always modelled. `where` is the place of the declaration in the study; `written`
    holds what the cells said beside their numbers: a unit, limits of detection, or why they cannot be read.

    Raises:
        InputError: values contradict the declaration, or a column of numbers holds some words.
    """
    text = values_of(name, raw, declared)
    seen = text.dropna()
    if seen.empty:
        if declared:
            raise InputError(f"{raw.column(name)}: declared in the study, but no patient has a value")
        return "no value recorded"
    out = None if "kind" in declared or "categories" in declared else _not_modelled(name, seen)
    if out and not set(declared) - {"missing", "decimal"}:
        return out
    if written is not None and written.doubt:
        raise InputError(written.doubt)
    kind = declared.get("kind") or _kind(name, text, raw, declared)
    if kind not in KINDS:
        return kind
    if kind in ("continuous", "integer"):
        column, values = _numeric(name, kind, text, raw, declared, where, written)
    else:
        column, values = _levels(name, kind, text, raw, declared)
    if values.nunique() < 2 and "kind" not in declared and "categories" not in declared:
        return f"constant: {text.dropna().iloc[0]} in every patient with a value"
    return column, values


def _kind(name: str, text: pd.Series, raw: Raw, declared: Mapping[str, Any]) -> str:
    """The kind of a column, or why it is left out."""
    if declared.get("categories"):
        levels = [_level(level) for level in declared["categories"]]
        return "binary" if len(levels) == 2 else ("ordinal" if order_levels(name, levels) else "categorical")
    seen = text.dropna()
    number = numbers(seen)
    distinct = seen.nunique()
    if any(key in declared for key in ("low", "high", "grain", "convert", "unit")):
        return "integer" if "convert" not in declared and bool((number.dropna() % 1 == 0).all()) else "continuous"
    share = float(number.notna().mean())
    if 0.5 <= share < 1 and number.nunique() > 10:
        words = sorted(seen[number.isna()].unique())
        patient = str(seen.index[int(number.isna().argmax())])
        if dates := [word for word in words if SPREADSHEET.fullmatch(word)]:
            raise InputError(
                f"{raw.value(name, patient)}: {dates[0]!r} among numbers: a spreadsheet has made dates of "
                f"{len(dates)} different values, such as 12.3 or 3/12; take them from where the table came from, or "
                f"`{advice_exclude(name)}`"
            )
        raise InputError(
            f"{raw.value(name, patient)}: {text[patient]!r} is not a number, as most of the column are "
            f"({int(number.isna().sum())} cells, {len(words)} different); mend them, or paste "
            f"{f'`{advice(name, missing=words)}` where they mean not recorded, or ' if len(words) <= 20 else ''}"
            f"`{advice_exclude(name)}`"
        )
    if share == 1 and not _code(seen):
        levels = [_number_level(value) for value in seen.unique()]
        whole = bool((number % 1 == 0).all())
        if number.nunique() == 2 and whole:
            return "binary"
        if whole and find_words(ORDINAL_NAME, name) and order_levels(name, sorted(set(levels))):
            return "ordinal"
        return "integer" if whole else "continuous"
    if distinct == 2:
        return "binary"
    if distinct > 10 and len(seen) / distinct < 3:
        return f"text, nearly every patient has another ({distinct} different values)"
    return "ordinal" if order_levels(name, sorted(seen.unique())) else "categorical"


def _code(seen: pd.Series) -> bool:
    """Whether digits are a code and not a number: some begin with a zero, and all have the same length."""
    digits, zeros = seen.str.fullmatch(r"\d+"), seen.str.fullmatch(r"0\d+")
    return bool(digits.all() and zeros.any() and (seen.str.len() == len(str(seen.iloc[0]))).all())


def _not_modelled(name: str, seen: pd.Series) -> str | None:
    """Why a column is left out unless it is declared: an identifier or a date; None for all others."""
    spelt = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
    distinct = seen.nunique()
    if find_words(PERSONAL, spelt):
        return "identifier"
    if (find_words(CODED, spelt) or re.fullmatch("name", name, re.IGNORECASE)) and distinct > len(seen) / 2:
        return "identifier"
    if seen.map(lambda cell: DATE.fullmatch(cell) is not None).mean() > 0.5:
        return "date"
    number = numbers(seen)
    if number.isna().any() or (number % 1 != 0).any() or find_group(name) in ("laboratory", "demographic"):
        return None
    if distinct > 2 and number.between(1900, 2100).all():
        return f"date, by its year; to model it: `{advice(name, kind='integer')}`"
    within = number.between(*SERIAL).all() and number.max() - number.min() < 25_000
    if within and distinct > 10 and (find_words(DATE_NAME, spelt) or (number % 10 != 0).mean() > 0.7):
        return "date, as a spreadsheet counts days"
    if distinct > 10 and number.between(1_000_000_000, 2_500_000_000).all():
        return "date, as a computer counts seconds"
    if len(seen) >= 20 and distinct >= NEARLY_UNIQUE * len(seen):
        return (
            f"whole numbers of which nearly every patient has another ({distinct} of {len(seen)}), as identifiers are; "
            f"if it is a measurement: `{advice(name, kind='integer')}`"
        )
    return None


def _find_declared(declared: Mapping[str, Any]) -> tuple[str, ...]:
    """The attributes that the study fixed; a conversion fixes the unit."""
    names = [key for key in ATTRIBUTES if key in declared and key not in ("convert", "missing", "decimal", "detection")]
    return tuple(names + (["unit"] if "convert" in declared and "unit" not in declared else []))


def _numeric(
    name: str, kind: str, text: pd.Series, raw: Raw, declared: Mapping[str, Any], where: str, written: Plain | None
) -> tuple[Column, pd.Series]:
    recorded = numbers(text)
    wrong = text.notna() & recorded.isna()
    if wrong.any():
        patient = str(text.index[int(wrong.argmax())])
        words = sorted(text[wrong].unique())
        raise InputError(
            f"{raw.value(name, patient)}: {text[patient]!r} is not a number, but the column is {kind}; mend it, or "
            f"where it means not recorded: `{advice(name, missing=words[:20])}`"
        )
    values, factor = convert(name, recorded, declared, where)
    if kind == "integer" and (values.dropna() % 1 != 0).any():
        patient = str(values.index[int((values % 1).fillna(0).ne(0).argmax())])
        raise InputError(
            f"{raw.value(name, patient)}: {text[patient]} is not a whole number, but the column is integer; mend it, "
            f"or `{advice(name, kind='continuous')}`"
        )
    for side, beyond in (("low", values.lt), ("high", values.gt)):
        if side in declared and beyond(declared[side]).any():
            patient = str(values.index[int(beyond(declared[side]).argmax())])
            end = _plain_number(float(values.min() if side == "low" else values.max()))
            raise InputError(
                f"{raw.value(name, patient)}: {values[patient]:g} is beyond the declared {side} {declared[side]:g}; "
                f"mend the value, or change the limit: `{advice(name, **{side: end})}`"
            )
    told = declared["convert"]["to"] if "convert" in declared else declared.get("unit")
    told = told or (written.unit if written else None)
    fixed: dict[str, Any] = {key: float(declared[key]) for key in ("low", "high", "grain") if key in declared}
    column = observe(
        Column(
            kind,
            group=declared.get("group", find_group(name)),
            unit=unit(str(told), where) if "convert" in declared else told or _unit(name, values),
            detection=_detection(declared.get("detection"), written, values),
            declared=_find_declared(declared),
            **fixed,
        ),
        values,
    )
    if factor != 1.0 and "grain" not in declared:  # the step in which it was recorded, before conversion
        step = find_grain(recorded)
        column = replace(column, grain=None if step is None else step * factor)
    return column, values


def _detection(setting: Any, written: Plain | None, values: pd.Series) -> dict[str, tuple[float, ...]]:
    """The limits of detection: those declared, or those that the cells named."""
    if isinstance(setting, Mapping):
        return {side: tuple(map(float, at)) if isinstance(at, list) else (float(at),) for side, at in setting.items()}
    if written is None or written.limits is None:
        return {}
    found = {side: sorted(values[written.limits == side].dropna().unique()) for side in ("low", "high")}
    return {side: tuple(map(float, at)) for side, at in found.items() if at}


def _unit(name: str, values: pd.Series) -> str | None:
    """The unit that a name ends in, as HB (g/dL) or HB_G_DL, or the one that the median of a known analyte shows."""
    if told := read_header_unit(name):
        return told
    median = float(values.median())
    for _, words, units in ANALYTES:
        if find_words(words, name):
            return next((meaning for meaning, low, high in units if low <= median <= high), None)
    return None


def _number_level(text: str) -> str:
    """A level that is a number, as it was meant: 1.0 is 1."""
    value = read_number(text)
    return str(int(value)) if math.isfinite(value) and value.is_integer() else text


def _levels(name: str, kind: str, text: pd.Series, raw: Raw, declared: Mapping[str, Any]) -> tuple[Column, pd.Series]:
    seen = text.dropna()
    if numbers(seen).notna().all() and not _code(seen):
        text = text.map(_number_level, na_action="ignore")
        seen = text.dropna()
    found = sort_levels(seen.unique())
    if "categories" in declared:
        categories = tuple(_level(level) for level in declared["categories"])
        strange = ~seen.isin(categories)
        if strange.any():
            patient = str(seen.index[int(strange.argmax())])
            raise InputError(
                f"{raw.value(name, patient)}: {seen[patient]!r} is none of the declared categories "
                f"{', '.join(categories)}; add it there, or where it means not recorded: "
                f"`{advice(name, missing=sorted(seen[strange].unique())[:20])}`"
            )
    elif kind == "ordinal":
        categories = order_levels(name, found) or (found if numbers(pd.Series(found)).notna().all() else ())
        if not categories:
            raise InputError(
                f"{raw.column(name)}: ordinal, but the order of its levels {', '.join(found)} is not known; "
                f"declare `categories` in their order, or leave them without: `{advice(name, kind='categorical')}`"
            )
    else:
        categories = found
    if kind == "binary" and len(categories) > 2:
        raise InputError(
            f"{raw.column(name)}: binary, but it has the levels {', '.join(categories)}; "
            f"`{advice(name, kind='categorical')}`"
        )
    column = Column(
        kind,
        group=declared.get("group", find_group(name)),
        unit=declared.get("unit"),
        categories=categories,
        declared=_find_declared(declared),
    )
    return column, text


def _spelling(seen: pd.Series) -> dict[str, str]:
    """Levels that differ in case or spaces alone are one: each spelling -> the most frequent one."""
    counts = seen.value_counts()
    best: dict[str, str] = {}
    for level in sorted(counts.index, key=lambda level: (-counts[level], level)):
        best.setdefault(" ".join(level.lower().split()), level)
    return {level: best[" ".join(level.lower().split())] for level in counts.index}


def list_remarks(name: str, column: Column, values: pd.Series, written: Plain | None, total: int) -> list[str]:
    """What a reader should know of a column that is kept: limits of detection, codes for missing, an imputed constant.

    Each suspicion comes with the line of YAML that settles it. `total` is the number of patients.
    """
    found: list[str] = []
    if column.kind in ("continuous", "integer"):
        for side, verb in (("low", "below"), ("high", "above")):
            for at in column.detection.get(side, ()):
                count = _at_limit(written, side, values, at)
                if count:
                    share = f"{100 * count / max(int(values.notna().sum()), 1):.1f} %"
                    half = f" (half of it instead: `{advice(name, detection='half')}`)" if side == "low" else ""
                    found.append(
                        f"{name}: {_patients(count)} ({share}) {verb} a limit of detection of {at:g}; the values are "
                        f"set to the limit, a share of their own{half}"
                    )
        for value in column.points:
            count = int((values == value).sum())
            if count and value not in [at for side in column.detection.values() for at in side]:
                found.append(
                    f"{name}: {value:.10g} in {_patients(count)} ({100 * count / total:.1f} %) lies off the step of "
                    f"{column.grain or 0:g} in which the others are recorded, as an imputed mean does; it is kept as a "
                    f"value of its own; where it means not recorded: `{advice(name, missing=[_plain_number(value)])}`"
                )
        codes = _codes(values.dropna())
    else:
        levels = values.dropna().astype(str)
        codes = _codes(numbers(levels).dropna())
        found += _misspelt(name, levels.value_counts())
        if not numbers(levels).notna().all():  # a code among words
            codes = [code for code in CODES if (levels == _plain_text(code)).any() and len(_plain_text(code)) > 1]
    for code in codes:
        same = values if column.numeric else numbers(values.astype("object").astype(str))
        found.append(
            f"{name}: {_plain_text(code)} in {_patients(int((same == code).sum()))} looks like a code for not recorded "
            f"and is kept as a value; if it is a code: `{advice(name, missing=[_plain_number(code)])}`"
        )
    return found


def _misspelt(name: str, counts: pd.Series) -> list[str]:
    """Levels of one or two patients that are one letter away from a frequent one."""
    found = []
    for rare in sorted(counts.index[counts.to_numpy() <= 2]):
        for common in sorted(counts.index[counts.to_numpy() >= 10]):
            if min(len(rare), len(common)) >= 4 and _one_letter_apart(rare, common):
                found.append(
                    f"{name}: {rare!r} in {_patients(int(counts[rare]))} is one letter away from {common!r} and kept "
                    f"as a level of its own; where it is a slip, mend it in the file"
                )
    return found


def _one_letter_apart(a: str, b: str) -> bool:
    """Whether one letter or sign, but no digit, has been changed, left out or put in."""
    short, long = sorted((a, b), key=len)
    if len(long) - len(short) > 1 or a == b:
        return False
    at = next((i for i, letter in enumerate(short) if letter != long[i]), len(short))
    rest = short[at + 1 :] if len(short) == len(long) else short[at:]
    changed = long[at] + (short[at] if len(short) == len(long) else "")
    return rest == long[at + 1 :] and not any(letter.isdigit() for letter in changed)


def _patients(count: int) -> str:
    return "1 patient" if count == 1 else f"{count} patients"


def _at_limit(written: Plain | None, side: str, values: pd.Series, at: float) -> int:
    """How many cells named this limit of detection."""
    if written is None or written.limits is None:
        return 0
    return int(((written.limits == side) & (values == at)).sum())


def _plain_number(value: float) -> int | float:
    return int(value) if float(value).is_integer() else float(value)


def _plain_text(value: float) -> str:
    return f"{value:.10g}"


def _codes(values: pd.Series) -> list[float]:
    """Values such as 999 or -9 that lie far from all others, as codes for missing do."""
    rest = values[~values.isin(CODES)]
    if len(rest) < 10:
        return []
    low, high = float(rest.min()), float(rest.max())
    return [
        code
        for code in CODES
        if (values == code).any()
        and ((code < 0 <= low) or (code > 1.5 * high and (code > 9 or (high <= 5 and bool((rest % 1 == 0).all())))))
    ]


def find_events(raw: Raw, kept: Iterable[str], known: Iterable[str]) -> list[str]:
    """The kept columns that say yes or no of a cytogenetic event, or of a gene with an approved symbol or in `known`.

    `known` are the genes among the mutations of the cohort.
    """
    from haemosynth.modalities.genomic.ingest.mutations import is_cytogenetic, read_yes_no

    symbols = GENES | set(known)
    found = []
    for name in kept:
        text = raw.clinical[name].dropna()
        words = [word for word in re.split(r"[^A-Z0-9]+", name.upper()) if word and word not in MUTATED]
        gene = bool(words) and (words[0] in symbols or (len(words) == 2 and words[1] in symbols))
        if (gene or is_cytogenetic(name)) and len(text) and read_yes_no(text).notna().all():
            found.append(name)
    return found
