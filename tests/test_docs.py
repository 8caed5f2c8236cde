"""The documentation names what the code has."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import yaml
from test_house import LAYERS

from haemosynth import __version__
from haemosynth.modalities.clinical.impute import ALGORITHMS as IMPUTATIONS
from haemosynth.modalities.registry import NAMES, algorithms
from haemosynth.privacy import aggregate_attacks, membership_attacks
from haemosynth.privacy.release_check import CHECKS
from haemosynth.privacy.stages import disclosure
from haemosynth.privacy.tiers import LEAST, TIERS
from haemosynth.stats.quantiles import LEAST_PIECE
from haemosynth.validate import STAGES

ROOT = Path(__file__).parents[1]
METHODS = (ROOT / "docs/methods.md").read_text()
PRIVACY = (ROOT / "docs/privacy.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")), ROOT / "config/README.md"]
PAGES += [ROOT / "resources/README.md"]
PAGES = [page for page in PAGES if not {"api", "_build"} & set(page.parts)]  # which `make docs` writes
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.py"))
SETTINGS = (ROOT / "config/README.md").read_text()


def test_the_metric_reference_is_what_the_stages_declare():
    written_by = runpy.run_path(str(ROOT / "workflow/reference.py"))
    assert (ROOT / "docs/metrics.md").read_text() == written_by["make_page"](), "run `make reference`"


def test_every_algorithm_and_stage_is_described():
    names = [name for modality in NAMES for name in algorithms(modality)] + list(IMPUTATIONS)
    for name in names:
        assert f"`{name}`" in METHODS
    for stage in STAGES:
        assert METHODS.count(f"\n#### {stage}\n\n") == 1, stage
        assert (ROOT / "workflow/scripts" / STAGES[stage].caption).read_text().strip()


@pytest.mark.parametrize("stage", STAGES)
def test_every_caption_says_what_a_good_result_looks_like(stage):
    caption = (ROOT / "workflow/scripts" / STAGES[stage].caption).read_text()
    assert re.search(r"\b([Gg]ood|faithful|should)\b", caption)


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    outside = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", outside, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page):
    for path, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", page.read_text()):
        if "://" in path:
            continue
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"] + BENCHMARKS, ids=lambda page: page.name
)
def test_every_module_that_a_page_names_exists(page):
    package = ROOT / "workflow/scripts/haemosynth"
    roots = [ROOT, ROOT / "workflow/scripts", package, *(package / "modalities" / name for name in NAMES)]
    for path in re.findall(r"`([\w/]+\.(?:py|smk|rst))`", page.read_text()):
        anywhere = "/" not in path and list((ROOT / "workflow").rglob(path))
        assert anywhere or any((root / path).exists() for root in roots), path


def test_the_contents_of_the_site_name_every_page():
    index = ROOT / "docs/index.md"
    blocks = re.findall(r"^```\{toctree\}\n(.*?)^```$", index.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = [line for block in blocks for line in block.splitlines() if line and not line.startswith(":")]
    listed = [(index.parent / f"{name}.md").resolve() for name in named if name != "api/index"]
    assert "api/index" in named  # which `make docs` writes
    assert sorted(listed) == sorted(page for page in PAGES if page != index)


def test_the_page_on_architecture_has_the_layers_and_the_folders_of_the_package():
    page = (ROOT / "docs/architecture.md").read_text()
    block = page.split("## Layers")[1].split("```")[1].strip().splitlines()
    drawn = [set(re.sub(r"\(.*\)", "", line).split()) for line in reversed(block)]
    layers = [{re.sub(r"^modalities\..*", "modalities.<modality>", room) for room in layer} for layer in LAYERS]
    assert drawn == layers
    for room in {room for layer in LAYERS for room in layer}:
        assert f"`{room.replace('.', '/')}/`" in page, room


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


def test_every_file_that_says_a_version_says_the_same():
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == __version__
    releases = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert releases[0] == __version__
    assert releases == sorted(releases, key=lambda text: [int(part) for part in text.split(".")], reverse=True)


def test_the_pages_say_how_many_patients_stand_behind_a_number():
    for page in (PRIVACY, METHODS):
        assert f"at least {LEAST_PIECE}" in page


def test_every_setting_of_a_study_and_of_the_disclosure_is_explained():
    keys = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for name in keys:
        assert f"`{name}" in SETTINGS, name
    for name in (*keys["release"], *disclosure.DEFAULTS):
        assert f"`{name}`" in SETTINGS, name
