"""What a clinical column is, from its name and its values; declarations of the study stand above all inference."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from haemosynth.errors import InputError
from haemosynth.ingest.source import Raw, suggestion
from haemosynth.preprocess import MONTH_DAYS, conversion_factor, unit
from haemosynth.schema import GROUPS, Column

ATTRIBUTES = (
    "kind", "unit", "group", "low", "high", "categories", "grain", "derived", "convert", "missing",
)  # fmt: skip
KINDS = ("continuous", "integer", "ordinal", "categorical", "binary")
STEPS = (100.0, 50.0, 10.0, 5.0, 1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001)
DAY = 1 / MONTH_DAYS
TIME_STEPS = (12.0, 6.0, 1.0, 0.5, 0.1, DAY, 0.01, 0.001)

# Words of a column's name -> group; the first line that matches decides. Words stand between underscores or spaces.
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
DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ].*)?|\d{1,2}[./]\d{1,2}[./](\d{4}|\d{2})")
IDENTIFIER = re.compile(
    r"(^|[_ ])(id|ids|identifier|barcode|mrn|uuid|upn)($|[_ ])|^(name|surname|first_name)$", re.IGNORECASE
)
B2M = "b2mg?|beta_?2_?m(icroglobulin)?|microglobulin"
CELLS = "wbc|leu[ck]ocytes?|platelets?|plt|anc|neutrophils?|lymphocytes?|monocytes?"
# Analyte (as preprocess.MOLAR_MASS names it, or none), words of a column's name, units and the medians to tell them by.
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


def _words(pattern: str, name: str) -> bool:
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower())
    return re.search(rf"(^|_)({pattern})(_|$)", plain) is not None


def analyte(name: str) -> str | None:
    """The analyte whose molar mass is known that a column's name speaks of, or None."""
    return next((title for title, words, _ in ANALYTES if title and _words(words, name)), None)


def group(name: str) -> str:
    """The group of a column, by the words of its name; `other` where none is known."""
    return next((title for title, words in GROUP_WORDS.items() if _words(words, name)), "other")


def numbers(text: pd.Series) -> pd.Series:
    """The numbers of a text column, NaN where the text is missing or no finite number."""
    plain = text.str.replace(r"^([+-]?\d+),(\d+)$", r"\1.\2", regex=True) if text.dtype == object else text
    values = pd.to_numeric(plain, errors="coerce").astype("float64")
    return values.where(np.isfinite(values))


def grain(values: pd.Series, steps: Sequence[float] = STEPS, share: float = 0.9) -> float | None:
    """The largest step that at least `share` of the observed values are multiples of; None where there is none to see.

    A step above one needs 20 values, so that chance does not make it. For times in months a day is a step too.
    """
    seen = values.dropna().to_numpy(dtype="float64")
    seen = seen[seen != 0]
    if len(seen) == 0:
        return None
    for step in steps:
        if step > 1 and len(seen) < 20:
            continue
        units = seen / step
        # Times in days went through months with few digits: a fiftieth of a day is forgiven.
        slack = 0.02 if step == DAY else 1e-6 * np.maximum(1, np.abs(units))
        if (np.abs(units - np.rint(units)) <= slack).mean() >= share:
            return step
    return None


def observed(column: Column, values: pd.Series) -> Column:
    """The column with range, grain and categories as these values show them, the declared ones left as they are.

    Categories keep their order; levels that no patient has leave.
    """
    changes: dict[str, Any] = {}
    if column.kind == "event":
        return column
    if column.numeric:
        seen = values.dropna()
        changes["low"] = float(seen.min()) if len(seen) else None
        changes["high"] = float(seen.max()) if len(seen) else None
        steps = set(TIME_STEPS if column.kind == "time" else STEPS)
        if column.grain is not None:  # a step that a conversion of units has moved off the usual ones
            steps.add(column.grain)
        changes["grain"] = grain(values, sorted(steps, reverse=True))
    else:
        found = set(values.dropna().astype(str))
        ordered = [level for level in column.categories if level in found]
        changes["categories"] = (*ordered, *_sorted(found - set(ordered)))
    return replace(column, **{name: value for name, value in changes.items() if name not in column.declared})


def _sorted(levels: Iterable[str]) -> tuple[str, ...]:
    """Levels in their order: numbers by value, then words by letters."""

    def key(level: str) -> tuple[bool, float, str]:
        try:
            return False, float(level), level
        except ValueError:
            return True, 0.0, level

    return tuple(sorted(levels, key=key))


