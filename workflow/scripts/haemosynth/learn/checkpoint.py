"""Where an interrupted fit is taken up again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from haemosynth.core.errors import InputError
from haemosynth.core.files import load_model, save_model


def identity_of(settings: Mapping[str, Any], seed: int, *arrays: np.ndarray) -> str:
    """A digest of what is fitted: only a fit of the same patients, settings and seed is taken up."""
    told = json.dumps([sorted((key, str(value)) for key, value in settings.items()), seed])
    digest = hashlib.sha256(told.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """The two files of a checkpoint. prefix: of their paths; None: nothing is kept. identity: of what is fitted."""

    prefix: Path | None
    identity: str

    @property
    def _files(self) -> tuple[Path, Path] | None:
        if self.prefix is None:
            return None
        return self.prefix.with_name(f"{self.prefix.name}.safetensors"), self.prefix.with_name(
            f"{self.prefix.name}.json"
        )

    def load(self) -> tuple[dict[str, np.ndarray], Any] | None:
        """(arrays, plain data) that were saved last; None where there are none of this fit, or damaged ones.

        A crash or a full disk may leave a damaged checkpoint: the fit then begins anew.
        """
        files = self._files
        if files is None or not all(path.is_file() for path in files):
            return None
        try:
            arrays, plain = load_model(*files)
        except InputError:
            return None
        return (arrays, plain) if plain.get("identity") == self.identity else None

    def save(self, arrays: Mapping[str, np.ndarray], plain: Mapping[str, Any]) -> None:
        """Write the state of the fit over the one before."""
        if (files := self._files) is not None:
            save_model(arrays, {**plain, "identity": self.identity}, *files)

    def remove(self) -> None:
        """Remove the files, once the fit is done."""
        for path in self._files or ():
            path.unlink(missing_ok=True)
