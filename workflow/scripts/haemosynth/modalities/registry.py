"""The modalities that there are, in the order in which they are drawn. A new one is a folder and a name here."""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from haemosynth.core.errors import InputError
from haemosynth.modalities.modality import Modality

NAMES = ("clinical", "genomic", "expression", "images", "metabolomics", "history")
PACKAGE = "haemosynth.modalities"
MODALITIES: dict[str, Modality] = {name: import_module(f"{PACKAGE}.{name}").MODALITY for name in NAMES}
OF_RECORD = tuple(name for name, modality in MODALITIES.items() if modality.of_record)
FURTHER = tuple(name for name, modality in MODALITIES.items() if not modality.of_record)
# From which endpoints of the record follow.
GIVING_ENDPOINTS = tuple(name for name in FURTHER if MODALITIES[name].gives_endpoints)
# Formats of cohorts without a record, each with the modality that they hold.
ALONE = {kind: name for name, modality in MODALITIES.items() for kind in modality.formats_alone}
# What modalities were called in settings of earlier versions -> what they are called now.
FORMER = {modality.formerly: name for name, modality in MODALITIES.items() if modality.formerly}
RECORD, ALTERED = OF_RECORD  # the table of patients that everything else is keyed by, and their alterations


def offers(name: str, part: str) -> bool:
    """Whether the folder of a modality has this module."""
    return find_spec(f"{PACKAGE}.{name}.{part}") is not None


def load(name: str, part: str) -> ModuleType:
    """A module of a modality's folder, such as `ingest`."""
    return import_module(f"{PACKAGE}.{name}.{part}")


def path_of(name: str, part: str) -> str:
    """The file of a module of a modality's folder, from the folder of the scripts."""
    stem = f"{PACKAGE}.{name}.{part}".replace(".", "/")
    here = Path(__file__).parents[2]
    return f"{stem}.py" if (here / f"{stem}.py").is_file() else f"{stem}/__init__.py"


@cache
def algorithms(name: str) -> tuple[str, ...]:
    """The algorithms of a modality: the files of its `generators` that define DEFAULTS, fit and sample."""
    found = []
    for file in sorted((Path(__file__).parent / name / "generators").glob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        if {"fit", "sample"} <= functions and "DEFAULTS" in _find_assigned(tree):
            found.append(file.stem)
    return tuple(found)


def _find_assigned(tree: ast.Module) -> set[str]:
    names = set()
    for node in tree.body:
        targets: list[Any] = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def load_algorithm(name: str, algorithm: str) -> ModuleType:
    """The module of an algorithm.

    Raises:
        InputError: no such algorithm for this modality.
    """
    known = algorithms(name) if name in MODALITIES else ()
    if algorithm not in known:
        raise InputError(f"methods.{name}: no algorithm {algorithm!r}; expected one of {', '.join(known)}")
    return load(name, f"generators.{algorithm}")
