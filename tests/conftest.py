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


# Files that take longest come first, so that no worker is left alone with one at the end.
LONGEST = (
    "workflow/test_workflow.py", "images/test_image_stages.py", "images/test_image_generators.py",
    "genomic/test_mutations.py", "report/test_dossier_page.py", "clinical/test_given.py", "test_tutorial.py",
    "validate/test_bayesian_network.py", "clinical/test_clinical.py", "privacy/test_attacks.py",
    "genomic/test_genomic_model.py", "clinical/test_impute.py", "clinical/test_competing_risks_stage.py",
    "metabolomics/test_metabolomics_stages.py", "privacy/test_rare_patients.py", "clinical/test_survival.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests by file, the longest first."""

    def place(item: pytest.Item) -> int:
        file = item.path.as_posix()
        return next((k for k, name in enumerate(LONGEST) if file.endswith(name)), len(LONGEST))

    items.sort(key=place)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real cohorts, or a skip that says how to provide it."""
    folder = os.environ.get("HAEMOSYNTH_DATA")
    if not folder:
        pytest.skip("HAEMOSYNTH_DATA is not set: it names the folder of real cohorts (see resources/README.md)")
    return Path(folder)
