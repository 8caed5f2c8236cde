"""Writing files so that nothing half-written is ever seen, and the same content gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from haemosynth.core.errors import InputError


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
            table.to_parquet(temporary, index=False, compression="zstd", engine="pyarrow", write_page_checksum=True)
        elif suffix in (".tsv", ".csv"):
            separator = "\t" if suffix == ".tsv" else ","
            table.to_csv(temporary, sep=separator, index=False, float_format="%.9g", lineterminator="\n")
        else:
            raise ValueError(f"{path}: no writer for a table with the ending {suffix!r}")


def describe_damage(path: str | Path, error: object) -> InputError:
    """The one line about a file that was whole when it was written and cannot be read now."""
    return InputError(f"{path}: damaged ({' '.join(str(error).split())[:200]}); run again, and it is made anew")


def digest(path: str | Path) -> str:
    """The sha256 of a file, or of the names and sha256 of all files in a folder but Snakemake's note of its time."""
    path = Path(path)
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and file.name != ".snakemake_timestamp"]
    lines = [f"{digest(file)}  {file.relative_to(path)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def write_checksums(paths: Iterable[str | Path], record: str | Path) -> None:
    """Note the sha256 of what a job has written, one line for each file or folder."""
    write_text("".join(f"{digest(path)}  {path}\n" for path in paths), record)


def find_changed(record: str | Path) -> list[Path]:
    """What is there and no longer as `write_checksums` noted it; what is gone is not reported."""
    lines = (line.partition("  ") for line in Path(record).read_text(encoding="utf-8", errors="replace").splitlines())
    return [Path(name) for stated, _, name in lines if name and Path(name).exists() and digest(name) != stated]


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """The table with an apostrophe before every text that a spreadsheet would run as a formula, headers too.

    That is text that begins with one of = + - @, a tab or a carriage return, other than a number or a lone sign.
    """

    def plain(value: Any) -> Any:
        risky = isinstance(value, str) and re.match(r"[=+\-@\t\r].", value, flags=re.DOTALL)
        return f"'{value}" if risky and not re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", value) else value

    texts: dict[str, Any] = {
        str(name): table[name].astype("object").map(plain)
        for name in table
        if not (pd.api.types.is_numeric_dtype(table[name]) or pd.api.types.is_bool_dtype(table[name]))
    }
    return table.assign(**texts).rename(columns=plain)


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a table written by `write_table`, also one without columns (a fit that keeps no history)."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if path.suffix == ".parquet":
        try:
            return pd.read_parquet(path, engine="pyarrow", page_checksum_verification=True)
        except Exception as error:  # what a flipped byte of the header raises depends on the byte
            raise describe_damage(path, error) from None
    if path.stat().st_size < 2:
        return pd.DataFrame()
    return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", keep_default_na=True)


def write_yaml(content: Any, path: str | Path) -> None:
    """Write plain data as YAML, keys in the order given."""
    write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100), path)


def read_yaml(path: str | Path) -> Any:
    """Read a YAML file; a syntax error is reported with its line."""
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


def _digest(weights: Path, settings: Any) -> str:
    """The sha256 of a model: of its weights file and its description together."""
    text = json.dumps(settings, sort_keys=True, ensure_ascii=False).encode()
    return hashlib.sha256(weights.read_bytes() + text).hexdigest()


def save_model(
    arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any], weights: str | Path, description: str | Path
) -> None:
    """Save a fitted model as safetensors (`arrays`) and JSON (`settings`, everything that is not an array).

    The JSON ends with `sha256`, of both files together, which `load_model` checks.
    """
    from safetensors.numpy import save_file

    with replacing(weights) as temporary:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, temporary)
    # Read back as JSON, so that the digest is that of what a reader finds.
    plain = json.loads(json.dumps(settings, ensure_ascii=False))
    write_json({**plain, "sha256": _digest(Path(weights), plain)}, description)


def load_model(weights: str | Path, description: str | Path) -> tuple[dict[str, np.ndarray], Any]:
    """Load what `save_model` wrote: (arrays, settings).

    Raises:
        InputError: one of the files is damaged, or was changed since the model was saved.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        settings = json.loads(Path(description).read_text(encoding="utf-8"))
        stated = settings.pop("sha256", None)
    except (ValueError, AttributeError, TypeError) as error:
        raise describe_damage(description, error) from None
    if stated != _digest(Path(weights), settings):
        raise describe_damage(weights, f"not the model that {Path(description).name} describes: its sha256 differs")
    try:
        return load_file(weights), settings
    except (SafetensorError, OSError) as error:
        raise describe_damage(weights, error) from None
