"""A search of what is to be published for strings of raw records: who somebody is, and what was left out of the table.

Ingestion hands the strings over as salted hashes of runs of words, so that no file of the results holds what was left
out: `fingerprints`. Every run of words of the published files is hashed and looked up: `check_strings`.

Words are runs of letters and digits, without case; a decimal number is one word. A string is looked for as its words
one after the other, whatever comes between them: `AB-12 345` is found in `ab_12/345`. What is too short or too common
to identify anybody is not looked for: strings of fewer than four signs, whole numbers of fewer than six digits, and of
text single words without digits. Of a longer text every run of four words is looked for.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from haemosynth.core.errors import InputError
from haemosynth.core.files import write_json

KINDS = {
    "identifier": "an identifier of a patient, a sample or a record",
    "date": "a date of a raw record",
    "text": "text of a column that was left out",
}
WORD = re.compile(r"\d+\.\d+(?:e[-+]?\d+)?|[^\W_]+")
EMBEDDED = re.compile(r"data:image/(svg\+xml|png);base64,([A-Za-z0-9+/=]+)")
COORDINATES = re.compile(r"\b(?:d|points|transform|style|viewBox)=\"[^\"]*\"")
LONGEST = 4  # words of a run
SHORTEST = 4  # signs of a string
DIGITS = 6  # of a whole number
TEXT_SIGNS = 12  # of a run of words from a text
NOT_SEARCHED = ("run.json", "environment.txt")  # times and versions of this machine, made of nothing else
Words = tuple[str, ...]


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return WORD.findall(text.casefold())


def find_runs(text: str, kind: str) -> list[Words]:
    """The runs of words that a string is looked for by; none where it identifies nobody."""
    every = words(text)
    whole = "".join(every)
    if kind != "text":
        short = len(whole) < (DIGITS if whole.isdigit() else SHORTEST)
        return [] if short or not whole else [tuple(every[:8])]
    coded: list[Words] = [
        (word,) for word in every if len(word) >= DIGITS and sum(sign.isdigit() for sign in word) >= 4
    ]
    coded = [run for run in coded if "." not in run[0]]
    if len(every) < 3:
        return coded if len(every) < 2 or len(whole) < TEXT_SIGNS else [*coded, tuple(every)]
    parts = [tuple(every[at : at + LONGEST]) for at in range(max(1, len(every) - LONGEST + 1))]
    return [*coded, *(part for part in parts if len("".join(part)) >= TEXT_SIGNS)]


def fingerprints(strings: Mapping[str, Iterable[str]], salt: bytes) -> dict[str, Any]:
    """Salted hashes of the runs of words of raw strings: by kind and length, and of the words they begin with."""
    starts: set[str] = set()
    hashes: dict[str, dict[str, set[str]]] = {}
    for kind, every in strings.items():
        for text in every:
            for run in find_runs(text, kind):
                starts.add(_hash(run[:1], salt))
                hashes.setdefault(kind, {}).setdefault(str(len(run)), set()).add(_hash(run, salt))
    return {
        "salt": salt.hex(),
        "starts": sorted(starts),
        "hashes": {
            kind: {length: sorted(found) for length, found in sorted(of.items())} for kind, of in sorted(hashes.items())
        },
    }


def write_fingerprints(strings: Mapping[str, Iterable[str]], salt: bytes, path: str | Path) -> None:
    """Write the hashes of raw strings as JSON."""
    write_json(fingerprints(strings, salt), path)


def _hash(run: Words, salt: bytes) -> str:
    return hashlib.blake2b(" ".join(run).encode(), key=salt, digest_size=10).hexdigest()


def check_strings(folder: Path, prints: Mapping[str, Any], allowed: Iterable[str]) -> None:
    """Raise an InputError where a file of a folder holds a string of a raw record.

    Args:
        prints: of `fingerprints`. allowed: what may be there: names and levels of the schema, the project's texts.
    """
    seeker = _Seeker(prints, allowed)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name in NOT_SEARCHED:
            continue
        for place, text in [("its name", name), *_texts(path)]:
            if kind := seeker.first(text):
                raise InputError(
                    f"{folder.parent / folder.name.removeprefix('.').removesuffix('.part') / name}: {place} holds "
                    f"{KINDS.get(kind, kind)}; nothing is published: look where it comes from (a level of a column, a "
                    f"note or a name in the study file), and leave it out or rename it"
                )


class _Seeker:
    """Looks texts up among hashes; words that no string begins with cost one look at a table."""

    def __init__(self, prints: Mapping[str, Any], allowed: Iterable[str]) -> None:
        self.salt = bytes.fromhex(prints["salt"])
        self.starts = frozenset(prints["starts"])
        self.by_length: dict[int, dict[str, str]] = {}
        for kind, of in prints["hashes"].items():
            for length, hashes in of.items():
                self.by_length.setdefault(int(length), {}).update(dict.fromkeys(hashes, kind))
        self.begins: dict[str, bool] = {}
        self.known: dict[Words, str | None] = {}
        for text in allowed:
            every = words(text)
            for length in self.by_length:
                for at in range(len(every) - length + 1):
                    if self._starts(every[at]):
                        self.known[tuple(every[at : at + length])] = None

    def _starts(self, word: str) -> bool:
        if word not in self.begins:
            self.begins[word] = _hash((word,), self.salt) in self.starts
        return self.begins[word]

    def first(self, text: str) -> str | None:
        """The kind of the first raw string in a text."""
        every = words(text)
        for at, word in enumerate(every):
            if not self._starts(word):
                continue
            for length, hashes in self.by_length.items():
                run = tuple(every[at : at + length])
                if len(run) < length:
                    continue
                if run not in self.known:
                    self.known[run] = hashes.get(_hash(run, self.salt))
                if kind := self.known[run]:
                    return kind
        return None


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    """What can be read in a file, with where it is."""
    ending = path.suffix.lower()
    if ending == ".parquet":
        yield from _of_table(pd.read_parquet(path))
    elif ending in (".h5ad", ".h5mu"):
        yield from _of_hdf5(path)
    elif ending == ".docx":
        with zipfile.ZipFile(path) as archive:
            for name in (name for name in archive.namelist() if name.startswith("word/document")):
                # A cell is a paragraph: what stands in two cells is no run of words.
                for text in re.split(r"</w:p>", archive.read(name).decode("utf-8")):
                    yield "a cell", re.sub(r"<[^>]*>", " ", text)
    else:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return  # pixels and compressed numbers
        for number, (_, picture) in enumerate(EMBEDDED.findall(text), start=1):
            inner = base64.b64decode(picture).decode("utf-8", errors="ignore")
            if "<svg" in inner:
                yield f"figure {number}", COORDINATES.sub("", inner)
        text = EMBEDDED.sub("", text)
        if ending == ".svg":
            text = COORDINATES.sub("", text)
        yield from ((f"line {number}", line) for number, line in enumerate(text.splitlines(), start=1))
        if ending not in (".tsv", ".csv", ".txt"):
            yield "a text over several lines", text


def _of_table(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    for name in table.columns:
        yield "the name of a column", str(name)
        if table[name].dtype == object or isinstance(table[name].dtype, pd.CategoricalDtype | pd.StringDtype):
            for value in table[name].dropna().unique():
                yield f"column {name}", str(value)


def _of_hdf5(path: Path) -> Iterator[tuple[str, str]]:
    import h5py

    found: list[tuple[str, str]] = []

    def visit(name: str, item: Any) -> None:
        found.append(("the name of a part", name))
        if isinstance(item, h5py.Dataset) and h5py.check_string_dtype(item.dtype) is not None:
            values = item.asstr()[()] if item.shape else [item.asstr()[()]]
            found.extend((f"part {name}", str(value)) for value in dict.fromkeys(map(str, list(values))))

    with h5py.File(path) as file:
        file.visititems(visit)
    yield from found


def collect_own_texts(root: Path) -> Iterator[str]:
    """What the project itself says: its documentation, captions, settings and messages."""
    for pattern in (
        "docs/*.md",
        "*.md",
        "config/*",
        "resources/**/*.tsv",
        "resources/explorer/*",
        "workflow/report/*",
        "workflow/**/*.py",
    ):
        for path in sorted(root.glob(pattern)):
            if path.is_file():
                yield path.read_text(encoding="utf-8", errors="ignore")
