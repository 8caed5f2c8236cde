"""The documentation names what the code has."""

import re
from pathlib import Path

from haemosynth.generate import ALGORITHMS
from haemosynth.impute import ALGORITHMS as IMPUTATIONS
from haemosynth.validate import STAGES
from haemosynth.validate.scorecard import dictionary

ROOT = Path(__file__).parents[1]
METHODS = (ROOT / "docs/methods.md").read_text()


def test_every_metric_stands_in_the_methods_with_its_formula():
    for row in dictionary().itertuples():
        section = METHODS.split(f"### {row.stage}\n")[1].split("\n### ")[0]
        assert f"`{row.name}`" in section
        assert row.formula in section


def test_every_algorithm_and_stage_is_described():
    names = [name for group in ALGORITHMS.values() for name in group] + list(IMPUTATIONS)
    for name in names:
        assert f"`{name}`" in METHODS
    for stage in STAGES:
        assert (ROOT / f"workflow/report/{stage}.rst").read_text().strip()


def test_the_files_that_the_readme_names_exist():
    readme = (ROOT / "README.md").read_text()
    for path in re.findall(r"\]\(([^)#]+)\)", readme):
        assert (ROOT / path).exists(), path


def test_every_make_target_of_the_readme_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+)", (ROOT / "README.md").read_text())) <= targets