def ordered_levels(name: str, levels: Sequence[str]) -> tuple[str, ...] | None:
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
    if all(parts) and len(prefixes) == 1 and (prefixes <= known or (_words(ORDINAL_NAME, name) and len(levels) <= 10)):
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
    if "convert" in declared:
        change = declared["convert"]
        if not isinstance(change, Mapping) or set(change) != {"from", "to"}:
            raise InputError(f"{where}: convert is {change!r}; expected {{from: g/dL, to: g/L}}")
        conversion_factor(change["from"], change["to"], analyte(name), where)


def values_of(name: str, raw: Raw, declared: Mapping[str, Any]) -> pd.Series:
    """A column's text without the declared words for missing, levels that differ in case or spaces alone as one."""
    text = raw.clinical[name]
    text = text.mask(text.isin([_level(word) for word in declared.get("missing", ())]), None)
    return text.map(_spelling(text.dropna()), na_action="ignore")


def _level(value: Any) -> str:
    """A level as text: YAML reads Yes and No as truth values and 1 as a number."""
    return ("Yes" if value else "No") if isinstance(value, bool) else str(value)


def convert(name: str, values: pd.Series, declared: Mapping[str, Any], where: str) -> tuple[pd.Series, float]:
    """The values in the unit that the declaration asks for, and the factor they were multiplied by."""
    if "convert" not in declared:
        return values, 1.0
    factor = conversion_factor(declared["convert"]["from"], declared["convert"]["to"], analyte(name), where)
    return values * factor, factor


def infer(name: str, raw: Raw, declared: Mapping[str, Any], where: str) -> tuple[Column, pd.Series] | str:
    """What a column is and its canonical values; or, as text, why it is left out of modelling.

    A column with a declared kind is always modelled. `where` is the place of the declaration in the study.

    Raises:
        InputError: values contradict the declaration, or a column of numbers holds some words.
    """
    text = values_of(name, raw, declared)
    seen = text.dropna()
    if seen.empty:
        if declared:
            raise InputError(f"{raw.column(name)}: declared in the study, but no patient has a value")
        return "no value recorded"
    kind = declared.get("kind") or _kind(name, text, raw, declared)
    if kind not in KINDS:
        return kind
    if kind in ("continuous", "integer"):
        column, values = _numeric(name, kind, text, raw, declared, where)
    else:
        column, values = _levels(name, kind, text, raw, declared)
    if values.nunique() < 2 and "kind" not in declared and "categories" not in declared:
        return f"constant: {text.dropna().iloc[0]} in every patient with a value"
    return column, values


def _kind(name: str, text: pd.Series, raw: Raw, declared: Mapping[str, Any]) -> str:
    """The kind of a column, or why it is left out."""
    if declared.get("categories"):
        levels = [_level(level) for level in declared["categories"]]
        return "binary" if len(levels) == 2 else ("ordinal" if ordered_levels(name, levels) else "categorical")
    seen = text.dropna()
    number = numbers(seen)
    distinct = seen.nunique()
    if any(key in declared for key in ("low", "high", "grain", "convert", "unit")):
        return "integer" if "convert" not in declared and bool((number.dropna() % 1 == 0).all()) else "continuous"
    if IDENTIFIER.search(name) and distinct > len(seen) / 2:
        return "identifier"
    if seen.str.fullmatch(DATE.pattern).mean() > 0.8:
        return "date"
    share = float(number.notna().mean())
    if 0.9 <= share < 1 and number.nunique() > 10:
        words = sorted(seen[number.isna()].unique())
        patient = str(seen.index[int(number.isna().argmax())])
        raise InputError(
            f"{raw.value(name, patient)}: {text[patient]!r} is not a number, as nearly all of the column are; declare "
            f"`columns: {{{name}: {{missing: [{', '.join(words[:5])}{', ...' if len(words) > 5 else ''}]}}}}`, "
            f"declare a kind, or exclude the column"
        )
    if share == 1:
        levels = [_number_level(value) for value in seen.unique()]
        whole = bool((number % 1 == 0).all())
        if number.nunique() == 2 and whole:
            return "binary"
        if whole and _words(ORDINAL_NAME, name) and ordered_levels(name, sorted(set(levels))):
            return "ordinal"
        return "integer" if whole else "continuous"
    if distinct == 2:
        return "binary"
    if distinct > 10 and len(seen) / distinct < 3:
        return f"text, nearly every patient has another ({distinct} different values)"
    return "ordinal" if ordered_levels(name, sorted(seen.unique())) else "categorical"


def _declared(declared: Mapping[str, Any]) -> tuple[str, ...]:
    """The attributes that the study fixed; a conversion fixes the unit."""
    names = [key for key in ATTRIBUTES if key in declared and key not in ("convert", "missing")]
    return tuple(names + (["unit"] if "convert" in declared and "unit" not in declared else []))


