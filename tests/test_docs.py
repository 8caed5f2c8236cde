"""The documentation names what the code has."""

import re
from pathlib import Path

import yaml

from haemosynth.generate import ALGORITHMS
from haemosynth.generate.quantiles import LEAST_PIECE
from haemosynth.impute import ALGORITHMS as IMPUTATIONS
from haemosynth.publish.gate import CHECKS
from haemosynth.publish.tiers import LEAST, TIERS
from haemosynth.validate import STAGES, aggregate_attacks, membership_attacks
from haemosynth.validate.privacy import disclosure
from haemosynth.validate.scorecard import dictionary

ROOT = Path(__file__).parents[1]
METHODS = (ROOT / "docs/methods.md").read_text()
PRIVACY = (ROOT / "docs/privacy.md").read_text()
SETTINGS = (ROOT / "config/README.md").read_text()


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


def written(number):
    """.65, as the page on privacy writes shares; whole numbers as they are."""
    return f"{number:.3f}".rstrip("0").removeprefix("0") if 0 < number < 1 else f"{number:g}"


def row_of(name):
    """The row of a table whose first cell names it."""
    return next(line for line in PRIVACY.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1])


def test_every_attack_of_the_gate_is_explained():
    for name in (*membership_attacks.ATTACKS, *aggregate_attacks.ATTACKS):
        row_of(name)


def test_the_page_on_privacy_gives_the_limits_of_every_check_and_tier():
    for name, check in CHECKS.items():
        if check.stage != "disclosure":
            cell = row_of(name).split("|")[2]
            assert written(check.limit) in cell, name
    header = next(line for line in PRIVACY.splitlines() if line.startswith("| |") and "`internal`" in line)
    order = [cell.strip(" `") for cell in header.split("|")]
    assert set(TIERS) <= set(order)
    limits = {"disclosure_auc": "auc", "disclosure_tpr_1": "tpr", "disclosure_outlying_auc": "outlying"}
    for metric, field in limits.items():
        cells = next(line for line in PRIVACY.splitlines() if line.startswith(f"| `{metric}` at most")).split("|")
        for tier, own in TIERS.items():
            limit = getattr(own, field)
            assert (written(limit) if limit < 1 else "reported") in cells[order.index(tier)], (metric, tier)
            assert metric != "disclosure_auc" or limit == 1 or written(LEAST) in cells[order.index(tier)]


def test_the_pages_say_how_many_patients_stand_behind_a_number():
    for page in (PRIVACY, METHODS):
        assert f"at least {LEAST_PIECE}" in page


def test_every_setting_of_a_study_and_of_the_disclosure_is_explained():
    keys = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for name in keys:
        assert f"`{name}" in SETTINGS, name
    for name in (*keys["release"], *disclosure.DEFAULTS):
        assert f"`{name}`" in SETTINGS, name
