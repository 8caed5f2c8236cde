"""Threads are pinned before numpy and torch start: the tests ask for the same bytes every time."""

import os

THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS",
)  # fmt: skip
for name in THREADS:
    os.environ.setdefault(name, "1")

from pathlib import Path

import pytest

pytest_plugins = ["fixtures_comparison"]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cohorts, or a skip that says how to provide it."""
    folder = os.environ.get("HAEMOSYNTH_DATA")
    if not folder:
        pytest.skip("HAEMOSYNTH_DATA is not set: it names the folder of real cohorts (see resources/README.md)")
    return Path(folder)
