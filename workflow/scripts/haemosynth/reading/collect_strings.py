"""Strings of raw records that must appear in nothing that leaves: identifiers, and what was left out of the table."""

from __future__ import annotations

from collections.abc import Mapping

from haemosynth.reading.numbers import numbers
from haemosynth.reading.source import Raw

KINDS = ("identifier", "date", "text")
# Columns that are left out and hold nothing that belongs to one person.
OF_MANY = ("constant", "no value", "says who was sequenced")


def find_withheld(raw: Raw, excluded: Mapping[str, str]) -> dict[str, set[str]]:
    """Identifiers of patients and samples, and the values of the columns that were left out, by kind.

    Args:
        excluded: source column -> why it was left out. Numbers of columns that are neither identifiers nor dates are no
        strings that anybody could be known by.
    """
    found: dict[str, set[str]] = {kind: set() for kind in KINDS}
    found["identifier"] |= set(map(str, raw.clinical.index)) | raw.samples
    for column in map(str, raw.clinical.columns):
        reason = excluded.get(column)
        if reason is None or reason.startswith(OF_MANY):
            continue
        values = raw.clinical[column].dropna()
        if reason.startswith(("identifier", "whole numbers of which")):
            found["identifier"] |= set(values)
        elif reason.startswith("date"):
            found["date"] |= set(values)
        else:
            found["text"] |= set(values[numbers(values).isna()])
    return found