def _numeric(
    name: str, kind: str, text: pd.Series, raw: Raw, declared: Mapping[str, Any], where: str
) -> tuple[Column, pd.Series]:
    recorded = numbers(text)
    wrong = text.notna() & recorded.isna()
    if wrong.any():
        patient = str(text.index[int(wrong.argmax())])
        raise InputError(f"{raw.value(name, patient)}: {text[patient]!r} is not a number, but the column is {kind}")
    values, factor = convert(name, recorded, declared, where)
    if kind == "integer" and (values.dropna() % 1 != 0).any():
        patient = str(values.index[int((values % 1).fillna(0).ne(0).argmax())])
        raise InputError(
            f"{raw.value(name, patient)}: {text[patient]} is not a whole number, but the column is integer"
        )
    for side, beyond in (("low", values.lt), ("high", values.gt)):
        if side in declared and beyond(declared[side]).any():
            patient = str(values.index[int(beyond(declared[side]).argmax())])
            raise InputError(
                f"{raw.value(name, patient)}: {values[patient]:g} is beyond the declared {side} {declared[side]:g}; "
                f"mend the value, change the limit, or ask for `winsorise`"
            )
    fixed: dict[str, Any] = {key: float(declared[key]) for key in ("low", "high", "grain") if key in declared}
    told = declared["convert"]["to"] if "convert" in declared else declared.get("unit")
    column = observed(
        Column(
            kind,
            group=declared.get("group", group(name)),
            unit=unit(str(told), where) if "convert" in declared else told or _unit(name, values),
            declared=_declared(declared),
            **fixed,
        ),
        values,
    )
    if factor != 1.0 and "grain" not in declared:  # the step in which it was recorded, before conversion
        step = grain(recorded)
        column = replace(column, grain=None if step is None else step * factor)
    return column, values


def _unit(name: str, values: pd.Series) -> str | None:
    """The unit that a name ends in, as HB (g/dL) or HB_G_DL, or the one that the median of a known analyte tells."""
    told = re.search(r"[\[(]([^\])]+)[\])]\s*$", name)
    if told:
        return told[1]
    plain = "_" + re.sub(r"[^a-z0-9]+", "_", name.lower())
    for ending, meaning in (("_g_dl", "g/dL"), ("_g_l", "g/L"), ("_mg_dl", "mg/dL"), ("_mg_l", "mg/L"),
                            ("_mmol_l", "mmol/L"), ("_umol_l", "umol/L"), ("_u_l", "U/L"), ("_percent", "%"),
                            ("_years", "years"), ("_months", "months"), ("_days", "days")):  # fmt: skip
        if plain.endswith(ending):
            return meaning
    median = float(values.median())
    for _, words, units in ANALYTES:
        if _words(words, name):
            return next((meaning for meaning, low, high in units if low <= median <= high), None)
    return None


def _number_level(text: str) -> str:
    """A level that is a number, as it was meant: 1.0 is 1."""
    value = float(text.replace(",", "."))
    return str(int(value)) if math.isfinite(value) and value.is_integer() else text


def _levels(name: str, kind: str, text: pd.Series, raw: Raw, declared: Mapping[str, Any]) -> tuple[Column, pd.Series]:
    seen = text.dropna()
    if numbers(seen).notna().all():
        text = text.map(_number_level, na_action="ignore")
        seen = text.dropna()
    found = _sorted(seen.unique())
    if "categories" in declared:
        categories = tuple(_level(level) for level in declared["categories"])
        strange = ~seen.isin(categories)
        if strange.any():
            patient = str(seen.index[int(strange.argmax())])
            raise InputError(
                f"{raw.value(name, patient)}: {seen[patient]!r} is none of the declared categories "
                f"{', '.join(categories)}; add it there or under `missing`"
            )
    elif kind == "ordinal":
        categories = ordered_levels(name, found) or (found if numbers(pd.Series(found)).notna().all() else ())
        if not categories:
            raise InputError(
                f"{raw.column(name)}: ordinal, but the order of its levels {', '.join(found)} is not known; "
                f"declare `categories` in their order"
            )
    else:
        categories = found
    if kind == "binary" and len(categories) > 2:
        raise InputError(f"{raw.column(name)}: binary, but it has the levels {', '.join(categories)}")
    column = Column(
        kind,
        group=declared.get("group", group(name)),
        unit=declared.get("unit"),
        categories=categories,
        declared=_declared(declared),
    )
    return column, text


def _spelling(seen: pd.Series) -> dict[str, str]:
    """Levels that differ in case or spaces alone are one: each spelling -> the most frequent one."""
    counts = seen.value_counts()
    best: dict[str, str] = {}
    for level in sorted(counts.index, key=lambda level: (-counts[level], level)):
        best.setdefault(" ".join(level.lower().split()), level)
    return {level: best[" ".join(level.lower().split())] for level in counts.index}
