"""Writing files so that nothing half-written is ever seen, and the same content gives the same bytes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from haemosynth.errors import InputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it into place only if the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(text: str, path: str | Path) -> None:
    """Write `text` as UTF-8 with Unix line ends."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table without its index; the suffix decides: .parquet, .tsv or .csv.

    Text tables carry nine significant digits: enough for every metric, and stable in the last place.
    """
    suffix = Path(path).suffix
    with replacing(path) as temporary:
        if suffix == ".parquet":
            table.to_parquet(temporary, index=False, compression="zstd", engine="pyarrow")
        elif suffix in (".tsv", ".csv"):
            separator = "\t" if suffix == ".tsv" else ","
            table.to_csv(temporary, sep=separator, index=False, float_format="%.9g", lineterminator="\n")
        else:
            raise ValueError(f"{path}: no writer for a table with the ending {suffix!r}")


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table written by `write_table`, also one without columns (a fit that keeps no history)."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.stat().st_size < 2:
        return pd.DataFrame()
    return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", keep_default_na=True)


def write_yaml(content: Any, path: str | Path) -> None:
    """Write plain data as YAML, keys in the order given."""
    write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), path)


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file; a syntax error is told with its line."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: not valid YAML ({getattr(error, 'problem', error)})") from None


def write_json(content: Any, path: str | Path) -> None:
    """Write plain data as indented JSON."""
    write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", path)


def save_model(arrays: Mapping[str, np.ndarray], settings: Any, weights: str | Path, description: str | Path) -> None:
    """Save a fitted model as safetensors (`arrays`) and JSON (`settings`, everything that is not an array)."""
    from safetensors.numpy import save_file

    with replacing(weights) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
    write_json(settings, description)


def load_model(weights: str | Path, description: str | Path) -> tuple[dict[str, np.ndarray], Any]:
    """Load what `save_model` wrote: (arrays, settings)."""
    from safetensors.numpy import load_file

    return load_file(weights), json.loads(Path(description).read_text(encoding="utf-8"))
