"""A quantitative table as a further modality: one row of numbers for each patient who has one, kept as an AnnData.

What such modalities share, whatever the numbers are; each of them says what its values mean, how they are read and how
they become points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from haemosynth.core.arrays import Matrix
from haemosynth.core.cohort import Cohort
from haemosynth.core.errors import InputError, suggestion
from haemosynth.core.files import replacing
from haemosynth.modalities.rows import mean_by_patient

if TYPE_CHECKING:
    from anndata import AnnData

LEFT = ("what", "name", "reason")  # columns of the table of what ingestion left out
Left = list[tuple[str, str, str]]
LEAST = 1e-9  # standard deviation below which a number or a component is constant
FARTHEST = 10.0  # standard deviations from the mean that a number counts at most


@dataclass(frozen=True)
class Quantities:
    """Numbers of patients: data has one row for each patient who has any, in table order.

    table: its name in a MuData file.
    """

    data: AnnData
    table: str

    @property
    def owners(self) -> pd.Index:
        """The patient of each row."""
        owners: pd.Index = self.data.obs_names
        return owners

    def take(self, rows: np.ndarray, positions: np.ndarray) -> Quantities:
        """These rows, in this order."""
        return Quantities(self.data[rows], self.table)


def find_data(cohort: Cohort, name: str) -> AnnData | None:
    """The table of this modality; None where the cohort has none."""
    part = cohort.parts.get(name)
    assert part is None or isinstance(part, Quantities)
    return None if part is None else part.data


def data_of(cohort: Cohort, name: str) -> AnnData:
    """The table of this modality of a cohort that has it.

    Raises:
        KeyError: it has none.
    """
    found = find_data(cohort, name)
    if found is None:
        raise KeyError(name)
    return found


def read_data(path: str | Path) -> AnnData:
    """Read a table: one row per patient.

    Raises:
        InputError: the file is missing, or a patient occurs twice.
    """
    import anndata

    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    data = anndata.read_h5ad(path)
    if data.obs_names.has_duplicates:
        repeated = data.obs_names[data.obs_names.duplicated()][0]
        raise InputError(f"{path}: patient {repeated} occurs more than once")
    return data


def read_part(path: str | Path, table: str) -> Quantities:
    """Read a table as the part of a cohort.

    Raises:
        InputError: the file is missing, or a patient occurs twice.
    """
    return Quantities(read_data(path), table)


def write_data(part: Quantities | AnnData, path: str | Path) -> None:
    """Write a table as h5ad: a part, or what generators and references draw."""
    data = part.data if isinstance(part, Quantities) else part
    with replacing(path) as temporary:
        data.write_h5ad(temporary, compression="gzip")


def read_settings(
    modality: str, name: str, entry: Mapping[str, Any], defaults: Mapping[str, Any], example: str
) -> tuple[dict[str, Any], str]:
    """The key of a modality in the entry of the cohort `name`, with its defaults; and where it is, for messages.

    example: what such a key may hold.

    Raises:
        InputError: it is no mapping, or a key is unknown.
    """
    chosen = entry.get(modality) or {}
    where = f"cohorts.{name}.{modality}"
    if not isinstance(chosen, Mapping):
        raise InputError(f"{where}: expected a mapping such as {{{example}}}")
    for key in chosen:
        if key not in defaults:
            raise InputError(f"{where}: unknown key {key!r}; {suggestion(str(key), list(defaults))}")
    return {**defaults, **chosen}, where


def keep_one_each(samples: Sequence[str], owner: Mapping[str, str], left: Left) -> dict[str, int]:
    """Patient -> position of the sample that represents the patient; the others are added to `left`.

    samples: names in a file. owner: sample -> patient, in the order in which samples are preferred.
    """
    rank = {sample: i for i, sample in enumerate(owner)}
    taken: dict[str, int] = {}
    for i in sorted(range(len(samples)), key=lambda i: rank[samples[i]]):
        patient = owner[samples[i]]
        if patient in taken:
            left.append(("sample", str(samples[i]), f"another sample of {patient} is kept: {samples[taken[patient]]}"))
        else:
            taken[patient] = i
    return taken


def fill_matrix(matrix: Any, kind: Any) -> np.ndarray:
    """A matrix with all its zeros, whether it was stored with them or not; kind: of its numbers."""
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix, dtype=kind)


def fit_components(
    most: int, known: Sequence[AnnData], numbers: Callable[[AnnData], Matrix], limit: float = FARTHEST
) -> Callable[[AnnData], Matrix]:
    """What places patients in the first `most` principal components of known patients' numbers.

    Numbers are centred and divided by their standard deviation among the known patients; the components keep their
    scale, so that distances are those between standardised profiles. What is placed counts at most ten standard
    deviations; limit: the same while components are found.
    """
    from sklearn.decomposition import PCA

    seen = np.vstack([numbers(part) for part in known])
    middle, spread = seen.mean(axis=0), np.maximum(seen.std(axis=0), LEAST)
    number = min(most, len(seen) - 1, seen.shape[1])
    # The full decomposition draws nothing, and the largest weight of a component is positive.
    axes = PCA(number, svd_solver="full").fit(((seen - middle) / spread).clip(-limit, limit)).components_.T

    def place(data: AnnData) -> Matrix:
        return np.asarray(((numbers(data) - middle) / spread).clip(-FARTHEST, FARTHEST) @ axes, dtype=np.float64)

    return place


def standardise_components(place: Callable[[AnnData], Matrix], known: AnnData) -> Callable[[AnnData], Matrix]:
    """The same places with each component on the scale of one standard deviation among known patients."""
    spread = np.maximum(place(known).std(axis=0), LEAST)
    return lambda data: np.asarray(place(data) / spread)


def summarise_components(
    name: str,
    known: Sequence[Cohort],
    fewest: int,
    components: int,
    space: Callable[..., Callable[[AnnData], Matrix]],
) -> Callable[[Cohort], tuple[list[str], Matrix]] | None:
    """What gives names and numbers of a cohort, (patients, components), NaN for a patient without this modality.

    The components are those of the patients of all cohorts in `known`, as `space(components, *tables)` finds them; None
    where one of these has fewer than `fewest` patients with the modality.
    """
    tables = [data for cohort in known if (data := find_data(cohort, name)) is not None]
    if len(tables) < len(known) or min(own.n_obs for own in tables) < fewest:
        return None
    place = space(components, *tables)
    width = place(tables[0][:1]).shape[1]

    def numbers(cohort: Cohort) -> tuple[list[str], Matrix]:
        names, own = [f"component {i + 1}" for i in range(width)], find_data(cohort, name)
        if own is None or not own.n_obs:
            return names, np.full((len(cohort), width), np.nan)
        return names, mean_by_patient(place(own), own.obs_names, cohort.patients)

    return numbers


def place_for_archetypes(
    name: str, train: Cohort, fewest: int, space: Callable[[AnnData], Callable[[AnnData], Matrix]]
) -> Callable[[Cohort], Matrix | None] | None:
    """What places patients for archetypes, (patients, components), half of the weight of a number of the record each.

    None where fewer than `fewest` training patients have the modality. A patient without it is in the middle.
    space: what makes places, on the scale of one standard deviation, out of the training patients' table.
    """
    known = find_data(train, name)
    if known is None or known.n_obs < fewest:
        return None
    place = space(known)

    def points(cohort: Cohort) -> Matrix | None:
        own = find_data(cohort, name)
        if own is None:
            return None
        table = pd.DataFrame(place(own) / 2, index=own.obs_names)
        return np.asarray(table.reindex(cohort.patients).fillna(0.0).to_numpy())

    return points


def choose_owners(kind: str, real: AnnData, train: Cohort, given: Cohort, rng: np.random.Generator) -> pd.Index:
    """Which patients of a drawn reference have the modality: as many as in train, or every second one.

    Raises:
        InputError: the reference is neither independent nor uniform.
    """
    if kind not in ("independent", "uniform"):
        raise InputError(f"no reference {kind!r}; expected one of real, independent, uniform")
    share = real.n_obs / len(train) if kind == "independent" else 0.5
    owners: pd.Index = given.patients[rng.random(len(given)) < share]
    return owners
