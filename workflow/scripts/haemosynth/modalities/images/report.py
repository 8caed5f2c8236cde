"""The description of an image as a report in words, and back.

`write_report` says a description with several phrasings of each field, with negation (no lesion is said, not 0
lesions), units, and missing fields as not assessed. `read_report` finds the fields in a text again: it looks for the
words of each field and the number and unit that belong to them, and knows nothing of the phrasings, so that it reads
reports that were not written here, as far as they use such words. No real report has been read; nothing is claimed
about them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from haemosynth.modalities.images.description import Field

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
SPELLED = dict(zip(WORDS, range(13), strict=True)) | {"a single": 1, "single": 1, "solitary": 1, "zero": 0}
NUMBER = re.compile(r"[-+]?\d+(?:[.,]\d+)?|\b(?:" + "|".join(sorted(SPELLED, key=len, reverse=True)) + r")\b", re.I)
UNKNOWN = re.compile(
    r"\bnot (?:be )?(?:assess|evalua|measur|determin|available|seen well|visuali[sz]ed|known)\w*|\bunknown\b|"
    r"\b(?:cannot|could not) be \w+|\bnot in the (?:slice|field)\b|\bn/?a\b|\bunassessable\b",
    re.I,
)
NONE = re.compile(r"\b(?:no|without|absent|absence of|free of|not any|none|nor|neither)\b", re.I)
ABSENT = re.compile(r"\s*(?:is|are|was|were)? ?absent", re.I)
FRAMES = ("The {} is {}.", "{} of {}.", "The {} was measured as {}.", "The {} comes to {}.")
UNASSESSED = ("The {} was not assessed.", "The {} could not be assessed.", "Not assessed: {}.")


@dataclass(frozen=True)
class Terms:
    """How a field is said and found. said: noun phrases. found: patterns of words that tell it."""

    said: tuple[str, ...]
    found: tuple[str, ...]


PETCT = {
    "lesion_area": Terms(
        ("total area of the lesions", "lesion area", "area of all lesions together"),
        (r"(?:total |combined )?(?:lesion|lesional|tumou?r) area",
         r"areas? of (?:all |the )*(?:lesions?|foci)(?: together)?"),
    ),
    "suv_max": Terms(
        ("SUVmax", "highest uptake of a lesion", "peak lesion uptake"),
        (r"suv ?-?max(?:imum)?", r"(?:maxim\w+|peak|highest|hottest) (?:lesion\w* |standardi[sz]ed )*uptake(?: value)?"
         r"(?: (?:of|in) (?:a |the |any )*(?:lesions?|foci|focus))?"),
    ),
    "suv_mean": Terms(
        ("SUVmean", "mean uptake of the lesions", "average lesion uptake"),
        (r"suv ?-?mean", r"(?:mean|average) (?:lesion\w* |standardi[sz]ed )*uptake(?: value)?"
         r"(?: (?:of|in) (?:all |the )*(?:lesions?|foci))?"),
    ),
    "marrow_suv": Terms(
        ("uptake of the marrow", "marrow uptake", "background uptake of the bone marrow"),
        (r"(?:background |diffuse )?uptake (?:of|in) (?:the )?(?:bone )?marrow",
         r"(?:bone[- ])?marrow (?:suv|uptake|activity)"),
    ),
    "liver_suv": Terms(
        ("uptake of the liver", "liver uptake", "hepatic uptake"),
        (r"(?:uptake|activity) (?:of|in) (?:the )?liver", r"(?:liver|hepatic) (?:suv|uptake|activity|reference)"),
    ),
    "muscle_suv": Terms(
        ("uptake of soft tissue", "soft-tissue uptake", "uptake of muscle"),
        (r"uptake (?:of|in) (?:the )?(?:soft tissues?|muscles?)",
         r"(?:soft[- ]tissue|muscle|muscular) (?:suv|uptake|activity)"),
    ),
    "bone_hu": Terms(
        ("density of the marrow spaces", "trabecular density", "density of trabecular bone"),
        (r"density of (?:the )?(?:marrow spaces?|trabecular bone|spongiosa)",
         r"(?:trabecular|spongiosa) (?:bone )?density"),
    ),
    "body_width": Terms(
        ("width of the body", "transverse diameter of the body"),
        (r"width of the (?:body|trunk|patient)", r"(?:body|trunk) width",
         r"(?:transverse|lateral) (?:body )?diameter(?: of the (?:body|trunk))?"),
    ),
    "body_depth": Terms(
        ("depth of the body", "sagittal diameter of the body"),
        (r"depth of the (?:body|trunk|patient)", r"(?:body|trunk) depth",
         r"(?:sagittal|anteroposterior|ap) (?:body )?diameter(?: of the (?:body|trunk))?"),
    ),
    "fat": Terms(
        ("share of fat", "fat fraction"),
        (r"(?:share|proportion|percentage) of (?:body )?fat", r"(?:body )?fat (?:fraction|share|content)"),
    ),
    "ct_grain": Terms(("noise of CT", "CT noise"), (r"noise (?:of|in|on) (?:the )?ct", r"ct(?: image)? noise")),
    "pet_grain": Terms(("noise of PET", "PET noise"), (r"noise (?:of|in|on) (?:the )?pet", r"pet(?: image)? noise")),
    "edge": Terms(
        ("sharpness of edges on CT", "CT edge steepness"),
        (r"(?:sharpness|steepness) of (?:the )?edges(?: on ct)?", r"(?:ct )?edge (?:steepness|sharpness)"),
    ),
}  # fmt: skip
COLOUR = {
    "cell_area": Terms(("mean area of a cell", "cell size"), (r"(?:mean|average) area of (?:a |the )*cells?",
     r"(?:mean |average )?cell size")),
    "masked": Terms(
        ("share of the field covered by cells", "cell cover"),
        (r"share of the field (?:that is )?(?:covered|taken)(?: by cells)?", r"cell(?:ular)? cover(?:age)?"),
    ),
    "gap": Terms(
        ("distance to the nearest cell", "gap between cells"),
        (r"distance (?:to|of) the (?:nearest|next) (?:neighbou?r(?:ing)? )?cell",
         r"(?:gap|spacing) between (?:the )?cells"),
    ),
    "nucleus_ratio": Terms(
        ("nucleus to cytoplasm ratio", "nuclear-cytoplasmic ratio"),
        (r"nucle(?:us|ar)[- ](?:to[- ])?cytoplasm(?:ic)?(?: area)? ratio", r"n[:/]c ratio"),
    ),
    "cell_dark": Terms(("darkness of the cells", "depth of stain of the cells"),
                       (r"(?:darkness|depth of stain|staining depth) (?:of|in) the cells",)),
    "cell_blue": Terms(("blueness of the cells",), (r"blueness of the cells", r"basophilia")),
    "field_dark": Terms(("darkness of the background",), (r"darkness of the (?:background|field)",
     r"background darkness")),
    "field_blue": Terms(("blueness of the background",), (r"blueness of the (?:background|field)",
     r"background blueness")),
    "grain": Terms(("image noise", "grain of the picture"), (r"image noise", r"grain of the (?:picture|image)")),
}  # fmt: skip
COUNTED = {
    "lesions": (
        ("focal lesion", "focal lesions"),
        r"(?:focal |hypermetabolic |fdg[- ]avid |avid )*(?:lesions?|foci|focus)\b",
    ),
    "cells": (
        ("plasma cell or cluster", "plasma cells or clusters"),
        r"(?:plasma[- ]cells?(?: or clusters?)?|plasmocytes?)\b",
    ),
    "structures": (("structure", "structures"), r"(?:outlined )?structures?\b"),
}
SIDES = {
    "across": (r"mm to the (?:patient'?s )?(left|right)", {"left": 1.0, "right": -1.0}),
    "behind": (
        r"mm (behind|in front of|posterior|anterior|dorsal|ventral)",
        {"behind": 1.0, "posterior": 1.0, "dorsal": 1.0, "in front of": -1.0, "anterior": -1.0, "ventral": -1.0},
    ),
}  # fmt: skip
SPOTS = ("The hottest lesion lies {} and {} of the image.", "The most active lesion is found {} and {} of the image.")
# What a number is multiplied by to be in the field's unit.
UNITS = {("cm2", "mm2"): 0.01, ("mm", "cm"): 10.0, ("mm", "m"): 1000.0, ("mm2", "cm2"): 100.0}
UNIT = r"\s*(cm2|cm²|mm2|mm²|cm|mm|hu|suv|%|percent|diameters?)?"


def write_report(row: Mapping[str, float] | pd.Series, fields: Sequence[Field], rng: np.random.Generator) -> str:
    """A description in words, with phrasings drawn by `rng`. Fields of structures are left out where there are none."""
    sentences = []
    present = {field.name: float(row[field.name]) for field in fields}
    for field in fields:
        value = present[field.name]
        if field.of and present.get(field.of) == 0:
            continue
        if field.name in COUNTED:
            sentences.append(_say_count(value, COUNTED[field.name][0], rng))
        elif field.name == "across":
            behind = present["behind"]
            if np.isnan(value) or np.isnan(behind):
                sentences.append(_pick(UNASSESSED, rng).format("site of the hottest lesion"))
            else:
                side = f"{abs(value):.0f} mm to the patient's {'right' if value < 0 else 'left'}"
                depth = f"{abs(behind):.0f} mm {'in front of' if behind < 0 else 'behind'} the middle"
                sentences.append(_pick(SPOTS, rng).format(side, depth))
        elif field.name != "behind":
            said = _pick(_terms(field).said, rng)
            if np.isnan(value):
                sentences.append(_pick(UNASSESSED, rng).format(said))
            else:
                number = f"{value:.{field.digits}f}{'' if field.unit in ('', '%') else ' '}{field.unit}"
                sentence = _pick(FRAMES, rng).format(said, number)
                sentences.append(sentence[0].upper() + sentence[1:])
    return " ".join(sentences)


def read_report(text: str, fields: Sequence[Field]) -> dict[str, float]:
    """The fields that a text tells: name -> value, NaN where it says that the field was not assessed.

    Fields that it does not name are absent.
    """
    found: dict[str, float] = {}
    for clause in _clauses(text):
        places = _places(clause, fields)
        taken = [span for _, span in places]
        numbers = [
            match
            for match in NUMBER.finditer(clause)
            if not any(a < match.end() and match.start() < b for a, b in taken)
        ]
        for position, (field, (start, end)) in enumerate(places):
            if field.name in found:
                continue
            before = places[position - 1][1][1] if position else 0
            after = places[position + 1][1][0] if position + 1 < len(places) else len(clause)
            if field.name in SIDES:
                found[field.name] = _read_side(clause[start:end], field.name)
                continue
            left = [match for match in numbers if before <= match.start() and match.end() <= start]
            right = [match for match in numbers if end <= match.start() and match.end() <= after]
            counted = field.name in COUNTED
            nearest = (left[::-1] or right) if counted else (right or left[::-1])
            if UNKNOWN.search(clause):
                found[field.name] = np.nan
            elif counted and (
                NONE.search(clause[before:start]) or re.match(r"\s*(?:is|are|was|were)? ?absent", clause[end:])
            ):
                found[field.name] = 0.0
            elif nearest:
                found[field.name] = _value(clause, nearest[0], field)
            elif counted and re.search(r"\b(?:a|an) (?:\w+ )?$", clause[before:start], re.I):
                found[field.name] = 1.0
    for field in fields:
        if field.of and found.get(field.of) == 0:
            found.pop(field.name, None)
    return found


def read_table(texts: Sequence[str], fields: Sequence[Field]) -> pd.DataFrame:
    """(texts, fields) what reports tell, NaN where a field is missing or was not told."""
    return pd.DataFrame([read_report(text, fields) for text in texts], columns=[f.name for f in fields], dtype=float)


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _terms(field: Field) -> Terms:
    known = PETCT.get(field.name) or COLOUR.get(field.name)
    return known or Terms((field.about,), (re.escape(field.about.lower()), re.escape(field.name.lower())))


def _say_count(value: float, noun: tuple[str, str], rng: np.random.Generator) -> str:
    if np.isnan(value):
        return _pick(UNASSESSED, rng).format(f"number of {noun[1]}")
    if value == 0:
        return _pick((f"No {noun[0]} is seen.", f"There are no {noun[1]}.", f"The image is without {noun[1]}."), rng)
    number = int(value)
    said = WORDS[number] if number < len(WORDS) and rng.random() < 0.5 else str(number)
    one, are = (noun[0], "is") if number == 1 else (noun[1], "are")
    sentence = _pick((f"{said} {one} {are} seen.", f"There {are} {said} {one}.", f"{said} {one} in the slice."), rng)
    return sentence[0].upper() + sentence[1:]


def _clauses(text: str) -> list[str]:
    """Sentences, and their parts before and after `but`, `while` and the like."""
    whole = re.split(r"[.;](?=\s|$)|\n", text)
    parts = [part for sentence in whole for part in re.split(r",?\s+(?:but|while|whereas|although)\s+", sentence)]
    return [part.strip() for part in parts if part.strip()]


def _places(clause: str, fields: Sequence[Field]) -> list[tuple[Field, tuple[int, int]]]:
    """The fields that a clause names, in their order, with the words that name them; the longer words go first."""
    matches = []
    for field in fields:
        if field.name in SIDES:
            patterns: tuple[str, ...] = (r"\d+(?:[.,]\d+)?\s*(?:cm|mm)" + SIDES[field.name][0][2:],)
        else:
            patterns = (COUNTED[field.name][1],) if field.name in COUNTED else _terms(field).found
        for pattern in patterns:
            matches += [(field, match.span()) for match in re.finditer(rf"(?<!\w)(?:{pattern})", clause, re.I)]
    kept: list[tuple[Field, tuple[int, int]]] = []
    for field, (start, end) in sorted(matches, key=lambda own: own[1][0] - own[1][1]):
        if all(end <= a or b <= start for _, (a, b) in kept):
            kept.append((field, (start, end)))
    return sorted(kept, key=lambda own: own[1])


def _value(clause: str, number: re.Match[str], field: Field) -> float:
    value = _number(number.group())
    unit = re.match(UNIT, clause[number.end() :], re.I)
    told = (unit.group(1) or "").lower().replace("²", "2") if unit else ""
    return value * UNITS.get((field.unit, told), 1.0)


def _number(said: str) -> float:
    low = said.lower()
    return float(SPELLED[low]) if low in SPELLED else float(said.replace(",", "."))


def _read_side(said: str, name: str) -> float:
    value = re.match(r"(\d+(?:[.,]\d+)?)\s*(cm|mm)", said, re.I)
    assert value is not None
    sign = next(sign for word, sign in SIDES[name][1].items() if word in said.lower())
    return sign * _number(value.group(1)) * (10.0 if value.group(2).lower() == "cm" else 1.0)
